"""Waits for a jailed process within bounds of time, memory and output; ends what is left of it.

The kernel's own limits hold for each process. This adds what they lack: wall time, the memory of
all processes of a job together (looked at every `LOOK_SECONDS`), and the length of what they say.
"""

import mmap
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

LOOK_SECONDS = 0.02
GRACE_SECONDS = 0.05
PART_BYTES = 1 << 16
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended."""

    #: Exit code, or minus the signal's number.
    status: int
    #: Whether the watch had to end it.
    is_killed: bool
    cpu_us: int
    peak_bytes: int


class Relay:
    """Takes what a process says and gives it on, part by part, and keeps none of it.

    The parts pass through one piece of memory that no forked process gets (MADV_DONTFORK): else
    what one candidate answers, or the failed line of its tests, could be read by the next.
    """

    def __init__(self, give: Callable[[memoryview], None]) -> None:
        memory = mmap.mmap(-1, PART_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(mmap.MADV_DONTFORK)
        self._part = memoryview(memory)
        self._give = give

    def listen(
        self,
        process: int,
        descriptor: int,
        *,
        done: int | None = None,
        until: float,
        most: int,
        is_too_big: Callable[[], bool],
    ) -> str:
        """Reads until the process of a pidfd ends, or all is said: `done` can be read.

        No longer than `until` (monotonic), no more than `most`. Gives what ended it: exited, done,
        wall, memory or output.
        """
        os.set_blocking(descriptor, False)
        poll = select.poll()
        for one in (process, descriptor) if done is None else (process, descriptor, done):
            poll.register(one, select.POLLIN)
        left = most
        look_at = time.monotonic() + LOOK_SECONDS
        while True:
            now = time.monotonic()
            if now >= until:
                return "wall"
            if now >= look_at:
                if is_too_big():
                    return "memory"
                look_at = now + LOOK_SECONDS
            ready = {one for one, _ in poll.poll(1000 * (min(look_at, until) - now) + 1)}
            is_over = done in ready or process in ready
            if descriptor in ready or is_over:
                left, is_open = self._carry(descriptor, left)
                if not is_open and not is_over:
                    poll.unregister(descriptor)
            if left < 0:
                return "output"
            if is_over:
                return "done" if done in ready else "exited"

    def discard(self, one: socket.socket) -> None:
        """Takes what is there, and gives it to no one."""
        try:
            while one.recv_into(self._part, 0, socket.MSG_DONTWAIT):
                pass
        except BlockingIOError:
            pass

    def _carry(self, descriptor: int, left: int) -> tuple[int, bool]:
        """Carries what is there, up to `left` bytes: how many may follow, below 0 if more were
        there; and whether the other end is open."""
        while True:
            try:
                count = os.readv(descriptor, [self._part])
            except BlockingIOError:
                return left, True
            except ConnectionResetError:
                return left, False
            if count == 0:
                return left, False
            if left > 0:
                self._give(self._part[: min(count, left)])
            left -= count
            if left < 0:
                return left, True


def end(pid: int, *, grace_seconds: float = 0) -> Ended:
    """Kills a process that does not end within a moment; with it ends all it forked."""
    if grace_seconds:
        process = os.pidfd_open(pid)
        try:
            select.select([process], [], [], grace_seconds)
        finally:
            os.close(process)
    found, status, usage = os.wait4(pid, os.WNOHANG)
    is_killed = not found
    if is_killed:
        os.kill(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
    return Ended(
        status=os.waitstatus_to_exitcode(status),
        is_killed=is_killed,
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
