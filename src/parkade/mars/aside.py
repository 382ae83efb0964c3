"""A call that may take long, beside the program's own loop: sensors that wait for a time-out."""

import concurrent.futures
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """One call at a time, in a thread that a program which ends leaves behind."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._future: Future[T] | None = None

    def start(self) -> None:
        """Begins the call, unless one is under way or waits to be taken."""
        if self._future is None:
            self._future = Future()
            threading.Thread(target=self._run, args=(self._future,), daemon=True).start()

    @property
    def is_done(self) -> bool:
        """Whether `take` has something to give or to raise."""
        return self._future is not None and self._future.done()

    def wait(self, timeout_s: float | None = None) -> None:
        """Until the call under way has ended; at most so long."""
        if self._future is not None:
            concurrent.futures.wait([self._future], timeout_s)

    def take(self) -> T | None:
        """What the call gave, once; None while it is under way. Raises what the call raised."""
        if self._future is None or not self._future.done():
            return None
        done, self._future = self._future, None
        return done.result()

    def _run(self, future: Future[T]) -> None:
        try:
            future.set_result(self._call())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is taken
            future.set_exception(error)
