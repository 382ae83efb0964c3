"""The few system calls that Python's `os` lacks, by the C library.

What ctypes needs for a call is made once, at import: else each forked process would make it anew.
Each function raises `OSError` with the call's name if the kernel refuses. A `Call` is one with its
arguments made ready, so that a process that was just forked has nothing to do but make it.
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from typing import Any

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MNT_DETACH = 2

PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_MODE_FILTER = 2

CAPABILITY_VERSION_3 = 0x2008_0522
#: `struct __user_cap_header` for the calling process, and two empty `struct __user_cap_data`.
_OWN_CAPABILITIES = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
_NO_CAPABILITIES = bytes(24)
_LIMIT = struct.Struct("@QQ")

_libc = ctypes.CDLL(None, use_errno=True)
#: Without declared types of arguments: those of a `Call` have their C types already.
_unshare, _setns, _mount, _umount = _libc.unshare, _libc.setns, _libc.mount, _libc.umount2
_prctl, _capset, _prlimit = _libc.prctl, _libc.capset, _libc.prlimit
_setsid, _chdir, _setgroups = _libc.setsid, _libc.chdir, _libc.setgroups
_setresgid, _setresuid = _libc.setresgid, _libc.setresuid
_NOTHING = ctypes.c_ulong(0)

#: A function of the C library, and its arguments as it takes them.
Call = tuple[Any, tuple[Any, ...]]


class _Program(ctypes.Structure):
    """`struct sock_fprog`: a filter of the kernel's classic BPF."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def make(calls: Iterable[Call]) -> None:
    """Makes the calls in order, up to the first that the kernel refuses: `OSError`."""
    for function, arguments in calls:
        if function(*arguments) < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{function.__name__}: {os.strerror(number)}")


def unsharing(flags: int) -> Call:
    """New namespaces: of this process, or of the children it forks from now on (CLONE_NEWPID)."""
    return _unshare, (flags,)


def joining(descriptor: int, kind: int) -> Call:
    """Enters a descriptor's namespace; of CLONE_NEWPID it is the children forked from now on."""
    return _setns, (descriptor, kind)


def mounting_memory(path: bytes, options: str) -> Call:
    """An empty file system in memory over `path`; without devices, programs or set-user-id."""
    flags = ctypes.c_ulong(MS_NOSUID | MS_NODEV | MS_NOEXEC)
    return _mount, (b"tmpfs", path, b"tmpfs", flags, options.encode())


def starting_session() -> Call:
    """setsid(2)."""
    return _setsid, ()


def becoming(user: int) -> tuple[Call, ...]:
    """A user of that number, of a group of that number and no other, for good."""
    number = ctypes.c_uint(user)
    three = (number, number, number)
    return (_setgroups, (_NOTHING, None)), (_setresgid, three), (_setresuid, three)


def going_to(folder: bytes) -> Call:
    """chdir(2)."""
    return _chdir, (folder,)


def setting(option: int, value: int) -> Call:
    """prctl(2) with one argument."""
    return _prctl, (option, ctypes.c_ulong(value), _NOTHING, _NOTHING, _NOTHING)


def dropping_capabilities() -> tuple[Call, ...]:
    """Gives up every capability: ambient, effective, permitted and inheritable."""
    ambient = setting(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    return ambient, (_capset, (_OWN_CAPABILITIES, _NO_CAPABILITIES))


def limiting(kind: int, most: int) -> Call:
    """A limit of this process and what it forks, soft and hard; `kind` as in `resource`."""
    return _prlimit, (0, kind, _LIMIT.pack(most, most), None)


def filtering(code: bytes) -> Call:
    """Refuses system calls as the BPF program says, for this process and all that it forks."""
    program = _Program(len(code) // 8, code)
    mode = ctypes.c_ulong(SECCOMP_MODE_FILTER)
    return _prctl, (PR_SET_SECCOMP, mode, ctypes.byref(program), _NOTHING, _NOTHING)


def unmount(path: bytes) -> None:
    """Takes a file system out of sight at once."""
    make([(_umount, (path, MNT_DETACH))])
