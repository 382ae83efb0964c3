"""Starts keepers, knows from their record lock which folders have one, and ends one that a program
stopped."""

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
from pathlib import Path

import msgspec

import parkade
from parkade.engines.local import processes, records
from parkade.engines.local.processes import Process
from parkade.ports import Transient

MODULE = "parkade.engines.local.keeper"
START_S = 20.0
# struct flock of 64-bit Linux: type, whence, start, length, pid.
FLOCK = "hhqqi4x"


class _Holder(msgspec.Struct, frozen=True, kw_only=True):
    """What holds a folder's lock. `pid`: None where it is of another machine or namespace."""

    pid: int | None


def has_keeper(folder: Path) -> bool:
    """Asks the lock without ever taking it, so that no starting keeper finds it held by us. A
    stopped keeper holds it too."""
    return _holder(folder) is not None


def stopped_keeper(folder: Path) -> Process | None:
    """The folder's keeper where a program stopped it (SIGSTOP, a debugger): it carries out no
    order."""
    holder = _holder(folder)
    if holder is None or holder.pid is None:
        return None
    process = processes.look(holder.pid)
    return process if process is not None and _is_stopped(process, folder) else None


def end_stopped(folder: Path) -> None:
    """Kills the folder's keeper if it is stopped, so that a later look finds none and another is
    started."""
    process = stopped_keeper(folder)
    if process is not None:
        processes.send(process.pid, process.start_ticks, signal.SIGKILL)


def _is_stopped(process: Process, folder: Path) -> bool:
    """Whether that process is this folder's keeper, and stopped."""
    if process.state not in processes.STOPPED_STATES:
        return False
    try:
        words = (processes.PROC / str(process.pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return MODULE.encode() in words and os.fsencode(folder) in words


def _holder(folder: Path) -> _Holder | None:
    """What holds the lock; None where no process does."""
    try:
        descriptor = os.open(folder / records.LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        question = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, question)
    finally:
        os.close(descriptor)
    kind, _, _, _, pid = struct.unpack(FLOCK, answer)
    if kind == fcntl.F_UNLCK:
        return None
    # The kernel gives 0 or less for a process that it cannot name to us.
    return _Holder(pid=pid if pid > 0 else None)


def start_keeper(folder: Path) -> None:
    """Returns once a keeper holds the folder; a second one leaves by itself. Blocks up to START_S.

    It gets none of our environment but where Python finds Parkade. Raises Transient where it
    could not be started.
    """
    source = str(Path(parkade.__file__).parent.parent)
    environment = {"PYTHONPATH": source, "PATH": os.defpath, "LANG": "C.UTF-8"}
    log = _open_log(folder)
    try:
        first = subprocess.Popen(
            [sys.executable, "-s", "-P", "-m", MODULE, str(folder)],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    except OSError as error:
        raise Transient(f"no keeper could be started for {folder}: {error}") from error
    finally:
        os.close(log)
    code = _wait(first)
    if code is None:
        raise Transient(
            f"the keeper of {folder} did not start within {START_S:g} s: is the machine overloaded?"
        )
    if code != 0:
        raise Transient(f"the keeper of {folder} left at once; see its {records.KEEPER_LOG}")


def _open_log(folder: Path) -> int:
    """Its log, or nowhere on a disk without an inode for it."""
    try:
        path = folder / records.KEEPER_LOG
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)


def _wait(first: subprocess.Popen[bytes]) -> int | None:
    """The exit code of the process that the keeper forks from; None where it took longer than
    START_S, after which it is ended."""
    # Popen's own timeout looks only every 50 ms.
    descriptor = os.pidfd_open(first.pid)
    try:
        is_done = bool(select.select([descriptor], [], [], START_S)[0])
    finally:
        os.close(descriptor)
    if not is_done:
        first.kill()
    code = first.wait()
    return code if is_done else None
