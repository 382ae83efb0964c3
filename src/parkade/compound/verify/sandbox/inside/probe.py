"""Tries, in a jailed process, what no jailed process may do; names what succeeded."""

import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

from parkade.compound.verify.sandbox.inside import kernel

FORBIDDEN_PATHS = ("/etc/shadow", "/etc/passwd", "/proc/1", "/sys/kernel", "/dev/mem", "/dev/shm")
READ_ONLY = ("/", "/usr", "/dev", str(Path(__file__).parent))


def breaches() -> list[str]:
    """One line for each wall that does not stand; empty if all do."""
    found = [what for what, attempt in ATTEMPTS.items() if _succeeds(attempt)]
    found += [f"sees {path}" for path in FORBIDDEN_PATHS if Path(path).exists()]
    found += [f"writes in {path}" for path in READ_ONLY if _succeeds(partial(_write, path))]
    if os.getpid() != 1:
        found.append("shares a process namespace")
    if 0 in (os.getuid(), os.geteuid()):
        found.append("is root")
    return found


def _write(folder: str) -> None:
    os.close(os.open(f"{folder}/.parkade-probe", os.O_WRONLY | os.O_CREAT))


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def _unix_socket() -> None:
    socket.socket(socket.AF_UNIX).close()


def _internet_socket() -> None:
    socket.socket(socket.AF_INET).close()


ATTEMPTS: dict[str, Callable[[], object]] = {
    "opens a network socket": _internet_socket,
    "opens a local socket": _unix_socket,
    "makes a mount namespace": lambda: kernel.make([kernel.unsharing(kernel.CLONE_NEWNS)]),
    "makes a user namespace": lambda: kernel.make([kernel.unsharing(kernel.CLONE_NEWUSER)]),
    "mounts": lambda: kernel.make([kernel.mounting_memory(b"/tmp", "size=1m")]),
    "changes its user": lambda: os.setuid(0),
    "runs a program": lambda: os.execv("/usr/bin/env", ["env"]),
}
