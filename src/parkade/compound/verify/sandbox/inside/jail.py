"""How a process that the zygote forked gives up its rights, before it runs anything of a job.

In order, because each step may need a right that a later one takes away:

1. standard input, output and errors are /dev/null; of all other descriptors only those named stay;
2. a session of its own, so that no signal to its group reaches the zygote;
3. a mount namespace of its own, in which /tmp becomes an empty file system in memory, with bounds
   on bytes and on files (the zygote took /proc out of sight for all of them);
4. a user of its own, where the zygote is root; no capability in any case;
5. limits on memory, CPU time, processes, open files and the size of a file, hard ones;
6. the filter on system calls.

From 2 on these are calls of the C library and nothing else. The zygote makes their arguments ready
once for all jobs of the same bounds: each object that a forked process looks at costs it a page of
memory, because Python counts its uses there, and a page costs more than a call.

The `Jailer` also makes it the first process of a process namespace of its own: it sees no other
process, and whatever it forks ends with it.
"""

import os
import resource
from collections.abc import Callable
from dataclasses import dataclass

from parkade.compound.verify.sandbox.inside import frames, kernel

HOME = b"/tmp"
#: Standard output of the zygote, which is /dev/null; so are its standard errors.
NULL = 1
#: Descriptors that a jailed process finds; the zygote has nothing there that it needs.
FIRST_KEPT, MOST_KEPT = 3, 36
MOST_CELLS = 16


@dataclass(frozen=True, kw_only=True)
class Walls:
    """What stands between jailed processes and the machine; the zygote finds out at its start."""

    #: Namespaces and mounts of their own for each process; off only where a person accepted it.
    has_namespaces: bool
    #: The filter on system calls; None only where a person accepted it.
    filter_code: bytes | None
    #: The Unix user that jailed processes change to; None where the zygote is no root.
    first_user: int | None
    #: Processes of the zygote's user that do not count; the kernel counts per user.
    other_processes: int
    #: A descriptor of /proc, which the zygote alone has: there is no such path any more.
    processes: int
    #: Bytes of address space that the interpreter has before it runs anything.
    base_bytes: int


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Limits of each jailed process."""

    memory_bytes: int
    cpu_seconds: int
    processes: int
    open_files: int
    #: Size of all files together, and of each.
    file_bytes: int
    files: int


#: What a jailed process does with the descriptors it keeps; gives its exit code.
Work = Callable[[tuple[int, ...]], int]
Cell = tuple[kernel.Call, ...]


class Jailer:
    """Forks jailed processes for the zygote."""

    def __init__(self, walls: Walls, own_namespace: int | None) -> None:
        self._walls = walls
        self._cells: dict[tuple[Bounds, int], Cell] = {}
        self._apart: Cell = ()
        self._back: Cell = ()
        #: The zygote's own process namespace; None without namespaces.
        if own_namespace is not None:
            self._apart = (kernel.unsharing(kernel.CLONE_NEWPID),)
            self._back = (kernel.joining(own_namespace, kernel.CLONE_NEWPID),)
        self._most_descriptors = os.sysconf("SC_OPEN_MAX")

    def fork(self, bounds: Bounds, seat: int, keep: tuple[int, ...], work: Work) -> int:
        """Calls `work` in a jailed process, with its new numbers of the descriptors it keeps.

        `seat` tells apart the jailed processes of one job. Gives the process id.
        """
        assert len(keep) <= MOST_KEPT
        assert all(descriptor >= FIRST_KEPT + MOST_KEPT for descriptor in keep)
        cell = self._cell(bounds, seat)
        kernel.make(self._apart)
        try:
            pid = os.fork()
            if pid == 0:
                self._live(cell, keep, work)
            return pid
        finally:
            kernel.make(self._back)

    def _cell(self, bounds: Bounds, seat: int) -> Cell:
        key = bounds, seat
        if key not in self._cells:
            if len(self._cells) == MOST_CELLS:
                self._cells.clear()
            self._cells[key] = cell(self._walls, bounds, seat)
        return self._cells[key]

    def _live(self, cell: Cell, keep: tuple[int, ...], work: Work) -> None:
        code = 1
        try:
            kept = self._shut_descriptors(keep)
            try:
                kernel.make(cell)
            except OSError as error:
                frames.send(kept[0], frames.dump([f"cannot be jailed: {error}"]))
                return
            try:
                code = work(kept)
            except frames.Ended:
                code = 0
        finally:
            os._exit(code)

    def _shut_descriptors(self, keep: tuple[int, ...]) -> tuple[int, ...]:
        """Its own numbers of those it keeps, which are `FIRST_KEPT` and so on."""
        os.dup2(NULL, 0)
        first = number = FIRST_KEPT
        for descriptor in keep:
            os.dup2(descriptor, number)
            number += 1
        os.closerange(number, self._most_descriptors)
        return tuple(range(first, number))


def cell(walls: Walls, bounds: Bounds, seat: int) -> Cell:
    """What a jailed process calls to give up its rights for good, in order."""
    user = None if walls.first_user is None else walls.first_user + seat
    calls = [kernel.starting_session()]
    if walls.has_namespaces:
        owner = "" if user is None else f",uid={user},gid={user}"
        size = f"size={bounds.file_bytes},nr_inodes={bounds.files},mode=0700"
        calls.append(kernel.unsharing(kernel.CLONE_NEWNS))
        calls.append(kernel.mounting_memory(HOME, size + owner))
    if user is not None:
        calls += kernel.becoming(user)
    if walls.has_namespaces:
        calls.append(kernel.going_to(HOME))
    calls.append(kernel.setting(kernel.PR_SET_NO_NEW_PRIVS, 1))
    calls += kernel.dropping_capabilities()
    calls += [kernel.limiting(kind, most) for kind, most in _limits(walls, bounds).items()]
    if walls.filter_code is not None:
        calls.append(kernel.filtering(walls.filter_code))
    return tuple(calls)


def _limits(walls: Walls, bounds: Bounds) -> dict[int, int]:
    """No limit is above the zygote's own, which a process without rights could not pass."""
    limits = {
        resource.RLIMIT_AS: walls.base_bytes + bounds.memory_bytes,
        resource.RLIMIT_CPU: bounds.cpu_seconds,
        resource.RLIMIT_NPROC: walls.other_processes + bounds.processes,
        resource.RLIMIT_NOFILE: bounds.open_files,
        resource.RLIMIT_FSIZE: bounds.file_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    found = {}
    for kind, most in limits.items():
        hard = resource.getrlimit(kind)[1]
        found[kind] = most if hard == resource.RLIM_INFINITY else min(most, hard)
    return found
