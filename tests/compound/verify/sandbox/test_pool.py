import asyncio
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from parkade.compound.verify.sandbox.errors import ACCEPTANCE, SandboxUnavailable, UnfitTests
from parkade.compound.verify.sandbox.jobs import CallJob, JobEnding, Returned
from parkade.compound.verify.sandbox.limits import SECOND_US, Limits
from parkade.compound.verify.sandbox.plan import MOST_ROOMS, Python, RoomPlan, plan
from parkade.compound.verify.sandbox.pool import Sandbox
from parkade.compound.verify.sandbox.room import open_room
from tests.compound.verify.sandbox.attack import HONEST, PATIENT, job
from tests.waits import until

ENDLESS = job("def f(x):\n    while True: pass\n")
UNPROTECTED = Limits(wall_us=120 * SECOND_US, cpu_seconds=1)


async def running(before: set[int]) -> psutil.Process:
    """The room that was started since, once a candidate runs in it."""
    me = psutil.Process()
    while True:
        for child in me.children():
            if child.pid not in before and len(child.children(recursive=True)) >= 3:
                return child
        await asyncio.sleep(0)


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def test_without_bubblewrap_nothing_is_run_and_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    async def run() -> None:
        async with Sandbox() as sandbox:
            await sandbox.test(job(HONEST))

    with pytest.raises(SandboxUnavailable, match="bwrap is not installed") as found:
        asyncio.run(run())
    assert ACCEPTANCE in str(found.value) and "apt-get install bubblewrap" in str(found.value)


@pytest.mark.parametrize("words", ["yes", "true", ACCEPTANCE.lower(), ""])
def test_only_the_whole_sentence_lets_code_run_without_a_sandbox(words: str) -> None:
    with pytest.raises(ValueError, match="allow_unsandboxed must be"):
        plan(Python.current(), room=0, is_root=False, allow_unsandboxed=words)


def test_where_it_was_accepted_code_runs_without_a_sandbox_within_its_limits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    note = tmp_path / "pid"
    stray = (
        "import os, time\ndef f(x):\n    child = os.fork()\n    if child == 0:\n"
        "        os.setsid(); os.closerange(0, 64); time.sleep(1e6)\n"
        f"    open({str(note)!r}, 'w').write(str(child))\n    return x + 1\n"
    )

    async def run() -> list[bool]:
        async with Sandbox(rooms=1, allow_unsandboxed=ACCEPTANCE, limits=UNPROTECTED) as sandbox:
            return [
                (await sandbox.test(one)).is_passed
                for one in (job(HONEST), job("def f(x): return x"), ENDLESS, job(stray))
            ]

    assert asyncio.run(run()) == [True, False, False, True]
    assert not psutil.pid_exists(int(note.read_text()))


def test_the_sentence_does_not_take_down_a_sandbox_that_can_be_had() -> None:
    found = plan(Python.current(), room=0, is_root=False, allow_unsandboxed=ACCEPTANCE)
    assert not found.is_unsandboxed


def own_plan() -> RoomPlan:
    return plan(Python.current(), room=MOST_ROOMS - 1, is_root=os.geteuid() == 0)


def with_arguments(*arguments: str) -> RoomPlan:
    found = own_plan()
    at = found.command.index("/") - 1
    command = (*found.command[:at], *arguments, *found.command[at:])
    return msgspec.structs.replace(found, command=command)


@pytest.mark.parametrize(
    ("arguments", "breach"),
    [
        (("--ro-bind", "/etc", "/etc"), "sees /etc/passwd"),
        (("--tmpfs", "/dev/shm"), "sees /dev/shm"),
        (("--perms", "0777", "--dir", "/dev", "--chmod", "0777", "/dev"), "writes in /dev"),
    ],
)
def test_a_sandbox_with_a_hole_is_refused(arguments: tuple[str, ...], breach: str) -> None:
    found = with_arguments(*arguments)
    if breach == "writes in /dev":
        at = found.command.index("/") - 1
        command = (*found.command[:at], *found.command[at + 2 :])
        found = msgspec.structs.replace(found, command=command)
    with pytest.raises(SandboxUnavailable, match=breach):
        asyncio.run(open_room(found))


def test_an_interpreter_in_usr_local_stays_in_sight_and_one_elsewhere_hides_the_folder() -> None:
    local = Python(executable=Path("/usr/local/bin/python3.12"), prefix=Path("/usr/local"))
    elsewhere = Python(executable=Path("/opt/python/bin/python3"), prefix=Path("/opt/python"))
    for python, is_hidden in ((local, False), (elsewhere, True)):
        command = plan(python, room=0, is_root=False).command
        pairs = set(itertools.pairwise(command))
        assert (("--tmpfs", "/usr/local") in pairs) is is_hidden
        hidden = {path for option, path in pairs if option == "--tmpfs"}
        assert hidden == {path for option, path in pairs if option == "--remount-ro"} - {"/"}


def test_what_bubblewrap_says_is_in_the_error() -> None:
    with pytest.raises(SandboxUnavailable, match="no-such-option"):
        asyncio.run(open_room(with_arguments("--no-such-option")))


def test_an_interpreter_that_is_none_is_refused() -> None:
    with pytest.raises(SandboxUnavailable, match="no Python"):
        Python.at(Path("/bin/false"))
    with pytest.raises(SandboxUnavailable, match="no Python"):
        Python.at(Path("/nonexistent"))


def test_a_cancelled_job_ends_at_once_and_the_next_is_answered() -> None:
    async def run() -> tuple[psutil.Process, bool]:
        async with Sandbox(rooms=1, limits=PATIENT) as sandbox:
            before = children()
            task = asyncio.create_task(sandbox.test(ENDLESS))
            room = await running(before)
            inside = room.children(recursive=True)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            until(lambda: not any(map(_is_alive, inside)))
            return room, (await sandbox.test(job(HONEST))).is_passed

    room, is_next_passed = asyncio.run(run())
    assert is_next_passed and not _is_alive(room)


SLOW = job("import time\ndef f(x):\n    time.sleep(2)\n    return x + 1\n")


def test_a_job_whose_room_died_is_run_again_in_another() -> None:
    async def run() -> bool:
        async with Sandbox(rooms=1, limits=PATIENT) as sandbox:
            before = children()
            task = asyncio.create_task(sandbox.test(SLOW))
            (await running(before)).kill()
            return (await task).is_passed

    assert asyncio.run(run())


def test_a_job_over_which_two_rooms_died_is_rejected() -> None:
    async def run() -> JobEnding:
        async with Sandbox(rooms=1, limits=PATIENT) as sandbox:
            before = children()
            task = asyncio.create_task(sandbox.test(SLOW))
            for _ in range(2):
                room = await running(before)
                before.add(room.pid)
                room.kill()
            outcome = await task
            assert not outcome.is_passed
            assert (await sandbox.test(job(HONEST))).is_passed
            return outcome.ending

    assert asyncio.run(run()) is JobEnding.LOST


PROGRAM = """
import asyncio, sys
from parkade.compound.verify.sandbox.pool import Sandbox
from tests.compound.verify.sandbox.attack import PATIENT, job
async def run():
    async with Sandbox(rooms=2, limits=PATIENT) as sandbox:
        endless = job("def f(x):\\n    while True: pass\\n")
        await asyncio.gather(sandbox.test(endless), sandbox.test(endless))
asyncio.run(run())
"""


def test_no_process_outlives_a_program_that_was_killed() -> None:
    root = Path(__file__).resolve().parents[4]
    with subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=root) as program:
        process = psutil.Process(program.pid)
        until(lambda: len(process.children(recursive=True)) >= 8)
        inside = process.children(recursive=True)
        os.kill(program.pid, signal.SIGKILL)
    until(lambda: not any(map(_is_alive, inside)))


def test_two_rooms_serve_two_jobs_at_a_time_and_no_more() -> None:
    async def run() -> int:
        async with Sandbox(rooms=2, limits=PATIENT) as sandbox:
            outcomes = await asyncio.gather(*(sandbox.test(job(HONEST)) for _ in range(12)))
            assert all(outcome.is_passed for outcome in outcomes)
            return len(sandbox.processes())

    assert asyncio.run(run()) == 2


def test_a_closed_sandbox_takes_no_job_and_has_no_process() -> None:
    async def run() -> set[int]:
        before = children()
        sandbox = Sandbox(rooms=1, limits=PATIENT)
        await sandbox.test(job(HONEST))
        sandbox.close()
        with pytest.raises(SandboxUnavailable, match="was closed"):
            await sandbox.test(job(HONEST))
        return children() - before

    assert asyncio.run(run()) == set()


def test_a_room_that_died_while_idle_is_closed_without_an_error() -> None:
    async def run() -> bool:
        sandbox = Sandbox(rooms=1, limits=PATIENT)
        await sandbox.test(job(HONEST))
        [room] = map(psutil.Process, sandbox.processes())
        [zygote] = room.children()
        zygote.kill()
        until(lambda: not _is_alive(room))
        sandbox.close()
        return not any(map(_is_alive, (room, zygote)))

    assert asyncio.run(run())


def test_a_room_that_died_while_idle_is_replaced_by_another() -> None:
    async def run() -> bool:
        async with Sandbox(rooms=1, limits=PATIENT) as sandbox:
            await sandbox.test(job(HONEST))
            [room] = map(psutil.Process, sandbox.processes())
            room.kill()
            return (await sandbox.test(job(HONEST))).is_passed

    assert asyncio.run(run())


def test_unfit_tests_keep_the_room_in_use() -> None:
    async def run() -> bool:
        async with Sandbox(rooms=1, limits=PATIENT) as sandbox:
            await sandbox.test(job(HONEST))
            before = sandbox.processes()
            with pytest.raises(UnfitTests):
                await sandbox.test(job(HONEST, "this is no Python"))
            return sandbox.processes() == before

    assert asyncio.run(run())


LONG = "def f(x): return x + 1\n# " + "x" * (6 << 20)


def test_code_and_tests_longer_than_a_socket_holds_are_read_to_their_end() -> None:
    async def run() -> tuple[bool, bool]:
        async with Sandbox(rooms=1, limits=PATIENT) as sandbox:
            await sandbox.test(job(HONEST))
            before = sandbox.processes()
            outcome = await sandbox.test(job(LONG, "assert f(1) == 2\n# " + "y" * (6 << 20)))
            return outcome.is_passed, sandbox.processes() == before

    assert asyncio.run(run()) == (True, True)


def test_code_that_is_not_read_to_its_end_costs_the_room_and_meets_no_other_job() -> None:
    little = msgspec.structs.replace(PATIENT, memory_bytes=1 << 20)

    async def run() -> tuple[bool, bool, bool]:
        async with Sandbox(rooms=1, limits=PATIENT) as sandbox:
            await sandbox.test(job(HONEST))
            before = sandbox.processes()
            calls = CallJob(source=LONG, calls=(("f", (1,)),))
            outcome = await sandbox.call(calls, little)
            is_answered = isinstance(outcome.answers[0], Returned)
            is_kept = sandbox.processes() == before
            return is_answered, is_kept, (await sandbox.test(job(HONEST))).is_passed

    assert asyncio.run(run()) == (False, False, True)


def test_calls_are_answered_in_order() -> None:
    async def run() -> list[object]:
        async with Sandbox(rooms=1, limits=PATIENT) as sandbox:
            calls = CallJob(source=HONEST, calls=tuple(("f", (n,)) for n in range(500)))
            outcome = await sandbox.call(calls)
            return [one.value() for one in outcome.answers if isinstance(one, Returned)]

    assert asyncio.run(run()) == list(range(1, 501))


@pytest.mark.parametrize("rooms", [0, -1, MOST_ROOMS + 1])
def test_a_number_of_rooms_out_of_bounds_is_refused(rooms: int) -> None:
    with pytest.raises(ValueError, match="rooms"):
        Sandbox(rooms=rooms)


def test_the_environment_of_a_room_is_empty_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARKADE_TEST_SECRET", "swordfish")
    found = own_plan()
    assert found.environment == {}
    assert "swordfish" not in " ".join(found.command)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
