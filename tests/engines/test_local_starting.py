"""Ranks whose user holds them up before their command: their keeper stays awake."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from parkade.engines.local import spawn
from parkade.engines.local.processes import look
from parkade.engines.local.records import STOPPED_FIRST
from tests.engines.conftest import LocalPlace
from tests.engines.trial import FOR_EVER, attempt_of, order_in, released, run, until

pytestmark = pytest.mark.system


def ranks_in(place: LocalPlace, wait: str) -> list[int]:
    """The pids of children of a keeper that sleep in this function of the kernel."""
    ours = place.ours()
    parents = {it.pid for it in ours}
    children = [it.pid for it in ours if it.parent in parents]
    return [pid for pid in children if _wait_of(pid) == wait]


def _wait_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/wchan").read_text().removeprefix("anon_")
    except OSError:
        return ""


def test_a_rank_that_never_runs_its_command_is_told_after_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spawn, "PREPARE_S", 0.3)
    gate, open_gate = os.pipe()
    reports = [os.pipe() for _ in range(3)]
    ranks = [
        spawn.StartingRank(index=index, pid=0, report=report)
        for index, (report, _) in enumerate(reports)
    ]
    gang = spawn.StartingGang(ranks, open_gate)
    os.close(reports[0][1])
    os.write(reports[2][1], b"no such program")
    looks: list[None] = []
    told = gang.let_go(lambda: looks.append(None))
    assert told == "rank 1: its command was not run within 0 s" and looks
    os.close(gate)


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """An env file that makes a rank wait until somebody writes."""
    made = tmp_path / "env"
    os.mkfifo(made)
    return made


def test_a_stop_is_obeyed_while_a_rank_waits_for_its_env_file(
    place: LocalPlace, pipe: Path
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(FOR_EVER, env_file=str(pipe))
        launching = asyncio.create_task(engine.launch(attempt))
        await until(lambda: ranks_in(place, "wait_for_partner"))
        await engine.stop(attempt.attempt, order_in(0.2, 0.2))
        seen = await released(engine, attempt)
        assert (seen.launch_error, seen.started_us) == (STOPPED_FIRST, None)
        await launching

    run(body())


def test_a_rank_that_is_stopped_before_its_command_keeps_the_gang_from_no_kill(
    place: LocalPlace, pipe: Path
) -> None:
    """Its user has the right to stop it. The other computes meanwhile, and is billed."""

    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of(FOR_EVER, nodes=2, env_file=str(pipe))
        launching = asyncio.create_task(engine.launch(attempt))
        await until(lambda: len(ranks_in(place, "wait_for_partner")) == 2)
        first, second = ranks_in(place, "wait_for_partner")
        os.kill(second, signal.SIGSTOP)
        # A stop that is only pending lets the open of the pipe succeed at the write below.
        await until(lambda: (it := look(second)) is not None and it.state == "T")
        await asyncio.to_thread(pipe.write_text, "A=1\n")
        await until(lambda: ranks_in(place, "pipe_read") == [first])
        os.kill(first, signal.SIGSTOP)
        os.kill(second, signal.SIGCONT)
        await asyncio.to_thread(pipe.write_text, "A=1\n")
        ups = place.checkpoints(attempt).glob
        await until(lambda: len(list(ups("up.*"))) == 1)
        await engine.stop(attempt.attempt, order_in(0.2, 0.2))
        seen = await released(engine, attempt)
        assert seen.started_us is not None and not seen.is_keeper_lost
        await launching

    run(body())
