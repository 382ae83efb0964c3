"""Where the lines of a log are that was rotated while its reader was down.

Rotation renames: the file that was read to a bookmark keeps its inode under a name such as
`kern.log.1` or `kern.log-20261127`. It is read on from the bookmark, then the whole files that were
rotated after it, then the log. A file that was compressed, copied and cut, or removed is not read:
what it held behind the bookmark may be missed, and that is said.
"""

import re
from pathlib import Path
from typing import NamedTuple

MOST_FILES = 1_000
"""Of a folder that are looked at."""
MOST_NAMED = 3
_SUFFIX = re.compile(r"(?:\.\d{1,6}|-\d{6,14})(\.(?:gz|xz|bz2|zst|lz4))?")


class Rotated(NamedTuple):
    """`files` are to be read before the log, the first from the bookmark on, the others whole.
    `compressed` cannot be read here; oldest first."""

    files: tuple[Path, ...]
    compressed: tuple[Path, ...]


def rotated_since(log: Path, device: int, inode: int) -> Rotated:
    """What a log has become since a file of this device and inode was read; without `files` that
    file is gone. Costs the names of the folder."""
    plain: list[tuple[int, Path]] = []
    compressed: list[tuple[int, Path]] = []
    read, at_ns = None, 0
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
            if (seen.st_dev, seen.st_ino) == (device, inode):
                read, at_ns = path, seen.st_mtime_ns
    if read is None:
        return Rotated((), tuple(path for _, path in sorted(compressed)[-MOST_NAMED:]))
    later = [path for at, path in sorted(plain) if at >= at_ns and path != read]
    unread = [path for at, path in sorted(compressed) if at > at_ns]
    return Rotated((read, *later), tuple(unread))


def missed(log: Path, offset: int, rotated: Rotated) -> str | None:
    """What to say of lines that are not read; None where all are."""
    names = ", ".join(path.name for path in rotated.compressed[-MOST_NAMED:])
    if rotated.files:
        return f"{log} was rotated, and {names} is compressed and was not read" if names else None
    look = f"; look in {names}" if names else ""
    return (
        f"{log} is another file now, or was cut, and what the one before held behind byte {offset}"
        f" was not read{look}"
    )


def _escaped(name: str) -> str:
    """A name that a pattern of names takes as it stands."""
    return re.sub(r"([*?\[])", r"[\1]", name)
