"""Commands of repairs: the contract of exit code and JSON, time-outs, and what they are given."""

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from parkade.core.healing.incident import Grade, RepairKind, RepairOrder, RepairReport
from parkade.repairs.commands import CommandRepairs, RepairProgram
from tests.clocks import WallClock
from tests.waits import until


def order(**changes: object) -> RepairOrder:
    given: dict[str, object] = {
        "order": "incident-7.2",
        "incident": "incident-7",
        "node": "n1",
        "kind": RepairKind.VALIDATE,
        "grade": Grade.LONG,
        "device": None,
        "ordered_us": 1,
    }
    return RepairOrder(**(given | changes))  # type: ignore[arg-type]


def run(script: str, *, timeout_s: float = 60, **changes: object) -> RepairReport:
    repairs = CommandRepairs(
        {RepairKind.VALIDATE: RepairProgram(words=("sh", "-c", script), timeout_s=timeout_s)},
        WallClock(),
    )
    return asyncio.run(repairs.carry_out(order(**changes)))


@pytest.mark.parametrize(
    ("script", "is_done", "code", "says"),
    [
        ("exit 0", True, 0, ""),
        ("echo looked; exit 0", True, 0, "looked"),
        ('echo a; echo \'{"says": "GPU 3 is slow"}\'; exit 1', False, 1, "GPU 3 is slow"),
        ("echo '{\"other\": 1}'; exit 0", True, 0, '{"other": 1}'),
        ("kill -9 $$", False, -9, ""),
    ],
)
def test_the_exit_code_decides_and_the_last_line_says_why(
    script: str, is_done: bool, code: int, says: str
) -> None:
    report = run(script)
    assert (report.is_done, report.exit_code, report.says) == (is_done, code, says)
    assert report.began_us <= report.ended_us


def test_a_command_knows_its_order_and_sees_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARKADE_TOKEN", "secret")
    monkeypatch.setenv("ANYTHING", "else")
    report = run("env | grep -c -e secret -e ANYTHING; true")
    assert report.says == "0"
    report = run("echo $PARKADE_ORDER $PARKADE_REPAIR $PARKADE_NODE $PARKADE_GRADE", device="x")
    assert report.says == "incident-7.2 validate n1 long"


def test_words_are_filled_in_and_never_read_as_a_script(tmp_path: Path) -> None:
    repairs = CommandRepairs(
        {RepairKind.RESET: RepairProgram(words=("echo", "{node}|{device}"), timeout_s=60)},
        WallClock(),
    )
    evil = order(kind=RepairKind.RESET, grade=None, node=f"n;touch {tmp_path}/x", device="$(id)")
    report = asyncio.run(repairs.carry_out(evil))
    assert report.says == f"n;touch {tmp_path}/x|$(id)"
    assert not (tmp_path / "x").exists()


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    child = tmp_path / "child"
    report = run(f"sleep 1000 & echo $! > {child}; wait", timeout_s=1)
    assert not report.is_done and report.exit_code is None
    assert "not done after 1 s" in report.says
    number = int(child.read_text())
    until(lambda: not _runs(number))


def _runs(number: int) -> bool:
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("end", ["wait", "sleep 1000"])
def test_at_its_time_out_what_took_another_session_is_ended_too(tmp_path: Path, end: str) -> None:
    note = tmp_path / "child"
    report = run(f"setsid sleep 1000 & echo $! > {note}; {end}", timeout_s=1)
    assert not report.is_done and "not done after 1 s" in report.says
    child = int(note.read_text())
    until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie")


def test_a_command_that_ended_is_done_though_a_child_holds_its_output(tmp_path: Path) -> None:
    note = tmp_path / "child"
    report = run(f"setsid sleep 1000 & echo $! > {note}; echo ok; exit 0", timeout_s=600)
    assert (report.is_done, report.exit_code, report.says) == (True, 0, "ok")
    child = psutil.Process(int(note.read_text()))
    assert child.is_running()
    child.kill()


def test_a_command_that_is_not_there_fails_and_says_so() -> None:
    repairs = CommandRepairs(
        {RepairKind.RESET: RepairProgram(words=("/nowhere/reset",), timeout_s=1)}, WallClock()
    )
    report = asyncio.run(repairs.carry_out(order(kind=RepairKind.RESET, grade=None)))
    assert (report.is_done, report.exit_code) == (False, None)
    assert "No such file" in report.says
    assert repairs.kinds == (RepairKind.RESET,)


def test_repairs_run_as_the_agents_own_user() -> None:
    assert run("id -u").says == str(os.getuid())
