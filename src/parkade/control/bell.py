"""Wakes coroutines, in whatever loop they wait, from any thread."""

import asyncio
import threading
from collections.abc import Callable


class Bell:
    """Something changed: look again. Nothing is carried, so no ringing is ever missed or stored."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}

    def ring(self) -> None:
        """Wakes all that wait now."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for future, loop in waiting.items():
            try:
                loop.call_soon_threadsafe(_wake, future)
            except RuntimeError:
                continue  # That loop was closed with its waiters.

    async def wait_until(self, is_so: Callable[[], bool], *, timeout_s: float | None) -> bool:
        """Waits until the condition holds, looking again at each ring; false after the timeout."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    future: asyncio.Future[None] = loop.create_future()
                    with self._lock:
                        self._waiting[future] = loop
                    try:
                        if is_so():
                            return True
                        await future
                    finally:
                        with self._lock:
                            self._waiting.pop(future, None)
        except TimeoutError:
            return False


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
