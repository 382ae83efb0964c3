"""A rank's output: from its pipe into segments of bounded size, oldest dropped.

A segment is named by the offset of its first byte (`rank-0.log.10485760`), so an offset means the
same byte for ever and nothing is renamed under a reader. The pipe is a FIFO that rank and keeper
both open for reading and writing: a rank outlives its keeper without ever meeting a broken pipe,
waits while it is not drained, and the next keeper goes on reading. What the pipe holds when a rank
ends without a keeper is lost. When each part came is kept beside the segments (`times`).
"""

import os
from collections.abc import Callable
from pathlib import Path

from parkade.engines.local.clocks import wall_us
from parkade.engines.local.records import KEEPERS
from parkade.engines.local.times import Times, first_since, read_times, times_path

SEGMENT_BYTES = 10 * 1024 * 1024
SEGMENTS_KEPT = 3
READ_BYTES = 64 * 1024
LAST_BYTES = 1024 * 1024
LINE_BYTES = 4096
"""So far back the beginning of a line is looked for."""


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


def offset_since(folder: Path, rank: int, at_us: int, *, uid: int | None = None) -> int | None:
    """Where output begins that came at an instant or later, at the beginning of its line; None
    where it is not known when any of it came. `uid` as in `read`."""
    kept = segments(folder, rank)
    if not kept:
        return 0
    noted = [it for start, _ in kept for it in read_times(folder, rank, start, uid=uid)]
    last, path = kept[-1]
    end = last + (path.stat().st_size if path.exists() else 0)
    if not noted:
        return end if end == 0 else None
    found = first_since(noted, at_us, first=kept[0][0], end=end)
    if found in (kept[0][0], end):
        return found
    return _line_begin(folder, rank, found, first=kept[0][0], uid=uid)


def _line_begin(folder: Path, rank: int, offset: int, *, first: int, uid: int | None) -> int:
    """Where the line begins that an offset is in; the offset itself where that is too far back."""
    back = max(first, offset - LINE_BYTES)
    before, at = b"", back
    while at < offset:
        begin, content = read(folder, rank, at, uid=uid)
        if not content or begin != at:
            return offset
        before, at = before + content[: offset - at], at + len(content)
    line = before.rfind(b"\n") + 1
    return back + line if line or back == 0 else offset


class Output:
    """The keeper's end of one rank's pipe."""

    def __init__(
        self,
        folder: Path,
        rank: int,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        clock: Callable[[], int] = wall_us,
    ) -> None:
        self.clock = clock
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
            self.times = Times(folder, rank, self.start)
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
                full, index = self.file, self.times
                self._open_segment(self.start + self.size)
                os.close(full)
                index.close()
            self.times.note(self.start + self.size, self.clock())
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
        self.times.close()
        pipe_path(self.folder, self.rank).unlink(missing_ok=True)

    def _open_segment(self, start: int) -> None:
        path = self.folder / f"rank-{self.rank}.log.{start}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        self.file = os.open(path, flags, KEEPERS)
        self.start, self.size = start, 0
        self.times = Times(self.folder, self.rank, start)
        for first, old in segments(self.folder, self.rank)[:-SEGMENTS_KEPT]:
            old.unlink(missing_ok=True)
            times_path(self.folder, self.rank, first).unlink(missing_ok=True)
