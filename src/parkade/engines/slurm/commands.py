"""Runs Slurm's commands: each with a time-out, bounded output, and nothing of our environment.

What a command says of its failure decides the error: Slurm cannot be reached (`Unreachable`), it
refused the request for good (`InvalidSpec`), or it may work later (`Transient`). A hanging command
is killed and counts as unreachable: whether it did its work is then not known.
"""

import os
import shutil
import subprocess
import tempfile
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


class Runner(Protocol):
    """What runs Slurm's commands."""

    def run(self, *words: str, stdin: str = "", account: Account | None = None) -> bytes:
        """See `Commands.run`."""
        ...


class Commands:
    """Slurm's commands on this machine. They block; callers run them in threads."""

    def __init__(self, settings: SlurmSettings) -> None:
        self.timeout_s = settings.timeout_s
        found = {"PATH": f"{os.environ.get('PATH', '')}:{PATH}", "LANG": "C.UTF-8", "TZ": "UTC"}
        conf = settings.conf or os.environ.get("SLURM_CONF")
        self.environment = found | ({"SLURM_CONF": conf} if conf else {})

    def run(self, *words: str, stdin: str = "", account: Account | None = None) -> bytes:
        """What a command printed. `account`: the user that it runs as, None for our own."""
        program = shutil.which(words[0], path=self.environment["PATH"])
        if program is None:
            raise Unreachable(f"{words[0]} is not installed here; install Slurm's client commands")
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            code = self._run((program, *words[1:]), stdin, account, out.fileno(), err.fileno())
            complaint = _read(err.fileno(), MOST_WORDS * 4).decode(errors="replace").strip()
            if code is None:
                raise Unreachable(f"{words[0]} did not answer within {self.timeout_s} s")
            if code != 0:
                raise _error(words[0], complaint or f"exit code {code}")
            if os.fstat(out.fileno()).st_size > MOST_BYTES:
                raise Transient(f"{words[0]} printed more than {MOST_BYTES} bytes")
            return _read(out.fileno(), MOST_BYTES)

    def _run(
        self, words: tuple[str, ...], stdin: str, account: Account | None, out: int, err: int
    ) -> int | None:
        """The exit code; None where it was killed at the time-out."""
        child = subprocess.Popen(
            words,
            env=self.environment,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            start_new_session=True,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else os.getgrouplist(account.name, account.gid),
        )
        try:
            child.communicate(stdin.encode(), timeout=self.timeout_s)
        except subprocess.TimeoutExpired:
            # Of a launcher's command, which ends by itself, only root could end it.
            with suppress(PermissionError):
                child.kill()
                child.wait()
            return None
        return child.returncode


def _read(descriptor: int, most: int) -> bytes:
    return os.pread(descriptor, most, 0)


def _error(program: str, complaint: str) -> Exception:
    words = f"{program}: {complaint[:MOST_WORDS]}"
    lower = words.lower()
    if any(one in lower for one in OUT_OF_REACH):
        return Unreachable(words)
    if "reservation" in lower:
        # Nodes come into a fence and leave it; what is outside of it now may be inside soon.
        return Transient(words)
    return InvalidSpec(words) if any(one in lower for one in FOR_GOOD) else Transient(words)
