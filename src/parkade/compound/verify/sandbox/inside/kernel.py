"""The few system calls that Python's `os` lacks, by the C library.

What ctypes needs for a call is made once, at import: else each forked process would make it anew.
Each function raises `OSError` with the call's name if the kernel refuses.
"""

import ctypes
import os
import struct

CLONE_NEWNS = 0x0002_0000
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

_libc = ctypes.CDLL(None, use_errno=True)
_unshare, _setns, _mount, _umount = _libc.unshare, _libc.setns, _libc.mount, _libc.umount2
_prctl, _capset = _libc.prctl, _libc.capset
_prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
_capset.argtypes = [ctypes.c_char_p, ctypes.c_char_p]


class _Program(ctypes.Structure):
    """`struct sock_fprog`: a filter of the kernel's classic BPF."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def unshare(flags: int) -> None:
    """New namespaces: of this process, or of the children it forks from now on (CLONE_NEWPID)."""
    _checked("unshare", _unshare(flags))


def set_children_pid_namespace(descriptor: int) -> None:
    """Children that are forked from now on live in the process namespace of the descriptor."""
    _checked("setns", _setns(descriptor, CLONE_NEWPID))


def mount_memory(path: bytes, options: str) -> None:
    """An empty file system in memory over `path`; without devices, programs or set-user-id."""
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    _checked("mount", _mount(b"tmpfs", path, b"tmpfs", flags, options.encode()))


def unmount(path: bytes) -> None:
    """Takes a file system out of sight at once."""
    _checked("umount2", _umount(path, MNT_DETACH))


def set_process_option(option: int, value: int) -> None:
    """prctl(2) with one argument."""
    _checked("prctl", _prctl(option, value, 0, 0, 0))


def drop_capabilities() -> None:
    """Gives up every capability: ambient, effective, permitted and inheritable."""
    set_process_option(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    _checked("capset", _capset(_OWN_CAPABILITIES, _NO_CAPABILITIES))


def install_filter(code: bytes) -> None:
    """Refuses system calls as the BPF program says, for this process and all that it forks."""
    program = _Program(len(code) // 8, code)
    address = ctypes.addressof(program)
    _checked("prctl", _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, address, 0, 0))


def _checked(name: str, result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
