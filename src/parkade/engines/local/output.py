"""A rank's output: from its pipe into segments of bounded size, oldest dropped.

A segment is named by the offset of its first byte (`rank-0.log.10485760`), so an offset means the
same byte for ever and nothing is renamed under a reader. The pipe is a FIFO that rank and keeper
both open for reading and writing: a rank outlives its keeper without ever meeting a broken pipe,
waits while it is not drained, and the next keeper goes on reading. What the pipe holds when a rank
ends without a keeper is lost.
"""

import os
from pathlib import Path

from parkade.engines.local.records import KEEPERS

SEGMENT_BYTES = 10 * 1024 * 1024
SEGMENTS_KEPT = 3
READ_BYTES = 64 * 1024
LAST_BYTES = 1024 * 1024


def pipe_path(folder: Path, rank: int) -> Path:
    """Where the rank's FIFO lies."""
    return folder / f"rank-{rank}.pipe"


def segments(folder: Path, rank: int) -> list[tuple[int, Path]]:
    """First offset and path of each segment kept, oldest first."""
    prefix = f"rank-{rank}.log."
    found = []
    for path in folder.glob(f"{prefix}*"):
        offset = path.name.removeprefix(prefix)
        if offset.isdigit():
            found.append((int(offset), path))
    return sorted(found)


def read(folder: Path, rank: int, offset: int, *, uid: int | None = None) -> tuple[int, bytes]:
    """At most READ_BYTES from the offset, or from the oldest byte kept; and where it stood. `uid`:
    files of any other owner are not read, for the folder is that user's."""
    kept = segments(folder, rank)
    for index, (start, path) in enumerate(kept):
        is_last = index + 1 == len(kept)
        if not is_last and offset >= kept[index + 1][0]:
            continue
        begin = max(offset, start)
        try:
            content = _read_at(path, begin - start, uid)
        except OSError:
            continue
        if content or is_last:
            return begin, content
    return offset, b""


def _read_at(path: Path, position: int, uid: int | None) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if uid is not None and os.fstat(descriptor).st_uid != uid:
            return b""
        return os.pread(descriptor, READ_BYTES, position)
    finally:
        os.close(descriptor)


class Output:
    """The keeper's end of one rank's pipe."""

    def __init__(self, folder: Path, rank: int, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self.rank = rank
        self.segment_bytes = segment_bytes
        path = pipe_path(folder, rank)
        self.pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        kept = segments(folder, rank)
        if kept:
            self.start, last = kept[-1]
            self.file = os.open(last, os.O_WRONLY | os.O_APPEND)
            self.size = os.fstat(self.file).st_size
        else:
            self._open_segment(0)

    def pump(self) -> bool:
        """Moves one bounded piece from pipe to file; False where the pipe was empty."""
        try:
            content = os.read(self.pipe, READ_BYTES)
        except BlockingIOError:
            return False
        try:
            if self.size >= self.segment_bytes:
                full = self.file
                self._open_segment(self.start + self.size)
                os.close(full)
            self.size += os.write(self.file, content)
        except OSError:
            # A full disk loses output; it must not cost the attempt its keeper.
            pass
        return True

    def close(self) -> None:
        """Takes what the pipe still holds, a bounded amount, and removes it."""
        taken = 0
        while taken <= LAST_BYTES and self.pump():
            taken += READ_BYTES
        os.close(self.pipe)
        os.close(self.file)
        pipe_path(self.folder, self.rank).unlink(missing_ok=True)

    def _open_segment(self, start: int) -> None:
        path = self.folder / f"rank-{self.rank}.log.{start}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        self.file = os.open(path, flags, KEEPERS)
        self.start, self.size = start, 0
        for _, old in segments(self.folder, self.rank)[:-SEGMENTS_KEPT]:
            old.unlink(missing_ok=True)
