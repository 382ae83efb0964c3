"""Leadership by a lock on a file, which the kernel gives back when its holder dies.

The lock is refused, never waited for. Behind a writer's stand the epoch and the journal's primary
key, for the day a file system does not keep locks.
"""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from parkade.ports import AlreadyLed, Leadership


class FileLeadership:
    """Implements `ports.Leadership` for processes that see the same folder.

    `holder` names in messages what holds it, like "Parkade server". Children do not inherit it.
    """

    def __init__(self, path: Path, *, holder: str) -> None:
        self._path = path
        self._holder = holder
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """See `ports.Leadership`; makes the folder where it is missing."""
        assert self._descriptor is None, "it is taken once"
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            process = os.read(descriptor, 64).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise AlreadyLed(
                f"another {self._holder} (process {process}) already works on "
                f"{self._path.parent}; stop that one first, or use another data folder"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def is_held(self) -> bool:
        """False where it was released, or its file was removed or replaced: then another process
        could lock the new one."""
        if self._descriptor is None:
            return False
        try:
            there = self._path.stat()
        except OSError:
            return False
        mine = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def release(self) -> None:
        """See `ports.Leadership`; nothing happens where it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class JointLeadership:
    """Implements `ports.Leadership` by several that are all held, or none of them."""

    def __init__(self, parts: Sequence[Leadership]) -> None:
        self._parts = tuple(parts)

    def acquire(self) -> None:
        """See `ports.Leadership`; in the order given."""
        try:
            for part in self._parts:
                part.acquire()
        except BaseException:
            self.release()
            raise

    def is_held(self) -> bool:
        """Whether every part is."""
        return all(part.is_held() for part in self._parts)

    def release(self) -> None:
        """See `ports.Leadership`; the last first."""
        for part in reversed(self._parts):
            part.release()
