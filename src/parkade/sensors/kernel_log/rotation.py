"""Where the lines of a log are that was rotated, or copied and cut, while its reader was down.

Theory of operation. A rotation renames the file that was read to a bookmark, or copies it; within
the log's own folder or into another one, the `olddir`. A renamed file is known by its inode,
whatever its name. A copy has a name as rotations give one (`names_of`) and the same bytes before
the bookmark's place. Either is read on from there, then the whole files that were rotated after it,
then the log. Those are known by such a name, or by the form of the name that the first one got: the
same but for its digits. What was compressed or removed is not read, and where it may hold lines
that were not read, that is told.

Worked example. `syslog` was read to byte 900 and is `syslog-20261126` by now, with the same inode.
`syslog-20261127` was written later: it is read whole. So is `syslog`.
"""

import os
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

MOST_FILES = 1_000
"""Of a log, that are looked into."""
MOST_NAMES = 200_000
"""Of a folder."""
MOST_NAMED = 3
MOST_CHECKED = 4_096
"""Bytes before a place of which its checksum is."""
COMPRESSED = (".gz", ".xz", ".bz2", ".zst", ".lz4", ".lzma", ".Z")
_COMPRESSED = f"(?:{'|'.join(map(re.escape, COMPRESSED))})?"
_NUMBER = r"\.\d{1,6}"
_DATE = r"[.\-_]\d{4}[\dTZ:_.-]{2,26}"
"""Also seconds since 1970."""
_WORD = r"[.\-_](?:old|prev|previous)"
_DIGITS = re.compile(r"\d+")


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
            with path.open("rb") as handle:
                return checksum(handle.fileno(), self.offset) == self.check
        except OSError:
            return False


def checksum(descriptor: int, offset: int) -> int:
    """Of the bytes before a place in a file, at most MOST_CHECKED."""
    begin = max(0, offset - MOST_CHECKED)
    return zlib.crc32(os.pread(descriptor, offset - begin, begin))


class Rotated(NamedTuple):
    """What a log has become. `files` are to be read before it, oldest first: the first from the
    place on, the others whole; none where the place is not found. `unread` are not read, and may
    hold lines behind the place."""

    files: tuple[Path, ...]
    unread: tuple[Path, ...]


class _Old(NamedTuple):
    """A file that a rotation made; `written_ns`: when its last line was written."""

    written_ns: int
    path: Path

    @property
    def is_compressed(self) -> bool:
        return self.path.name.endswith(COMPRESSED)


def rotated_since(log: Path, place: Place, olddir: Path | None = None) -> Rotated:
    """What a log has become since it was read to a place that is not in it any more. `olddir`
    counts from the log's folder. Costs the names of the folders, and a look into each file that a
    rotation of this log made."""
    names = tuple(_names(log, olddir))
    named, same = _of_log(names, log, place)
    renamed = next((each for each in same if place.holds(each, is_same=True)), None)
    if renamed is not None:
        form = _form_of(renamed.name, log.name)
        named |= {each.path for each in names if form.fullmatch(each.name)}
    olds = _dated(named)
    plain = [each.path for each in olds if not each.is_compressed]
    # A copy: the newest, since one that was copied twice holds less behind the place.
    copies = (each for each in reversed(plain) if place.holds(each, is_same=False))
    first = renamed or next(copies, None)
    if first is not None:
        at_ns = first.stat().st_mtime_ns
        after = [each for each in olds if each.written_ns >= at_ns and each.path != first]
        whole = [each.path for each in after if not each.is_compressed]
        unread = [it.path for it in after if it.is_compressed and it.written_ns > at_ns]
        return Rotated((first, *whole), tuple(unread))
    # Which of them were read is not known but by their times: to read one again would blame a
    # node for what was repaired since.
    since = (each.path for each in olds if each.written_ns // 1_000_000_000 >= place.read_s)
    return Rotated((), tuple(since))


def missed(place: Place, rotated: Rotated) -> str | None:
    """What to say of lines that are not read; None where all are."""
    names = ", ".join(path.name for path in rotated.unread[-MOST_NAMED:])
    if rotated.files:
        return f"it was rotated, and {names} was compressed and not read" if names else None
    look = f"; look in {names}" if names else ""
    return (
        "it is another file now, or was cut, and what the one before held behind byte"
        f" {place.offset} was not read{look}"
    )


def names_of(log_name: str) -> re.Pattern[str]:
    """The names that rotations give the old files of a log: `kern.log.1`, `kern.log-20261127`,
    `kern.log.20261127T2200`, `kern.log.old`; with the log's extension last, `kern-20261127.log` and
    `kern.1.log`; each also compressed."""
    stem, dot, extension = log_name.rpartition(".")
    found = f"{re.escape(log_name)}(?:{_NUMBER}|{_DATE}|{_WORD})"
    if dot and stem:
        found += f"|{re.escape(stem)}(?:{_NUMBER}|{_DATE}){re.escape(dot + extension)}"
    return re.compile(f"(?:{found}){_COMPRESSED}")


class _Name(NamedTuple):
    """A file of a folder."""

    name: str
    path: Path
    inode: int


def _names(log: Path, olddir: Path | None) -> Iterator[_Name]:
    """The files of the log's folder and of `olddir`, but the log itself."""
    folders = {log.parent} if olddir is None else {log.parent, log.parent / olddir}
    for folder in sorted(folders):
        try:
            with os.scandir(folder) as entries:
                for each in islice(entries, MOST_NAMES):
                    path = folder / each.name
                    if path != log:
                        yield _Name(each.name, path, each.inode())
        except OSError:
            continue


def _of_log(names: Iterable[_Name], log: Path, place: Place) -> tuple[set[Path], list[Path]]:
    """The files that a rotation of the log made, by their names; and those that may be the file of
    the place, by their inodes."""
    pattern = names_of(log.name)
    start = log.name.rpartition(".")[0] or log.name
    named: set[Path] = set()
    same: list[Path] = []
    for each in names:
        is_named = each.name.startswith(start) and pattern.fullmatch(each.name) is not None
        if is_named:
            named.add(each.path)
        # An empty file is known by its inode alone, which another log may have by now.
        if each.inode == place.inode and (is_named or place.offset):
            same.append(each.path)
    return named, same


def _form_of(name: str, log_name: str) -> re.Pattern[str]:
    """Of the names that are as this one but for digits; those of the log's own name stay."""
    stem = log_name.rpartition(".")[0] or log_name
    before, own, after = name.partition(log_name if log_name in name else stem)
    before, after = (_DIGITS.sub(r"\\d+", re.escape(part)) for part in (before, after))
    return re.compile(f"{before}{re.escape(own)}{after}{_COMPRESSED}")


def _dated(paths: Iterable[Path]) -> list[_Old]:
    """By when their last lines were written; at most the newest MOST_FILES."""
    found = []
    for path in paths:
        try:
            found.append(_Old(path.stat().st_mtime_ns, path))
        except OSError:
            continue
    return sorted(found)[-MOST_FILES:]
