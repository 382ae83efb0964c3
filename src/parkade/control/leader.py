"""One writer at a time: a lock beside the journal that the kernel gives back when the holder dies.

The lock is refused, never waited for. Behind it stand the epoch and the journal's primary key, for
the day a file system does not keep locks.
"""

import fcntl
import os
from pathlib import Path


class AlreadyLed(Exception):
    """Another server writes to this journal; the message says which."""


class Lock:
    """Held from `take` until `release` or the end of the process. Children do not inherit it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> "Lock":
        """Takes the lock at once or raises AlreadyLed."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 64).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise AlreadyLed(
                f"another Parkade server (process {holder}) already writes to {path.parent}; "
                "stop that one first, or start this one with another data folder"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return cls(path, descriptor)

    def release(self) -> None:
        """Lets the next writer in."""
        os.close(self._descriptor)
