"""What waits for the writer: commands to be decided, views to be looked at. Bounded."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from parkade.control.cycle import Asked
from parkade.core.state.world import World

_T = TypeVar("_T")


class Waiting(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A waiter in an event loop, and the value that it waits for."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class WaitingCommand(Waiting, frozen=True, kw_only=True, eq=False):
    """Waits for a command's outcome."""

    asked: Asked


class WaitingView(Waiting, frozen=True, kw_only=True, eq=False):
    """Waits for what a view sees."""

    view: Callable[[World, int], Any]


class Inbox:
    """`limit` bounds commands and views each."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._commands: deque[WaitingCommand] = deque()
        self._views: deque[WaitingView] = deque()
        self._changed = threading.Condition()
        self._is_nudged = False
        self._is_closed = False
        self._entered = 0
        self._listener: Callable[[], None] | None = None

    def listen(self, listener: Callable[[], None]) -> None:
        """`listener` is called whenever there is something to do, for what drives the writer
        without a thread."""
        self._listener = listener

    @property
    def entered(self) -> int:
        """Commands and views that were ever taken in."""
        return self._entered

    def __len__(self) -> int:
        return len(self._commands)

    @property
    def is_closed(self) -> bool:
        """Whether nothing is taken in any more."""
        return self._is_closed

    def put(self, waiting: WaitingCommand | WaitingView) -> bool:
        """False where too many wait already."""
        with self._changed:
            queue: deque[Any] = (
                self._commands if isinstance(waiting, WaitingCommand) else self._views
            )
            if len(queue) >= self._limit or self._is_closed:
                return False
            queue.append(waiting)
            self._entered += 1
            self._changed.notify()
        self._tell_listener()
        return True

    def take_commands(self, limit: int) -> list[WaitingCommand]:
        """The longest waiting ones, less those whose asker has gone."""
        return [one for one in self._take(self._commands, limit) if not one.future.cancelled()]

    def take_views(self, limit: int) -> list[WaitingView]:
        """The longest waiting ones, less those whose asker has gone."""
        return [one for one in self._take(self._views, limit) if not one.future.cancelled()]

    def _take(self, queue: deque[_T], limit: int) -> list[_T]:
        with self._changed:
            return [queue.popleft() for _ in range(min(limit, len(queue)))]

    def nudge(self) -> None:
        """Ends the writer's present wait."""
        with self._changed:
            self._is_nudged = True
            self._changed.notify()
        self._tell_listener()

    def _tell_listener(self) -> None:
        if self._listener is not None:
            self._listener()

    def wait(self, timeout_us: int) -> None:
        """Returns at once when something waits, or was nudged, and after the timeout."""
        with self._changed:
            if not (self._commands or self._views or self._is_nudged or self._is_closed):
                self._changed.wait(max(timeout_us, 0) / 1e6)
            self._is_nudged = False

    def close(self) -> list[Waiting]:
        """Takes nothing in any more; who still waits is handed back."""
        with self._changed:
            self._is_closed = True
            left: list[Waiting] = [*self._commands, *self._views]
            self._commands.clear()
            self._views.clear()
            self._changed.notify()
            return left


def resolve(answers: Iterable[tuple[Waiting, Any]]) -> None:
    """Hands each its value, an exception raised; each loop is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for waiting, value in answers:
        by_loop.setdefault(waiting.loop, []).append((waiting.future, value))
    for loop, pairs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve_here, pairs)
        except RuntimeError:
            continue  # That loop was closed with its waiters.


def _resolve_here(pairs: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, value in pairs:
        if future.done():
            continue
        if isinstance(value, BaseException):
            future.set_exception(value)
        else:
            future.set_result(value)
