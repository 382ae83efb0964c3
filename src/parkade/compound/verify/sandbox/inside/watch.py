"""Waits for a jailed process within bounds of time, memory and output; ends what is left of it.

The kernel's own limits hold for each process. This adds what they lack: wall time, the memory of
all processes of a job together (looked at every `LOOK_SECONDS`), and the length of what they say.
"""

import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

LOOK_SECONDS = 0.02
GRACE_SECONDS = 0.05
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What came through a descriptor until a process ended, or a bound was met."""

    stream: bytes
    #: exited | wall | memory | output
    end: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended."""

    #: Exit code, or minus the signal's number.
    status: int
    #: Whether the watch had to end it.
    is_killed: bool
    cpu_us: int
    peak_bytes: int


def listen(
    pid: int, descriptor: int, *, until: float, most: int, is_too_big: Callable[[], bool]
) -> Heard:
    """Reads until process `pid` ends; no longer than `until` (monotonic), no more than `most`."""
    os.set_blocking(descriptor, False)
    process = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.register(descriptor, select.POLLIN)
    heard = bytearray()
    look_at = time.monotonic() + LOOK_SECONDS
    try:
        while True:
            now = time.monotonic()
            if now >= until:
                return Heard(stream=bytes(heard), end="wall")
            if now >= look_at:
                if is_too_big():
                    return Heard(stream=bytes(heard), end="memory")
                look_at = now + LOOK_SECONDS
            ready = {one for one, _ in poll.poll(1000 * (min(look_at, until) - now) + 1)}
            if descriptor in ready and not _drain(descriptor, heard, most):
                poll.unregister(descriptor)
            if len(heard) > most:
                return Heard(stream=bytes(heard[:most]), end="output")
            if process in ready:
                _drain(descriptor, heard, most)
                return Heard(stream=bytes(heard[:most]), end="exited")
    finally:
        os.close(process)


def _drain(descriptor: int, into: bytearray, most: int) -> bool:
    """Takes what is there, up to one byte more than `most`; False once the end is reached."""
    while len(into) <= most:
        try:
            part = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        if not part:
            return False
        into += part
    return True


def end(pid: int, *, grace_seconds: float) -> Ended:
    """Gives a process a moment to end, then kills it; with it ends all it forked."""
    process = os.pidfd_open(pid)
    try:
        has_ended = bool(select.select([process], [], [], grace_seconds)[0])
    finally:
        os.close(process)
    if not has_ended:
        os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    return Ended(
        status=os.waitstatus_to_exitcode(status),
        is_killed=not has_ended,
        cpu_us=int(1e6 * (usage.ru_utime + usage.ru_stime)),
        peak_bytes=1024 * usage.ru_maxrss,
    )


def read(processes: int, path: str) -> bytes:
    """A small file below /proc, whose descriptor is given."""
    descriptor = os.open(path, os.O_RDONLY, dir_fd=processes)
    try:
        return os.read(descriptor, 1 << 12)
    finally:
        os.close(descriptor)


def private_bytes(processes: int, pid: str) -> int:
    """Memory of a process that is not a file's; 0 if it is gone."""
    try:
        fields = read(processes, f"{pid}/statm").split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * PAGE_BYTES


def jailed_bytes(processes: int, own_bytes: int) -> int:
    """Memory of all other processes in sight, beyond the `own_bytes` each shares with this one."""
    others = (name for name in os.listdir(processes) if name.isdigit() and name != str(os.getpid()))
    return sum(max(0, private_bytes(processes, name) - own_bytes) for name in others)


def end_strays(processes: int) -> None:
    """Kills every child that is left, until there is none; orphans become children first."""
    while True:
        for pid in _children(processes):
            os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children(processes: int) -> list[int]:
    found = []
    for name in os.listdir(processes):
        if name.isdigit():
            try:
                parent = int(read(processes, f"{name}/stat").rpartition(b")")[2].split()[1])
            except OSError:
                continue
            if parent == os.getpid():
                found.append(int(name))
    return found
