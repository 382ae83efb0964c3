"""What /proc says about processes, and signals that cannot reach another process.

A process is its pid and its start time together: a pid alone may have been given to another.
"""

import ctypes
import functools
import os
import signal
from collections.abc import Iterable
from pathlib import Path

import msgspec

from parkade.boots import BOOT_ID

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PROC = Path("/proc")
DEAD_STATES = ("Z", "X")
STOPPED_STATES = ("T", "t")


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One line of /proc/PID/stat."""

    pid: int
    name: str
    state: str
    parent: int
    group: int
    session: int
    start_ticks: int


@functools.cache
def boot_id() -> str:
    """Another one after each boot of the machine."""
    return BOOT_ID.read_text().strip()


def booted_us() -> int:
    """When the machine was booted, to the second."""
    for line in (PROC / "stat").read_text().splitlines():
        if line.startswith("btime "):
            return int(line.split()[1]) * 1_000_000
    return 0


def look(pid: int) -> Process | None:
    """The process of that pid, or None where there is none."""
    try:
        text = (PROC / str(pid) / "stat").read_bytes().decode(errors="replace")
    except OSError:
        return None
    # The name stands in parentheses and may itself hold blanks and parentheses.
    before, _, after = text.rpartition(")")
    fields = after.split()
    return Process(
        pid=pid,
        name=before.partition("(")[2],
        state=fields[0],
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        start_ticks=int(fields[19]),
    )


def everyone() -> dict[int, Process]:
    """All processes of the machine. Cost grows with their number."""
    found: dict[int, Process] = {}
    for name in os.listdir(PROC):  # noqa: PTH208  (three times faster than iterdir)
        if name.isdigit() and (process := look(int(name))) is not None:
            found[process.pid] = process
    return found


def descendants(roots: Iterable[int], among: dict[int, Process]) -> dict[int, Process]:
    """Children of the roots, their children, and so on; without the roots."""
    children: dict[int, list[Process]] = {}
    for process in among.values():
        children.setdefault(process.parent, []).append(process)
    found: dict[int, Process] = {}
    open_pids = list(roots)
    while open_pids:
        for child in children.get(open_pids.pop(), ()):
            if child.pid not in found:
                found[child.pid] = child
                open_pids.append(child.pid)
    return found


def marked(marks: tuple[bytes, ...], among: dict[int, Process]) -> dict[int, Process]:
    """Those whose environment at their start held every mark (`KEY=value`)."""
    found: dict[int, Process] = {}
    for pid, process in among.items():
        try:
            variables = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if all(mark in variables for mark in marks):
            found[pid] = process
    return found


def with_open(paths: frozenset[str], among: dict[int, Process]) -> dict[int, Process]:
    """Those that hold one of the files open. Cost: a look at each open file of these processes."""
    found: dict[int, Process] = {}
    for pid, process in among.items():
        folder = f"/proc/{pid}/fd"
        try:
            names = os.listdir(folder)  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            try:
                is_one = os.readlink(f"{folder}/{name}") in paths  # noqa: PTH115
            except OSError:
                continue
            if is_one:
                found[pid] = process
                break
    return found


def is_alive(pid: int, start_ticks: int) -> bool:
    """Whether that very process lives; a zombie does not."""
    process = look(pid)
    return (
        process is not None
        and process.start_ticks == start_ticks
        and process.state not in DEAD_STATES
    )


def open_process(pid: int, start_ticks: int) -> int | None:
    """A pidfd of that very process, or None where it is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    # Checked after opening: from here on the descriptor cannot come to mean another process.
    if is_alive(pid, start_ticks):
        return descriptor
    os.close(descriptor)
    return None


def send(pid: int, start_ticks: int, number: int) -> bool:
    """Signals that very process; False where it is gone."""
    descriptor = open_process(pid, start_ticks)
    if descriptor is None:
        return False
    try:
        signal.pidfd_send_signal(descriptor, number)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def become_subreaper() -> None:
    """Makes orphans among our descendants our children, whatever session they moved to."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def prctl(option: int, value: int) -> None:
    """Sets one option of this process. OSError where the kernel refuses."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
