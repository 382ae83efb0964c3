"""When a rank's output was printed: an index of instants beside each of its segments.

An entry is 16 bytes: an offset in the output, and the instant at which the byte there came. One is
written before a piece of output where the last is a step old: a second at first, twice as much
after each 4,096 entries of a segment, and never more than 65,536 (1 MiB). So what lies between two
entries came within a step of the first, and a reader is given at most that much too early, never
too late. Where the clock is set back, the latest instant stands until it is reached again.

Example: entries (0, 10:00:00), (700, 10:00:05). Since 10:00:02 the output begins at 700, as all
before it came until 10:00:01; since 10:00:00.5 at 0.
"""

import os
import struct
from pathlib import Path
from typing import NamedTuple

from parkade.engines.local.records import KEEPERS

STEP_US = 1_000_000
ENTRIES_OF_A_STEP = 4_096
MOST_ENTRIES = 65_536
ENTRY = struct.Struct("<QQ")
"""Offset, microseconds since 1970. A full disk cuts no entry in two: 16 divides its blocks."""


def step_us(index: int) -> int:
    """How much time an entry of a segment stands for."""
    return STEP_US << (index // ENTRIES_OF_A_STEP)


def times_path(folder: Path, rank: int, start: int) -> Path:
    """Beside the segment whose first byte is `start`."""
    return folder / f"rank-{rank}.times.{start}"


class Times:
    """The keeper's end of the index of one segment."""

    def __init__(self, folder: Path, rank: int, start: int) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self.file = os.open(times_path(folder, rank, start), flags, KEEPERS)
        self.count = os.fstat(self.file).st_size // ENTRY.size
        self.latest_us = self.noted_us = 0
        if self.count:
            last = os.pread(self.file, ENTRY.size, (self.count - 1) * ENTRY.size)
            self.latest_us = self.noted_us = ENTRY.unpack(last)[1]

    def note(self, offset: int, now_us: int) -> None:
        """Output comes at this offset."""
        if self.count >= MOST_ENTRIES:
            return
        if self.count and abs(now_us - self.noted_us) < step_us(self.count - 1):
            return
        self.noted_us, self.latest_us = now_us, max(self.latest_us, now_us)
        os.write(self.file, ENTRY.pack(offset, self.latest_us))
        self.count += 1

    def close(self) -> None:
        """Nothing more comes."""
        os.close(self.file)


class Noted(NamedTuple):
    """An entry as it is read: from `offset` on output came at `at_us` or in the step after it."""

    offset: int
    at_us: int
    step_us: int


def read_times(folder: Path, rank: int, start: int, *, uid: int | None) -> list[Noted]:
    """The entries of a segment; none where there is no index, or one of another owner."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(times_path(folder, rank, start), flags)
    except OSError:
        return []
    try:
        if uid is not None and os.fstat(descriptor).st_uid != uid:
            return []
        content = os.pread(descriptor, MOST_ENTRIES * ENTRY.size, 0)
    finally:
        os.close(descriptor)
    whole = content[: len(content) // ENTRY.size * ENTRY.size]
    return [
        Noted(offset=offset, at_us=at_us, step_us=step_us(index))
        for index, (offset, at_us) in enumerate(ENTRY.iter_unpack(whole))
    ]


def first_since(noted: list[Noted], at_us: int, *, first: int, end: int) -> int:
    """The offset of the first byte that may have come at an instant or later; `noted`: all
    that is kept, in order. `first`, `end`: what is kept. Costs a look at each entry."""
    if not noted or at_us <= noted[0].at_us:
        return first
    latest_us = 0
    following = [it.at_us for it in noted[1:]]
    for it, next_us in zip(noted, [*following, None], strict=True):
        latest_us = max(latest_us, it.at_us)
        until_us = latest_us + it.step_us - 1
        if next_us is not None:
            until_us = min(until_us, max(latest_us, next_us))
        if until_us >= at_us:
            return max(first, it.offset)
    return end
