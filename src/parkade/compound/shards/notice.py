"""The notice to leave, as a workload gets it: a signal, or the file `PARKADE_NOTICE_FILE`.

`drains_until` is when what has begun must have ended. A second signal ends the patience.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

LOOK_S = 0.2
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
#: What is kept of the notice for writing and ending.
LEAVE_S = 1.0


class _Deadline(msgspec.Struct, frozen=True):
    deadline_us: int


class Notice:
    """Listens on the running loop from its making on."""

    def __init__(self, environment: Mapping[str, str], drain_s: float) -> None:
        name = environment.get("PARKADE_NOTICE_FILE")
        self._file = Path(name) if name else None
        self._drain_s = drain_s
        #: Set when there is notice.
        self.given = asyncio.Event()
        #: Set when the time for what has begun is over.
        self.is_over = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._hear)
        self._task = asyncio.ensure_future(self._look())

    async def close(self) -> None:
        """Listen no more. The process is about to end, with an exit status that later signals
        must not change, so they are ignored from here on."""
        loop = asyncio.get_running_loop()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def _hear(self) -> None:
        if self.given.is_set():
            self.is_over.set()
        self.given.set()

    async def _look(self) -> None:
        while not self.given.is_set():
            if self._file is not None and self._file.exists():
                self.given.set()
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.given.wait(), LOOK_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.is_over.wait(), self._patience_s())
        self.is_over.set()

    def _patience_s(self) -> float:
        """At most `drain_s`, and less where the deadline is nearer."""
        try:
            content = b"" if self._file is None else self._file.read_bytes()
            deadline_us = msgspec.json.decode(content, type=_Deadline).deadline_us
        except (OSError, msgspec.DecodeError):
            return self._drain_s
        return max(0.0, min(self._drain_s, deadline_us / 1e6 - time.time() - LEAVE_S))
