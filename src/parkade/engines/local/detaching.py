"""How a keeper leaves its parent: into a session of its own, under a guard, alone with its folder.

The *guard* is a process that only waits. What loses its keeper becomes the guard's child, wherever
it moved and whatever its environment says, and so the next keeper finds it.
"""

import fcntl
import os
import signal
from pathlib import Path
from typing import NoReturn

from parkade.engines.local import processes, records
from parkade.engines.local.records import Guard


def detach() -> tuple[int, Guard]:
    """Goes on in a process of its own session under a guard; the first one waits for the answer and
    leaves."""
    answer, give_answer = os.pipe()
    if os.fork() != 0:
        os.close(give_answer)
        os._exit(0 if os.read(answer, 1) else 1)
    os.close(answer)
    os.setsid()
    guard = processes.look(os.getpid())
    assert guard is not None
    processes.become_subreaper()
    if os.fork() != 0:
        os.close(give_answer)
        _guard()
    os.setsid()
    return give_answer, Guard(pid=guard.pid, start_ticks=guard.start_ticks)


def _guard() -> NoReturn:
    """Waits until nothing is left, whatever it is sent but KILL."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            os._exit(0)


def lock(folder: Path) -> bool:
    """Holds the folder for this process' life. A record lock is not inherited by the ranks."""
    descriptor = os.open(folder / records.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def wake_by_signals() -> int:
    """A descriptor that becomes readable when a child ended or the engine poked."""
    wake, write_wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(write_wake, False)
    signal.set_wakeup_fd(write_wake, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGUSR1):
        signal.signal(number, lambda _number, _frame: None)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    return wake
