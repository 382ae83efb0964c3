"""Replacing a file atomically on a disk with no room and no inode left.

A file is usually replaced by writing another beside it and renaming that. On a full disk there is
no other, so each file that must be replaceable has a *spare*, made in advance with a block of its
own: it is overwritten in place and the two names are exchanged, and the old content is the next
spare. Nothing is allocated, and readers still see the old content or the new.
"""

import contextlib
import ctypes
import errno
import os
from pathlib import Path

SPARE_BYTES = 4096
FULL = (errno.ENOSPC, errno.EDQUOT)
AT_FDCWD = -100
RENAME_EXCHANGE = 2


def make(path: Path) -> None:
    """Makes the spare of a file that may not be there yet."""
    descriptor = os.open(_spare(path), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, SPARE_BYTES)
    finally:
        os.close(descriptor)


def replace(path: Path, content: bytes, *, owner: tuple[int, int] | None) -> None:
    """Replaces the file by means of its spare. Raises OSError where there is none, or where the
    content does not fit into what it has."""
    spare = _spare(path)
    descriptor = os.open(spare, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        if os.pwrite(descriptor, content, 0) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(spare))
        os.ftruncate(descriptor, len(content))
        if owner is not None:
            os.fchown(descriptor, *owner)
    finally:
        os.close(descriptor)
    if path.exists():
        exchange(spare, path)
        return
    spare.rename(path)
    with contextlib.suppress(OSError):
        make(path)


def _spare(path: Path) -> Path:
    return path.with_name(f".{path.name}.spare")


def exchange(one: Path, other: Path) -> None:
    """Swaps two names in one step (renameat2)."""
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    if library.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))
