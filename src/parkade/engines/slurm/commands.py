"""Runs Slurm's commands: each with a time-out, bounded output, and nothing of our environment.

What a command says of its failure decides the error: Slurm cannot be reached (`Unreachable`), it
refused the request for good (`InvalidSpec`), an administrator has to let the user in first
(`NotAdmitted`), or it may work later (`Transient`). A hanging command
is killed and counts as unreachable: whether it did its work is then not known.

Input and output go through files, which bounds memory. Files of our own commands are used again:
to make new ones for each of many is a good part of what a launch costs. Those of a command that
runs as another user are not: who holds them open could read the next user's script, or write what
a later command seems to say.
"""

import os
import queue
import select
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from parkade.engines.local.records import Account
from parkade.engines.slurm.settings import SlurmSettings
from parkade.ports import InvalidSpec, Transient, Unreachable

MOST_BYTES = 64 * 1024 * 1024
MOST_WORDS = 500
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OUT_OF_REACH = (
    "unable to contact slurm controller", "connection refused", "connection timed out",
    "socket timed out", "unable to connect", "communication connection failure",
    "communications connection failure", "munge", "zero bytes were transmitted",
    "protocol authentication error", "slurmctld/slurmdbd in standby mode",
    "address already in use", "could not establish a configuration source",
)  # fmt: skip
FOR_GOOD = (
    "invalid", "unrecognized option", "not permitted", "access/permission denied",
    "requested node configuration is not available", "job violates", "not allowed", "exceeds",
    "script is not provided", "is not available",
)  # fmt: skip
ADMITTED_BY = {
    "is not in the group": "an administrator adds it: usermod -aG GROUP USER",
    "invalid account": "an administrator adds its user: sacctmgr add user USER account=ACCOUNT",
    "invalid qos": "an administrator lets its user have it: sacctmgr modify user USER set qos+=QOS",
}
"""What is refused until an administrator did this: no doing of the workload's."""
SUDO = "sudo"
"""Runs a command as another user (`acting`)."""


class NotAdmitted(Transient):
    """The launcher's group, or Slurm's account or QOS, lacks the user; the message says how it gets
    in."""


class Runner(Protocol):
    """What runs Slurm's commands."""

    def run(self, *words: str, stdin: str = "", account: Account | None = None) -> bytes:
        """See `Commands.run`."""
        ...


class Spool:
    """The files of one command at a time: what it is given, its output and its complaints. They go
    with the spool."""

    def __init__(self) -> None:
        self.given, self.out, self.err = self._all = tuple(_nameless() for _ in range(3))
        self.close = weakref.finalize(self, _close, self._all)

    def empty(self) -> None:
        """For the next command."""
        for descriptor in self._all:
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)


class Commands:
    """Slurm's commands on this machine. They block; callers run them in threads."""

    def __init__(self, settings: SlurmSettings) -> None:
        self.timeout_s = settings.timeout_s
        found = {"PATH": f"{os.environ.get('PATH', '')}:{PATH}", "LANG": "C.UTF-8", "TZ": "UTC"}
        conf = settings.conf or os.environ.get("SLURM_CONF")
        self.environment = found | ({"SLURM_CONF": conf} if conf else {})
        self._idle: queue.SimpleQueue[Spool] = queue.SimpleQueue()

    def run(self, *words: str, stdin: str = "", account: Account | None = None) -> bytes:
        """What a command printed. `account`: the user that it runs as, None for our own."""
        program = shutil.which(words[0], path=self.environment["PATH"])
        if program is None:
            raise Unreachable(f"{words[0]} is not installed here; install Slurm's client commands")
        is_ours = account is None and words[0] != SUDO
        spool = self._take_spool() if is_ours else Spool()
        code = self._run((program, *words[1:]), stdin, account, spool)
        if code is None:
            spool.close()
            raise Unreachable(f"{words[0]} did not answer within {self.timeout_s} s")
        try:
            if code != 0:
                complaint = _read(spool.err, MOST_WORDS * 4).decode(errors="replace").strip()
                raise _error(words[0], complaint or f"exit code {code}")
            if os.fstat(spool.out).st_size > MOST_BYTES:
                raise Transient(f"{words[0]} printed more than {MOST_BYTES} bytes")
            return _read(spool.out, MOST_BYTES)
        finally:
            if is_ours:
                self._idle.put(spool)
            else:
                spool.close()

    def _take_spool(self) -> Spool:
        try:
            spool = self._idle.get_nowait()
        except queue.Empty:
            return Spool()
        spool.empty()
        return spool

    def _run(
        self, words: tuple[str, ...], stdin: str, account: Account | None, spool: Spool
    ) -> int | None:
        """The exit code; None where it was killed at the time-out."""
        os.pwrite(spool.given, stdin.encode(), 0)
        child = subprocess.Popen(
            words,
            env=self.environment,
            cwd="/",
            stdin=spool.given,
            stdout=spool.out,
            stderr=spool.err,
            start_new_session=True,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else os.getgrouplist(account.name, account.gid),
        )
        if _ends(child, self.timeout_s):
            return child.wait()
        # Of a launcher's command, which ends by itself, only root could end it.
        with suppress(PermissionError):
            child.kill()
            child.wait()
        return None


def _nameless() -> int:
    with tempfile.TemporaryFile(buffering=0) as file:
        return os.dup(file.fileno())


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _ends(child: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Whether it ended in time. Seen at once, where `wait` with a time-out looks now and then."""
    descriptor = os.pidfd_open(child.pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))
    finally:
        os.close(descriptor)


def _read(descriptor: int, most: int) -> bytes:
    return os.pread(descriptor, most, 0)


def _error(program: str, complaint: str) -> Exception:
    named = complaint if complaint.startswith(f"{program}: ") else f"{program}: {complaint}"
    words = named[: MOST_WORDS + len(program) + 2]
    lower = words.lower()
    if any(one in lower for one in OUT_OF_REACH):
        return Unreachable(words)
    for phrase, admitted in ADMITTED_BY.items():
        if phrase in lower:
            return NotAdmitted(f"{words}; {admitted}")
    if "reservation" in lower:
        # Nodes come into a fence and leave it; what is outside of it now may be inside soon.
        return Transient(words)
    return InvalidSpec(words) if any(one in lower for one in FOR_GOOD) else Transient(words)
