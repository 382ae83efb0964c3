"""Signs of life, and when a lease has lapsed, without clocks that agree.

A worker changes a file of its own every sixth of the lease's term, from a thread, so that a long
verification does not silence it. Another takes the lease only after it has seen the file unchanged
for the whole term by its own clock. The worker itself starts no call once three quarters of the
term passed since it last began to write: so it is silent before it is replaced, as long as the two
clocks run at rates that differ by less than a third.
"""

import os
import threading
import time
from pathlib import Path

BEATS_PER_TERM = 6


def seconds() -> float:
    """The clock of leases: steady, and it runs on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Pulse:
    """This worker's signs of life, from `start` to `stop`."""

    def __init__(self, folder: Path, worker: str, term_s: float) -> None:
        self._path = folder / worker
        self._draft = folder / f".{worker}"
        self._term_s = term_s
        self._beats = 0
        self._began = seconds()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """The first sign is there when this returns."""
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """No more signs; the file goes."""
        self._stop.set()
        self._thread.join()
        self._path.unlink(missing_ok=True)

    def is_certain(self) -> bool:
        """Whether no other process can have seen this worker silent for a term."""
        return seconds() - self._began < 0.75 * self._term_s

    def _run(self) -> None:
        while not self._stop.wait(self._term_s / BEATS_PER_TERM):
            try:
                self._beat()
            except OSError:
                # A file system that does not answer: without a sign the lease is soon uncertain.
                continue

    def _beat(self) -> None:
        began = seconds()
        self._beats += 1
        self._draft.write_text(f"{os.getpid()} {self._beats}\n")
        self._draft.replace(self._path)
        self._began = began


class Lapses:
    """What this process has seen of the others' signs."""

    def __init__(self, folder: Path, term_s: float) -> None:
        self._folder = folder
        self._term_s = term_s
        self._seen: dict[str, tuple[bytes, float]] = {}

    def has_lapsed(self, worker: str) -> bool:
        """Whether its sign has not changed for a term; ask again and again."""
        try:
            sign = (self._folder / worker).read_bytes()
        except FileNotFoundError:
            sign = b""
        before, since = self._seen.get(worker, (None, 0.0))
        if sign != before:
            self._seen[worker] = (sign, seconds())
            return False
        return seconds() - since >= self._term_s
