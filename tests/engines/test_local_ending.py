"""What is left when the engine is removed from a machine: nothing."""

import asyncio
import errno
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from subprocess import PIPE

import pytest
from typer.testing import CliRunner

from parkade.cli.app import app
from parkade.control.leadership import FileLeadership
from parkade.engines.local import overdue, processes, records, spawn
from parkade.engines.local.ending import KILL_AFTER_S, EndedAttempt, end_everything
from parkade.engines.local.gang import Gang
from parkade.engines.local.leases import Silence
from parkade.engines.local.leaving import Leaving
from parkade.engines.local.state_file import StateFile
from parkade.ports import DesiredAttempt
from tests.engines import standins
from tests.engines.conftest import LocalPlace, kill_keeper, up
from tests.engines.trial import (
    FOR_EVER,
    NEVER_LEAVES,
    ask,
    attempt_of,
    launched,
    now_us,
    order_in,
    released,
    run,
    until,
)
from tests.waits import POLL_S

pytestmark = pytest.mark.system
DEEP = 600
HOLDS = """
import fcntl, sys, time
lock = open(sys.argv[1], "r+")
fcntl.lockf(lock, fcntl.LOCK_EX)
print(flush=True)
time.sleep(1000)
"""


def test_everything_ends_when_the_engine_is_removed_also_what_lost_its_keeper(
    place: LocalPlace,
) -> None:
    async def body() -> None:
        engine = place.engine()
        saves = attempt_of(standins.saves("SIGTERM"), save=ask("SIGTERM"))
        stays = attempt_of(NEVER_LEAVES + FOR_EVER, ranks=attempt_of("x", nodes=2).ranks)
        for attempt in (saves, stays):
            await engine.launch(attempt)
            await up(place, attempt)
        kill_keeper(place, stays)
        await engine.close()
        began_us = now_us()
        found, lines = await end(place, notice_s=2, timeout_s=60)
        assert lines == ["2 attempts have 2 s to save, then TERM, and KILL 5 s later"]
        hows = {one.attempt: one.how for one in found}
        assert hows.keys() == {saves.attempt, stays.attempt}
        assert (hows[saves.attempt] or "").startswith("saved step ")
        ended = place.engine()
        seen = await released(ended, saves)
        assert seen.checkpoint is not None
        assert seen.operator_ended_us is not None and began_us <= seen.operator_ended_us
        assert (await released(ended, stays)).operator_ended_us == seen.operator_ended_us

    run(body())


def test_what_does_not_end_in_time_is_named(place: LocalPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(NEVER_LEAVES + FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        ((one,), _) = await end(place, notice_s=0, timeout_s=-KILL_AFTER_S)
        assert (one.attempt, one.how) == (attempt.attempt, None)
        first = await released(place.engine(), attempt)
        assert first.operator_ended_us is not None
        ((again,), _) = await end(place, notice_s=0, timeout_s=0)
        assert (again.was_over, again.how) == (True, "by KILL")
        last = await released(place.engine(), attempt)
        assert last.operator_ended_us == first.operator_ended_us

    run(body())


def test_the_wait_outlasts_the_notice_that_was_given(place: LocalPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(NEVER_LEAVES + FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        ((one,), _) = await end(place, notice_s=8, timeout_s=12)
        assert one.how == "by KILL", "KILL comes 13 s after the order"

    run(body())


@pytest.mark.parametrize("notice", ["soon", "2 m", "-1"])
def test_a_notice_is_a_span_like_every_other(agents_place: LocalPlace, notice: str) -> None:
    words = ["agent", "end", "--data-folder", str(agents_place.data.parent), "--notice", notice]
    refused = CliRunner().invoke(app, words)
    assert (
        refused.exit_code == 2
        and "--notice" in refused.output
        and "is not a span" in refused.output
    )


def test_what_had_ended_by_itself_is_told_apart_and_was_ended_by_no_person(
    place: LocalPlace,
) -> None:
    async def body() -> None:
        engine, failed = place.engine(), attempt_of("exit 3")
        await engine.launch(failed)
        await released(engine, failed)
        ((one,), lines) = await end(place, notice_s=1, timeout_s=60)
        assert (one.was_over, one.how, lines) == (True, "exit 3", [])
        assert (await released(place.engine(), failed)).operator_ended_us is None

    run(body())


@pytest.mark.parametrize("at_us", [-(2**63), 0, 2**62])
def test_a_record_that_no_person_wrote_is_none(tmp_path: Path, at_us: int) -> None:
    (tmp_path / "operator_end.json").write_text(json.dumps({"version": 1, "at_us": at_us}))
    assert records.read_operator_end(tmp_path) is None


def test_a_record_that_appears_while_an_agent_runs_is_not_believed(
    place: LocalPlace, tmp_path: Path
) -> None:
    """`parkade agent end` runs while no agent does: the workload wrote it, to fail for free."""

    async def body() -> None:
        engine, go = place.engine(), tmp_path / "go"
        wait = f"until [ -e {go} ]; do sleep 0.02; done; exit 3"
        before, later = attempt_of(wait), attempt_of(wait)
        await engine.launch(before)
        engine = place.engine()
        await engine.observe()
        await engine.launch(later)
        for attempt in (before, later):
            forged = {"version": 1, "at_us": now_us()}
            (place.folder(attempt) / records.OPERATOR_END).write_text(json.dumps(forged))
        go.touch()
        for attempt in (before, later):
            seen = await released(engine, attempt)
            assert [it.code for it in seen.exits] == [3]
            assert seen.operator_ended_us is None

    run(body())


def test_a_record_that_cannot_be_written_keeps_no_order_from_any(place: LocalPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(NEVER_LEAVES + FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        (place.data / "live" / attempt.attempt / "operator_end.json").mkdir()
        ((one,), _) = await end(place, notice_s=0, timeout_s=60)
        assert one.how == "by KILL"

    run(body())


async def end(
    place: LocalPlace, *, notice_s: float, timeout_s: float
) -> tuple[tuple[EndedAttempt, ...], list[str]]:
    """What was found, and the lines that were told."""
    lines: list[str] = []
    how = partial(end_everything, notice_s=notice_s, timeout_s=timeout_s, tell=lines.append)
    return await asyncio.to_thread(how, place.data), lines


@pytest.fixture
def agents_place(tmp_path: Path) -> LocalPlace:
    """An engine where an agent has it: below the agent's data folder."""
    return LocalPlace(tmp_path / "agent" / "engine")


def test_parkade_agent_end_leaves_nothing_running_once_no_agent_runs(
    agents_place: LocalPlace,
) -> None:
    place = agents_place
    folder = place.data.parent
    begun: list[DesiredAttempt] = []
    words = ["agent", "end", "--data-folder", str(folder), "--notice", "300ms"]

    async def begin() -> None:
        engine = place.engine()
        daemon = "(env -i setsid /bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done' &) ; "
        for command in (NEVER_LEAVES + FOR_EVER, daemon + FOR_EVER):
            attempt = attempt_of(command)
            await engine.launch(attempt)
            await up(place, attempt)
            begun.append(attempt)

    async def gone() -> None:
        await until(lambda: place.ours() == [])

    run(begin())
    agent = FileLeadership(folder / "agent" / "agent.lock", holder="agent of pool here")
    agent.acquire()
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2 and "stop that one first" in refused.output
    assert len(place.ours()) > 4, "nothing was ended"
    agent.release()
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0, told.output
    lines = told.output.splitlines()
    assert lines[0] == "2 attempts have 0.3 s to save, then TERM, and KILL 5 s later"
    assert {line.rpartition(": ")[0] for line in lines[1:-1]} == {
        f"ended {it.attempt} ({it.org}'s {it.name})" for it in begun
    }
    assert lines[1].endswith(": by KILL") and lines[-1] == "nothing is running now"
    again = CliRunner().invoke(app, words)
    assert again.output.count("had ended: ") == 2 and "nothing is running now" in again.output
    run(gone())
    place.close()


def test_however_deep_its_tree_of_shells_a_program_is_told_and_killed(
    place: LocalPlace, tmp_path: Path
) -> None:
    """A walk that recursed would end the keeper, and each that replaces it."""

    async def body() -> None:
        engine = place.engine()
        script = tmp_path / "deep.sh"
        script.write_text(
            f"if [ $1 -gt 0 ]; then sh $0 $(($1 - 1)); true; else {NEVER_LEAVES}{FOR_EVER}; fi"
        )
        attempt = attempt_of(f"sh {script} {DEEP}")
        await engine.launch(attempt)
        await up(place, attempt)
        await engine.stop(attempt.attempt, order_in(0.5, 0.5))
        seen = await released(engine, attempt)
        assert not seen.is_keeper_lost and seen.is_signalled

    run(body())


def holding(lock: Path) -> "subprocess.Popen[bytes]":
    """A process that takes the lock once it can, prints a line, and does nothing else."""
    return subprocess.Popen([sys.executable, "-c", HOLDS, str(lock)], stdout=PIPE)


def test_what_outlives_its_kill_under_a_keeper_that_hangs_is_killed_by_the_engine(
    place: LocalPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process holds the keeper's lock, and carries out no order."""
    monkeypatch.setattr(overdue, "OVERDUE_US", 300_000)

    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of(NEVER_LEAVES + FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        lock = place.folder(attempt) / records.LOCK
        with holding(lock) as hanging:
            kill_keeper(place, attempt)
            assert hanging.stdout is not None
            assert await asyncio.to_thread(hanging.stdout.readline)
            rank = place.state(attempt).ranks[0]
            await engine.stop(attempt.attempt, order_in(0.1, 0.1))
            assert processes.is_alive(rank.pid, rank.start_ticks)

            while processes.is_alive(rank.pid, rank.start_ticks):
                await engine.observe()
                await asyncio.sleep(POLL_S)
            assert hanging.poll() is None
            hanging.kill()
        await released(engine, attempt)

    run(body())


def test_a_program_that_left_no_room_for_a_process_saves_nothing_and_leaves_as_any_other(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its keeper has to live for the kill, which needs no process."""

    def no_room(*_: object) -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(spawn, "run_beside", no_room)
    rank = records.RankState(pid=1, start_ticks=0, has_ended=False, code=None, signal=None)
    gang = Gang((rank,), marks=(), guards=(), is_parent=True)
    launch = launched(attempt_of("x"), ((0,),), 1)
    state = StateFile(tmp_path, launch, records.nothing_yet(launch), gang)
    leaving = Leaving(state, gang, orders=tmp_path, silence=Silence("", 0))
    leaving._run_beside("save")
    assert gang.beside == {} and not state.now.is_signalled


def test_parkade_agent_end_leaves_jobs_of_slurm_alone(agents_place: LocalPlace) -> None:
    home = agents_place.data / "live" / "w1.1"
    home.mkdir(parents=True)
    (home / "signals.json").touch()
    words = ["agent", "end", "--data-folder", str(agents_place.data.parent), "--notice", "0"]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2 and "jobs of Slurm: `parkade cancel` them" in refused.output
    assert [it.name for it in home.iterdir()] == ["signals.json"]
