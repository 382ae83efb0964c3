"""How a process that the zygote forked gives up its rights, before it runs anything of a job.

In order, because each step may need a right that a later one takes away:

1. a session of its own, so that no signal to its group reaches the zygote;
2. standard input, output and errors are /dev/null; of all other descriptors only those named stay;
3. a mount namespace of its own, in which /tmp becomes an empty file system in memory, with bounds
   on bytes and on files (the zygote took /proc out of sight for all of them);
4. a user of its own, where the zygote is root; no capability in any case;
5. limits on memory, CPU time, processes, open files and the size of a file, hard ones;
6. the filter on system calls.

The `Jailer` also makes it the first process of a process namespace of its own: it sees no other
process, and whatever it forks ends with it.
"""

import fcntl
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass

from parkade.compound.verify.sandbox.inside import frames, kernel

HOME = "/tmp"
#: Standard output of the zygote, which is /dev/null; so are its standard errors.
NULL = 1
FIRST_KEPT, ASIDE = 3, 100


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


Work = Callable[[tuple[int, ...]], None]


class Jailer:
    """Forks jailed processes for the zygote."""

    def __init__(self, walls: Walls, own_namespace: int | None) -> None:
        self._walls = walls
        #: The zygote's own process namespace; None without namespaces.
        self._own_namespace = own_namespace

    def fork(self, bounds: Bounds, seat: int, keep: tuple[int, ...], work: Work) -> int:
        """Calls `work` in a jailed process, with its new numbers of the descriptors it keeps.

        `seat` tells apart the jailed processes of one job. Gives the process id.
        """
        if self._own_namespace is None:
            return self._fork(bounds, seat, keep, work)
        kernel.unshare(kernel.CLONE_NEWPID)
        try:
            return self._fork(bounds, seat, keep, work)
        finally:
            kernel.set_children_pid_namespace(self._own_namespace)

    def _fork(self, bounds: Bounds, seat: int, keep: tuple[int, ...], work: Work) -> int:
        pid = os.fork()
        if pid == 0:
            _live(self._walls, bounds, seat, keep, work)
        return pid


def _live(walls: Walls, bounds: Bounds, seat: int, keep: tuple[int, ...], work: Work) -> None:
    code = 1
    try:
        kept = _shut_descriptors(keep)
        try:
            enter(walls, bounds, seat)
        except OSError as error:
            frames.send(kept[0], frames.dump([f"cannot be jailed: {error}"]))
            return
        try:
            work(kept)
        except frames.Ended:
            pass
        code = 0
    finally:
        os._exit(code)


def enter(walls: Walls, bounds: Bounds, seat: int) -> None:
    """Gives up this process's rights for good; `OSError` if a wall cannot be raised."""
    os.setsid()
    user = None if walls.first_user is None else walls.first_user + seat
    if walls.has_namespaces:
        _change_root(bounds, user)
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    if walls.has_namespaces:
        os.chdir(HOME)
    kernel.set_process_option(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.drop_capabilities()
    _limit(walls, bounds)
    if walls.filter_code is not None:
        kernel.install_filter(walls.filter_code)


def _shut_descriptors(keep: tuple[int, ...]) -> tuple[int, ...]:
    aside = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, ASIDE) for descriptor in keep]
    os.dup2(NULL, 0)
    kept = tuple(os.dup2(one, FIRST_KEPT + at) for at, one in enumerate(aside))
    os.closerange(FIRST_KEPT + len(kept), os.sysconf("SC_OPEN_MAX"))
    return kept


def _change_root(bounds: Bounds, user: int | None) -> None:
    kernel.unshare(kernel.CLONE_NEWNS)
    owner = "" if user is None else f",uid={user},gid={user}"
    size = f"size={bounds.file_bytes},nr_inodes={bounds.files},mode=0700"
    kernel.mount_memory(HOME.encode(), size + owner)


def _limit(walls: Walls, bounds: Bounds) -> None:
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
    for kind, most in limits.items():
        hard = resource.getrlimit(kind)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, bound))
