"""Where the lines of a log are that was rotated, or copied and cut, while its reader was down.

A rotation renames the file that was read to a bookmark, to a name such as `kern.log.1` or
`kern.log-20261127`, or copies it there. Either has the same bytes before the bookmark's place and
is read on from there, then the whole files that were rotated after it,
then the log. What was compressed or removed is not read: that it may have been missed is said.
"""

import os
import re
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self

MOST_FILES = 1_000
"""Of a folder that are looked at."""
MOST_NAMED = 3
MOST_CHECKED = 4_096
"""Bytes before a place of which its checksum is."""
_SUFFIX = re.compile(r"(?:\.\d{1,6}|-\d{6,14})(\.(?:gz|xz|bz2|zst|lz4))?")


class Place(NamedTuple):
    """A place in a file. `check`: the checksum of the bytes before it; None in bookmarks of the
    first form, which have none. `read_s`: when the last line was read, in seconds; 0 unknown."""

    device: int
    inode: int
    offset: int
    check: int | None
    read_s: int

    @classmethod
    def of(cls, text: str) -> Self | None:
        """From its text; None where it is none."""
        words = text.split(":")
        if len(words) not in (3, 5) or not all(map(str.isdecimal, words)):
            return None
        device, inode, offset, *more = map(int, words)
        return cls(device, inode, offset, more[0] if more else None, more[1] if more else 0)

    def text(self) -> str:
        """As a bookmark keeps it."""
        more = () if self.check is None else (self.check, self.read_s)
        return ":".join(map(str, (self.device, self.inode, self.offset, *more)))

    def is_in(self, path: Path) -> bool:
        """Whether a path is what was read: the same file, or one that holds so many of the same
        bytes that it is no other log, such as `rsync` puts in its place."""
        return self.holds(path, is_same=self.offset < MOST_CHECKED)

    def holds(self, path: Path, *, is_same: bool) -> bool:
        """Whether a path holds the bytes that were read before this place. `is_same`: in the same
        file; without a checksum, or where nothing was read, only that can be told."""
        try:
            seen = path.stat()
            is_this = (seen.st_dev, seen.st_ino) == (self.device, self.inode)
            if seen.st_size < self.offset or (is_same and not is_this):
                return False
            if self.check is None or self.offset == 0:
                return is_this
            begin = max(0, self.offset - MOST_CHECKED)
            with path.open("rb") as handle:
                held = os.pread(handle.fileno(), self.offset - begin, begin)
        except OSError:
            return False
        return len(held) == self.offset - begin and zlib.crc32(held) == self.check


class Rotated(NamedTuple):
    """`files` are to be read before the log, the first from the place on, the others whole.
    `compressed` cannot be read here; oldest first."""

    files: tuple[Path, ...]
    compressed: tuple[Path, ...]


def rotated_since(log: Path, place: Place) -> Rotated:
    """What a log has become since it was read to a place that is not in it any more; without
    `files` that is gone. Costs the names of the folder, and a look into each that is rotated."""
    plain: list[tuple[int, Path]] = []
    compressed: list[tuple[int, Path]] = []
    try:
        names = sorted(log.parent.glob(f"{_escaped(log.name)}[.-]*"))[-MOST_FILES:]
    except OSError:
        names = []
    for path in names:
        suffix = _SUFFIX.fullmatch(path.name.removeprefix(log.name))
        try:
            seen = path.stat()
        except OSError:
            continue
        if suffix is not None:
            (compressed if suffix[1] else plain).append((seen.st_mtime_ns, path))
    plain.sort()
    compressed.sort()
    renamed = (each for each in plain if place.holds(each[1], is_same=True))
    # A copy: the newest, since one that was copied twice holds less behind the place.
    copies = (each for each in reversed(plain) if place.holds(each[1], is_same=False))
    read = next(renamed, None) or next(copies, None)
    if read is None:
        return Rotated((), tuple(path for _, path in compressed[-MOST_NAMED:]))
    at_ns, first = read
    later = [path for at, path in plain if at >= at_ns and path != first]
    unread = [path for at, path in compressed if at > at_ns]
    return Rotated((first, *later), tuple(unread))


def missed(log: Path, place: Place, rotated: Rotated) -> str | None:
    """What to say of lines that are not read; None where all are."""
    names = ", ".join(path.name for path in rotated.compressed[-MOST_NAMED:])
    if rotated.files:
        return f"{log} was rotated, and {names} is compressed and was not read" if names else None
    look = f"; look in {names}" if names else ""
    since = ""
    if place.read_s:
        since = f", from {datetime.fromtimestamp(place.read_s, UTC):%Y-%m-%dT%H:%M:%SZ} on,"
    return (
        f"{log} is another file now, or was cut, and what the one before held behind byte"
        f" {place.offset}{since} was not read{look}"
    )


def _escaped(name: str) -> str:
    """A name that a pattern of names takes as it stands."""
    return re.sub(r"([*?\[])", r"[\1]", name)
