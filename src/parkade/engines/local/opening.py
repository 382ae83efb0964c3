"""Opens a path that a user chose, as a place to look at, without leaving this mount namespace.

A link of /proc, like `/proc/PID/root`, leads to what a process has mounted for itself: anything,
under any path. `openat2` (Linux 5.6) follows all other links only; where there is none, no link is
followed at all.
"""

import ctypes
import errno
import os
import stat
from pathlib import Path

# The same number on every architecture, from Linux' tables of system calls; struct open_how.
_OPENAT2 = 437
_AT_FDCWD = -100
_RESOLVE_NO_MAGICLINKS = 0x02
_PLACE = os.O_PATH | os.O_CLOEXEC


class _How(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def below(folder: Path, named: str) -> int:
    """A descriptor (O_PATH) of what stands at a path, from the folder on where it is relative; it
    may lie anywhere. OSError where it cannot be reached so; ValueError for a NUL in it."""
    name = os.fsencode(folder / named)
    if b"\0" in name:
        raise ValueError("NUL in a path")
    library = ctypes.CDLL(None, use_errno=True)
    how = _How(flags=_PLACE, mode=0, resolve=_RESOLVE_NO_MAGICLINKS)
    found: int = library.syscall(_OPENAT2, _AT_FDCWD, name, ctypes.byref(how), ctypes.sizeof(how))
    if found >= 0:
        return found
    number = ctypes.get_errno()
    if number == errno.ENOSYS:
        return _without_links(folder, named)
    raise OSError(number, os.strerror(number))


def _without_links(folder: Path, named: str) -> int:
    place = os.open(folder, _PLACE)
    for part in Path(named).parts:
        above, place = place, -1
        try:
            place = os.open(part, _PLACE | os.O_NOFOLLOW, dir_fd=above)
        finally:
            os.close(above)
        if stat.S_ISLNK(os.fstat(place).st_mode):
            os.close(place)
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return place
