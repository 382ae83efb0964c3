"""Runs a hostile program in a sandbox, then an honest one, and looks at what is left.

`as_nobody` gives the sandbox of an ordinary user although the tests run as root, so that both
ways in which walls are raised are attacked: users of their own, and a user namespace.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
import pytest

from parkade.compound.verify.sandbox import inside
from parkade.compound.verify.sandbox.errors import SandboxUnavailable
from parkade.compound.verify.sandbox.jobs import TestJob, TestOutcome
from parkade.compound.verify.sandbox.limits import SECOND_US, Limits
from parkade.compound.verify.sandbox.plan import (
    FIRST_USER,
    MOST_ROOMS,
    SEATS,
    Python,
    RoomPlan,
    plan,
)
from parkade.compound.verify.sandbox.pool import Sandbox

SYSTEM_PYTHON = Path("/usr/bin/python3")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")

#: Far more than any honest job needs, on a machine that is ten times slower.
PATIENT = Limits(wall_us=120 * SECOND_US, cpu_seconds=30, processes=8)
#: Of a room that is in use: bubblewrap, the zygote, a tester that waits for the next job.
OWN_PROCESSES = 3
HONEST = "def f(x):\n    return x + 1\n"


class Aftermath(msgspec.Struct, frozen=True, kw_only=True):
    """What an attack led to."""

    outcome: TestOutcome
    #: Of an honest job on the same sandbox, right after.
    is_next_passed: bool
    #: Processes that outlived the attack: any but the sandbox's own, which are the room, the zygote
    #: and a tester.
    left: tuple[str, ...]


def job(source: str, tests: str = "assert f(1) == 2\n") -> TestJob:
    """A program that defines `f`, and tests that an honest one passes."""
    return TestJob(source=source, prelude="", tests=tests, names=("f",), check=None)


async def attack(sandbox: Sandbox, hostile: TestJob, limits: Limits = PATIENT) -> Aftermath:
    """The hostile job first, then the honest one; the sandbox must have one room."""
    assert (await sandbox.test(job(HONEST), PATIENT)).is_passed
    own = _trees(sandbox)
    outcome = await sandbox.test(hostile, limits)
    left = _beyond(own, sandbox)
    following = await sandbox.test(job(HONEST), PATIENT)
    left += _beyond(own, sandbox)
    return Aftermath(outcome=outcome, is_next_passed=following.is_passed, left=tuple(left))


def _trees(sandbox: Sandbox) -> list[psutil.Process]:
    rooms = [psutil.Process(pid) for pid in sandbox.processes()]
    return [one for room in rooms for one in (room, *room.children(recursive=True))]


def _beyond(own: list[psutil.Process], sandbox: Sandbox) -> list[str]:
    """Processes of a room that was given up, and any of one in use that are not its own."""
    now = _trees(sandbox)
    given_up = [one for one in own if one not in now and one.is_running()]
    added = now[OWN_PROCESSES:]
    return [f"{one.pid} of user {one.uids().real}" for one in (*given_up, *added, *_guests())]


def _guests() -> list[psutil.Process]:
    """Where this process is root: its candidates, and its testers that are in no open room."""
    first = FIRST_USER + os.getpid() * MOST_ROOMS * SEATS
    found = []
    for one in psutil.process_iter(["uids"]):
        seat = one.info["uids"].real - first
        is_guest = 0 <= seat < MOST_ROOMS * SEATS
        if is_guest and (seat % SEATS == 0 or not _is_kept(one)):
            found.append(one)
    return found


def _is_kept(tester: psutil.Process) -> bool:
    try:
        return os.getpid() in [one.pid for one in tester.parents()]
    except psutil.NoSuchProcess:
        return True


class NobodysSandbox(Sandbox):
    """As a user without rights would have it."""

    def __init__(self, python: Python, folder: Path) -> None:
        super().__init__(rooms=1, python=python, limits=PATIENT)
        self._folder = folder

    def _plan(self, number: int) -> RoomPlan:
        as_user = plan(self._python, room=number, is_root=False)
        own = str(Path(inside.__path__[0]).resolve())
        command = [str(self._folder) if part == own else part for part in as_user.command]
        return msgspec.structs.replace(as_user, command=(*NOBODY, *command))


@contextmanager
def as_nobody() -> Iterator[NobodysSandbox]:
    """A sandbox for which user 65534 pays; skips where tests are not run by root."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    if not SYSTEM_PYTHON.exists() or shutil.which("setpriv") is None:
        pytest.skip("needs /usr/bin/python3 and setpriv")
    try:
        python = Python.at(SYSTEM_PYTHON)
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    with tempfile.TemporaryDirectory(prefix="parkade-nobody-") as folder:
        Path(folder).chmod(0o755)
        copy = Path(folder) / "inside"
        shutil.copytree(inside.__path__[0], copy, ignore=shutil.ignore_patterns("__pycache__"))
        yield NobodysSandbox(python, copy)
