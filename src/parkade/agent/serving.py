"""Asks the control plane for requests, and serves each once in a task of its own.

A request is in every answer until it is taken, so one that finds no room comes again; those that
were taken are remembered for a while. What fails unexpectedly in a task ends the agent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from parkade.agent.backoff import Backoff
from parkade.agent.control_plane import ControlPlaneError, ReaderGone
from parkade.ports import Timer

MOST_REMEMBERED = 1000
UNKNOWN_PAUSE_S = 60.0
"""A server of an earlier version knows no such requests; it may be replaced by a newer one."""

T = TypeVar("T")


class Serving(Generic[T]):
    """`ask` gives the requests of this moment, `name_of` what tells one from another, and `serve`
    sees one to its end; at most `most` at once. `about` names them in the log."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[list[T]]],
        name_of: Callable[[T], str],
        serve: Callable[[T], Coroutine[Any, Any, None]],
        timer: Timer,
        *,
        about: str,
        most: int,
        pause_s: float,
    ) -> None:
        self._ask = ask
        self._name_of = name_of
        self._serve = serve
        self._timer = timer
        self._about = about
        self._most = most
        self._pause_s = pause_s
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._taken: dict[str, None] = {}

    async def run(self) -> None:
        """Until cancelled; what is served ends with it."""
        backoff = Backoff(self._timer)
        try:
            while True:
                try:
                    requests = await self._ask()
                except ReaderGone:
                    await self._timer.sleep(UNKNOWN_PAUSE_S)
                    continue
                except ControlPlaneError as error:
                    await backoff.wait(self._about, error)
                    continue
                backoff.reset()
                self._take(requests)
                await self._timer.sleep(self._pause_s)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _take(self, requests: list[T]) -> None:
        for name in [name for name, task in self._tasks.items() if task.done()]:
            self._tasks.pop(name).result()
        for request in requests:
            name = self._name_of(request)
            if name not in self._taken and len(self._tasks) < self._most:
                self._taken[name] = None
                self._tasks[name] = asyncio.create_task(self._serve(request))
        while len(self._taken) > MOST_REMEMBERED:
            del self._taken[next(iter(self._taken))]
