"""Reads kernel lines from a file, from stdin, or from this machine: bounded lines, nothing lost.

`Follower` survives rotation: it reads an old file to its end before it opens the new one, and
starts at the beginning where the file was cut. A line is given out once it is whole.
"""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from parkade.sensors.kernel_log.reading import MOST_LINE
from parkade.sensors.kernel_log.rotation import Rotated, missed, rotated_since

KMSG = Path("/dev/kmsg")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MOST_RECORD = 8_192
"""The kernel gives one record a read, never longer than this."""
MOST_RECORDS = 100_000
"""In one look; a ring of the largest size that kernels are built with holds about so many."""


def lines_of(handle: IO[bytes]) -> Iterator[str]:
    """The lines of an open file, each cut to MOST_LINE; bytes that are no UTF-8 are replaced."""
    while chunk := handle.readline(MOST_LINE):
        line = chunk
        while chunk and not chunk.endswith(b"\n"):
            chunk = handle.readline(MOST_LINE)
        yield line.decode("utf-8", "replace").rstrip("\n")


class KernelRecords:
    """The records of the kernel's ring, each given once: first all that it still holds, oldest
    first, then what came since. The device stays open, so a look without news is one call."""

    def __init__(self, path: Path = KMSG) -> None:
        self._path = path
        self._descriptor: int | None = None

    def new(self) -> Iterator[str]:
        """Those since the last call, without waiting for more; at most `MOST_RECORDS`. Raises
        OSError where the device cannot be opened (by root only on most machines) or read; then it
        is opened anew by the next call, which gives everything again."""
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        for _ in range(MOST_RECORDS):
            try:
                record = os.read(self._descriptor, MOST_RECORD)
            except BlockingIOError:
                return
            except BrokenPipeError:
                # Records were overwritten before they could be read; the next read goes on.
                continue
            except OSError:
                self.close()
                raise
            if not record:
                return
            # Lines after the first are a record's properties, each behind a space.
            yield record.split(b"\n", 1)[0].decode("utf-8", "replace")

    def close(self) -> None:
        """Lets go of the device."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def boot_id(path: Path = BOOT_ID) -> str | None:
    """The random name of the kernel's present life; None where it has none."""
    try:
        return path.read_text("ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


class Follower:
    """New lines of a file that grows, is rotated or cut. `poll` never waits.

    `unread` says why the path cannot be read now, None where it can; a file that comes later is
    read from its beginning. `missed`: what was not read behind the bookmark that it went on from.
    """

    def __init__(self, path: Path, *, from_end: bool) -> None:
        self._path = path
        self._handle: BinaryIO | None = None
        self._part, self._part_bytes = b"", 0
        self._next: deque[BinaryIO] = deque()
        self.unread: str | None = None
        self.missed: str | None = None
        self._open(from_end=from_end)

    def poll(self, most_lines: int = 10_000) -> list[str]:
        """The whole lines since the last call, at most `most_lines`; [] where there are none."""
        found: list[str] = []
        self._take(found, most_lines)
        while self._next and len(found) < most_lines:
            self._end_part(found)
            if self._handle is not None:
                self._handle.close()
            self._handle = self._next.popleft()
            self._take(found, most_lines)
        if len(found) < most_lines and self._is_replaced():
            self._take(found, most_lines)
            if len(found) < most_lines:
                self._end_part(found)
                self._open(from_end=False)
                self._take(found, most_lines)
        return found

    @property
    def bookmark(self) -> str | None:
        """The file and how many bytes of it were given out as whole lines; None where none is
        open."""
        if self._handle is None:
            return None
        mine = os.fstat(self._handle.fileno())
        return f"{mine.st_dev}:{mine.st_ino}:{self._handle.tell() - self._part_bytes}"

    def resume(self, bookmark: str) -> None:
        """Goes on behind a bookmark, also in a file that was rotated since. A file that is another
        one now, or shorter, is read from its beginning."""
        numbers = bookmark.split(":")
        if self._handle is None or len(numbers) != 3 or not all(map(str.isdecimal, numbers)):
            return
        device, inode, offset = map(int, numbers)
        mine = os.fstat(self._handle.fileno())
        self._part, self._part_bytes = b"", 0
        is_same = (device, inode) == (mine.st_dev, mine.st_ino)
        if is_same and offset <= mine.st_size:
            self._handle.seek(offset)
            return
        self._handle.seek(0)
        rotated = Rotated((), ()) if is_same else rotated_since(self._path, device, inode)
        old = [handle for handle in map(_opened, rotated.files) if handle is not None]
        if old:
            old[0].seek(offset)
            self._next.extend((*old[1:], self._handle))
            self._handle = old[0]
        self.missed = missed(self._path, offset, rotated)

    def close(self) -> None:
        """Ends it."""
        while self._next:
            self._next.popleft().close()
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def _end_part(self, found: list[str]) -> None:
        """A file that ended without an end of line: there will be no more of its last one."""
        if self._part:
            found.append(self._part.decode("utf-8", "replace"))
        self._part, self._part_bytes = b"", 0

    def _open(self, *, from_end: bool) -> None:
        self.close()
        self._part, self._part_bytes = b"", 0
        try:
            self._handle = self._path.open("rb")
        except OSError as error:
            self.unread = _why(self._path, error)
            return
        self.unread = None
        if from_end:
            self._handle.seek(0, os.SEEK_END)

    def _take(self, found: list[str], most_lines: int) -> None:
        while self._handle is not None and len(found) < most_lines:
            chunk = self._handle.readline(MOST_LINE)
            if not chunk:
                return
            room = MOST_LINE - len(self._part)
            self._part += chunk[:room] if room > 0 else b""
            self._part_bytes += len(chunk)
            if chunk.endswith(b"\n"):
                found.append(self._part.decode("utf-8", "replace").rstrip("\n"))
                self._part, self._part_bytes = b"", 0

    def _is_replaced(self) -> bool:
        """Whether the path names another file now, or this one was cut."""
        try:
            now = self._path.stat()
        except OSError as error:
            self.unread = _why(self._path, error)
            return False
        if self._handle is None:
            return True
        mine = os.fstat(self._handle.fileno())
        return (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino) or (
            now.st_size < self._handle.tell()
        )


def _opened(path: Path) -> BinaryIO | None:
    """A rotated file; None where it is gone."""
    try:
        return path.open("rb")
    except OSError:
        return None


def _why(path: Path, error: OSError) -> str:
    """Why a path cannot be read."""
    if isinstance(error, FileNotFoundError):
        return f"{path} is not there"
    return f"{path}: {error.strerror}"
