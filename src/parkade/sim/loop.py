"""An event loop whose time is simulated: what waits costs nothing, and the same run is the same.

It runs the coroutines of the control plane and of the agents unchanged. Callbacks run in the order
in which they became due, and at one instant in the order in which they were asked for; nothing
comes from a thread, a socket or a clock. What would run in a thread of a pool runs at once.

Work takes no time here. A slow step says so itself, by `pass_us`: the instant then moves on in the
middle of a callback, as if all of it had been waiting for a disk.
"""

import asyncio
import contextvars
import heapq
from asyncio import events as asyncio_events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack

from parkade.core.units.time import SECOND_US

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")
_LEAST_STALE = 1_000


class _Ready(asyncio.Handle):
    """One callback, made with less ado: this loop has no debug mode that could be asked for."""

    __slots__ = ()

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context | None,
    ) -> None:
        self._callback, self._args, self._loop = callback, args, loop
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled = False
        self._repr = self._source_traceback = None


class SimulatedLoop(asyncio.AbstractEventLoop):
    """Microseconds since its beginning are its time. Adding a timer costs O(log n)."""

    def __init__(self) -> None:
        self.now_us = 0
        self.failures: list[str] = []
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[int, int, asyncio.TimerHandle]] = []
        self._asked = 0
        self._stale = 0
        self._is_running = False

    def run_until(self, until_us: int, is_over: Callable[[], bool]) -> None:
        """Everything up to an instant, or until the condition holds after a callback."""
        asyncio_events._set_running_loop(self)
        self._is_running = True
        ready = self._ready
        try:
            while not is_over():
                if ready:
                    handle = ready.popleft()
                    if not handle._cancelled:
                        handle._run()
                elif not self._take_timer(until_us):
                    self.now_us = max(self.now_us, until_us)
                    return
        finally:
            self._is_running = False
            asyncio_events._set_running_loop(None)

    def finish(self) -> None:
        """Everything that still waits is cancelled; no time passes."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        asyncio_events._set_running_loop(self)
        try:
            while self._ready:
                self._ready.popleft()._run()
        finally:
            asyncio_events._set_running_loop(None)
            self._timers.clear()

    def pass_us(self, span_us: int) -> None:
        """The present step takes so long."""
        assert span_us >= 0
        self.now_us += span_us

    def at_us(self, at_us: int, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Calls back at an instant, or now where it has passed."""
        handle = asyncio.TimerHandle(at_us / SECOND_US, callback, (), self, None)
        self._asked += 1
        heapq.heappush(self._timers, (max(at_us, self.now_us), self._asked, handle))
        return handle

    def _take_timer(self, until_us: int) -> bool:
        """The next timer becomes ready, and so do those of its instant; false where none is due."""
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not timers or timers[0][0] > until_us:
            return False
        self.now_us = max(self.now_us, timers[0][0])
        while timers and timers[0][0] <= self.now_us:
            self._ready.append(heapq.heappop(timers)[2])
        return True

    # What asyncio asks of a loop.

    def time(self) -> float:
        """Seconds since the beginning."""
        return self.now_us / SECOND_US

    def get_debug(self) -> bool:
        """Never: it would look at clocks."""
        return False

    def is_running(self) -> bool:
        """Whether it is inside `run_until`."""
        return self._is_running

    def is_closed(self) -> bool:
        """It holds nothing that would have to be closed."""
        return False

    def call_soon(
        self,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """After what is ready already."""
        handle = _Ready(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """The same: there is one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """After so many seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """At a time of this loop, to the nearest microsecond."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._asked += 1
        heapq.heappush(self._timers, (round(when * SECOND_US), self._asked, handle))
        return handle

    def _timer_handle_cancelled(self, _handle: asyncio.TimerHandle) -> None:
        """Most timers are time-outs that did not come; they are dropped before they are many."""
        self._stale += 1
        if self._stale > _LEAST_STALE and self._stale * 2 > len(self._timers):
            self._timers = [entry for entry in self._timers if not entry[2].cancelled()]
            heapq.heapify(self._timers)
            self._stale = 0

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        **options: Any,
    ) -> asyncio.Task[T]:
        """A task of this loop."""
        return asyncio.Task(coro, loop=self, **options)

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002 - asyncio's name
        func: Callable[[Unpack[Arguments]], T],
        *args: *Arguments,
    ) -> asyncio.Future[T]:
        """At once, in this thread."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is the waiter's
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What a callback or a forgotten task raised is kept for the judge of the run."""
        self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """The same."""
        self.call_exception_handler(context)


def new_loop() -> SimulatedLoop:
    """A loop at its beginning. It has no sockets, signals or processes, for nothing here does."""
    return SimulatedLoop()  # type: ignore[abstract]
