"""A Python function as a model: for generators of one's own, heuristics, and tests.

The function gets the call and gives a text or a whole Completion; it may be async. Its version is
part of its identity, so that a changed function does not answer from an old journal; a network
file, and `ask`, take the function's source where no version is given.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from parkade.compound.models.protocol import (
    FREE,
    PLAIN_BOUNDS,
    Cancel,
    Done,
    Failure,
    FailureKind,
    Price,
    RateLimits,
    TokenBounds,
    bounded,
)
from parkade.compound.network.digest import function_name
from parkade.compound.network.raising import raised
from parkade.compound.network.sources import own_source_of
from parkade.compound.values import Call, Completion, Usage, without_surrogates

Answer = str | Completion
#: What identities of such models begin with.
LOCAL = "local/"


class LocalModel:
    """Answers with `function(call)`. Counts words as tokens where the function gives a text."""

    def __init__(
        self,
        name: str,
        function: Callable[[Call], Answer | Awaitable[Answer]],
        *,
        version: str = "1",
        price: Price = FREE,
        max_output_tokens: int | None = None,
        limits: RateLimits | None = None,
        bounds: TokenBounds = PLAIN_BOUNDS,
    ) -> None:
        self.identity = f"{LOCAL}{name}@{version}"
        self.price: Price | None = price
        self.max_output_tokens = max_output_tokens
        self.bounds = msgspec.structs.replace(bounds, has_template=False)
        self.limits = limits or RateLimits()
        self._function = function
        self._price = price
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, call: Call, done: Done) -> Cancel:
        """A plain function is called at once; an async one runs as a task."""
        began = time.perf_counter_ns()
        try:
            answer = self._function(call)
        except Exception as error:  # noqa: BLE001 - the function is the user's
            done(self._broken(error))
            return _nothing
        if not inspect.isawaitable(answer):
            done(self._completion(call, answer, began))
            return _nothing
        turn = _Turn(answer)
        task = asyncio.ensure_future(self._wait(call, turn, began, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return lambda: turn.cancel(task)

    async def close(self) -> None:
        """Cancel what still runs."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _wait(self, call: Call, turn: "_Turn", began: int, done: Done) -> None:
        turn.has_come = True
        try:
            outcome = self._completion(call, await turn.answer, began)
        except Exception as error:  # noqa: BLE001 - the function is the user's
            outcome = self._broken(error)
        done(outcome)

    def _broken(self, error: Exception) -> Failure:
        return Failure(kind=FailureKind.BROKEN, message=bounded(raised(self._function, error)))

    def _completion(self, call: Call, answer: Any, began: int) -> Completion | Failure:
        """What the function's answer is worth; one that is no answer fails its question alone."""
        if isinstance(answer, Completion):
            text = without_surrogates(answer.text)
            return answer if text == answer.text else msgspec.structs.replace(answer, text=text)
        if not isinstance(answer, str):
            name, kind = function_name(self._function), type(answer).__name__
            message = bounded(f"{name} gave {kind} and not a text")
            return Failure(kind=FailureKind.BROKEN, message=message)
        usage = Usage(
            input_tokens=len(call.prompt.split()) if self._price is not FREE else 0,
            output_tokens=len(answer.split()) if self._price is not FREE else 0,
        )
        return Completion(
            text=without_surrogates(answer),
            usage=usage,
            cost_micros=self._price.cost_micros(usage),
            finish="stop",
            latency_us=(time.perf_counter_ns() - began) // 1_000,
        )


class _Turn:
    """An asynchronous answer, and whether its task has had a turn of the loop."""

    __slots__ = ("answer", "has_come")

    def __init__(self, answer: Awaitable[Any]) -> None:
        self.answer = answer
        self.has_come = False

    def cancel(self, task: "asyncio.Task[None]") -> bool:
        """Whether nothing of the function has run: a coroutine begins with its first turn."""
        task.cancel()
        if self.has_come or not inspect.iscoroutine(self.answer):
            return False
        self.answer.close()
        return True


def version_of(function: Callable[..., Any]) -> str:
    """The version of a function that is given none: its source, or "1" where it has none."""
    return own_source_of(function) or "1"


def _nothing() -> None:
    """A call that has ended already needs no cancelling."""
