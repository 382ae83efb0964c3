"""Which signals a process listens to, by a handler or without one.

A handler is in the mask of caught signals. A program may also block a signal and then take it from
a `signalfd`, wait for it in `sigwait`, or look for it now and then (`sigpending`, `sigtimedwait`
without a wait). Each can be seen from outside:

    handler         SigCgt in /proc/PID/status
    signalfd        the mask in /proc/PID/fdinfo/FD, of what all threads block
    sigwait         the set that a thread in `rt_sigtimedwait` waits for, read from its memory
    looked for      blocked in every thread; it is seen so twice before it is believed,
                    because libraries block all signals for a moment (`blocked`)

A signal that all threads block ends no process, so a wrong guess is harmless while it stays
blocked. A process of another user, or with more threads than MOST_THREADS, is judged by what can be
read of it.

The set of `sigwait` lies in the process's memory, and its owner can make a page of it one of a FUSE
file system of its own, which never comes: the reader then sleeps in the kernel, deaf to every
signal, until that file system ends. A keeper that slept so would not kill at the deadline. So a
thread reads it, which is waited for; while MOST_READERS sleep, no set is read: the program counts
as one that does not listen. (Of `environ` and `cmdline` Linux reads no page of a file, since 4.17.)
"""

import contextlib
import os
import platform
import threading
from collections.abc import Iterator
from pathlib import Path

from parkade.engines.local.processes import PROC

RT_SIGTIMEDWAIT = {"x86_64": 128, "aarch64": 137, "riscv64": 137}.get(platform.machine())
MOST_THREADS = 512
SET_BYTES = 8
READ_S = 1.0
MOST_READERS = 4
_readers: dict[int, threading.Thread] = {}


def caught(pid: int) -> int:
    """The mask of signals that the process has a handler for; 0 where it is gone."""
    return _mask(PROC / str(pid) / "status", "SigCgt:") or 0


def taken(pid: int) -> int:
    """The mask of signals that it takes from a signalfd or waits for right now."""
    return (_from_descriptors(pid) & blocked(pid)) | _waited_for(pid)


def blocked(pid: int) -> int:
    """The mask of signals that all its threads block; 0 where that cannot be told."""
    found: int | None = None
    for thread in _threads(pid):
        mask = _mask(thread / "status", "SigBlk:")
        if mask is not None:
            found = mask if found is None else found & mask
    return found or 0


def _threads(pid: int) -> list[Path]:
    try:
        found = sorted((PROC / str(pid) / "task").iterdir())
    except OSError:
        return []
    return found if len(found) <= MOST_THREADS else []


def _mask(path: Path, key: str) -> int | None:
    for line in _lines(path):
        if line.startswith(key):
            return int(line.split()[1], 16)
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _from_descriptors(pid: int) -> int:
    found = 0
    try:
        descriptors = list((PROC / str(pid) / "fdinfo").iterdir())
    except OSError:
        return 0
    for descriptor in descriptors[:MOST_THREADS]:
        found |= _mask(descriptor, "sigmask:") or 0
    return found


def _waited_for(pid: int) -> int:
    addresses = list(_wait_addresses(pid))
    for awake in [it for it, reader in _readers.items() if not reader.is_alive()]:
        del _readers[awake]
    if not addresses or pid in _readers or len(_readers) >= MOST_READERS:
        return 0
    found: list[int] = []
    reader = threading.Thread(target=_read, args=(pid, addresses, found), daemon=True)
    try:
        reader.start()
    except RuntimeError:
        # The workload left no room for a thread.
        return 0
    _readers[pid] = reader
    reader.join(READ_S)
    mask = 0
    for one in found:
        mask |= one
    return mask


def _read(pid: int, addresses: list[int], found: list[int]) -> None:
    """Adds the sets at these addresses."""
    with contextlib.suppress(OSError):
        descriptor = os.open(PROC / str(pid) / "mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            sets = (os.pread(descriptor, SET_BYTES, address) for address in addresses)
            found.extend(int.from_bytes(it, "little") for it in sets)
        finally:
            os.close(descriptor)


def _wait_addresses(pid: int) -> Iterator[int]:
    """Where each thread that waits for signals has the set it waits for."""
    for thread in _threads(pid):
        words = " ".join(_lines(thread / "syscall")).split()
        if len(words) > 1 and words[0] == str(RT_SIGTIMEDWAIT):
            yield int(words[1], 16)
