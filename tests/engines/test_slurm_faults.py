"""The Slurm engine on a real cluster that breaks: daemons die, hang, and forget."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.engines.slurm import standing
from parkade.engines.slurm.commands import Commands
from parkade.engines.slurm.fencing import Fencing
from parkade.engines.slurm.settings import SlurmSettings
from parkade.ports import DesiredState, Phase, RankExit, Seat
from tests import waits
from tests.engines.slurm_place import GPUS, SlurmPlace, place_on
from tests.engines.trial import (
    FOR_EVER,
    attempt_of,
    never_ran,
    of,
    order_in,
    output_of,
    released,
    run,
    until,
    until_seen,
)
from tests.slurm_cluster import Slurm, missing, slurm

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is lacking"),
]

UNTIL_GO = "while [ ! -e $PARKADE_CHECKPOINT_DIR/go ]; do sleep 0.1; done"
QUICK = {"SlurmdTimeout": "4", "MessageTimeout": "5", "TCPTimeout": "1"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """Four nodes, for all tests of the module."""
    folder = tmp_path_factory.mktemp("slurm") / "c"
    with slurm(folder, nodes=("n0", "n1", "n2", "n3"), gpus=GPUS, settings=QUICK) as made:
        yield made


@pytest.fixture
def place(cluster: Slurm, tmp_path: Path) -> Iterator[SlurmPlace]:
    with place_on(cluster, tmp_path / "pool", timeout_s=3) as made:
        yield made


def running(one: object) -> bool:
    return getattr(one, "phase", None) is Phase.RUNNING


def test_a_hanging_controller_is_not_seen_and_stops_nothing(
    cluster: Slurm, place: SlurmPlace
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(FOR_EVER)
        await engine.launch(attempt)
        before = await until_seen(engine, attempt, running)
        cluster.controller.freeze()
        try:
            blind = await engine.observe()
            assert not blind.is_complete and blind.attempts == ()
            (trouble,) = blind.troubles
            (again,) = (await engine.observe()).troubles
            assert trouble.since_us == blind.at_us == again.since_us, "since when it is so"
            order = order_in(0.2, 5)
            await engine.stop(attempt.attempt, order)
            state = place.home(attempt) / "job" / "nodes" / "n0" / "state.json"
            await until(lambda: '"released"' in state.read_text())
        finally:
            cluster.controller.thaw()
        seen = await released(place.engine(), attempt)
        assert seen.started_us == before.started_us
        assert seen.exits == (RankExit(rank=0, code=None, signal=15),)

    run(body())


def test_a_job_that_a_killed_controller_forgot_is_submitted_again_and_runs_once(
    cluster: Slurm, place: SlurmPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        engine = place.engine()
        # All of n2 is taken by another user's job, so that ours waits.
        other = cluster.submit("sleep 600", "--nodelist=n2", f"--gres=gpu:{GPUS}")
        await until(lambda: cluster.job_state(other) == "RUNNING")
        runs = "echo ran >> $PARKADE_CHECKPOINT_DIR/runs"
        attempt = attempt_of(runs, ranks=(seat("n2"),))
        await engine.launch(attempt)
        (first,) = place.jobs(attempt)
        # What a controller does that is killed before it saved: the job is gone, not ended.
        cluster.stop_controller()
        for name in ("job_state", "job_state.old"):
            (cluster.folder / "state" / name).unlink(missing_ok=True)
        cluster.start_controller()
        assert place.jobs(attempt) == []
        seen = await released(engine, attempt)
        assert seen.exits == (RankExit(rank=0, code=0, signal=None),)
        assert (place.checkpoints(attempt) / "runs").read_text() == "ran\n"
        assert first is not None

    monkeypatch.setattr(standing, "LOST_US", 6_000_000)
    run(body())


def test_a_fence_whose_last_change_a_killed_controller_forgot_recalls_nobody(
    cluster: Slurm, tmp_path: Path
) -> None:
    commands = Commands(SlurmSettings(conf=str(cluster.folder / "slurm.conf")))
    fencing = Fencing("box", {"n0": GPUS, "n1": GPUS}, commands, tmp_path)

    def look(lapse_s: int) -> str:
        desired = DesiredState(
            pool="box", epoch=1, installation=None, lineage=None, sequence=1, attempts=(),
            fence_lapse_us=lapse_s * 1_000_000,
        )  # fmt: skip
        assert fencing.serve(desired, (), (), is_heard=True).fence_stands
        assert fencing.recalled_us is None
        return ends()

    def ends() -> str:
        said = cluster.run("scontrol", "show", "reservation", "parkade_box", "--oneliner")
        return said.partition("EndTime=")[2].partition(" ")[0]

    before = look(600)
    cluster.controller.stop()  # It saves all at its end.
    cluster.start_controller()
    saved = (cluster.folder / "state" / "resv_state").read_bytes()
    try:
        after, began = look(700), time.time()
        cluster.stop_controller()
        for name in ("resv_state", "resv_state.old"):
            (cluster.folder / "state" / name).write_bytes(saved)
        # A controller is known by the second of its start.
        waits.until(lambda: time.time() > began + 2)
        cluster.start_controller()
        assert ends() == before < after
        assert look(700) >= after
    finally:
        cluster.run("scontrol", "delete", "ReservationName=parkade_box")


def test_work_that_ends_while_no_controller_answers_is_billed_to_when_it_ended(
    cluster: Slurm, place: SlurmPlace
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(UNTIL_GO)
        await engine.launch(attempt)
        await until_seen(engine, attempt, running)
        cluster.controller.freeze()
        try:
            (place.checkpoints(attempt) / "go").touch()
            state = place.home(attempt) / "job" / "nodes" / "n0" / "state.json"
            await until(lambda: '"released"' in state.read_text())
            ended_us = engine.clock.now_us()
            assert not (await engine.observe()).is_complete
        finally:
            cluster.controller.thaw()
        seen = await released(engine, attempt)
        assert seen.exits == (RankExit(rank=0, code=0, signal=None),)
        assert seen.released_us is not None and seen.released_us <= ended_us

    run(body())


def test_work_that_ends_while_its_agent_is_down_is_billed_to_when_slurm_says_that_it_ended(
    cluster: Slurm, place: SlurmPlace
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(UNTIL_GO)
        await engine.launch(attempt)
        await until_seen(engine, attempt, running)
        (job,) = place.jobs(attempt)
        (place.checkpoints(attempt) / "go").touch()
        await until(lambda: cluster.job_state(job) == "COMPLETED")
        ended_us = engine.clock.now_us()
        seen = await released(place.engine(), attempt)
        assert seen.released_us is not None and seen.released_us <= ended_us

    run(body())


def test_a_gang_whose_slurmd_is_killed_is_free_once_nothing_of_it_runs(
    cluster: Slurm, place: SlurmPlace
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(FOR_EVER, nodes=2)
        await engine.launch(attempt)
        await until((place.checkpoints(attempt) / "up.1").exists)
        cluster.stop_node("n1")
        try:
            seen = await released(engine, attempt)
            assert not any("sleep" in words for words in place.ours().values()), "no rank runs"
            # Slurm's own programs need a moment to leave after their member did.
            named = f"/{attempt.attempt}"
            await until(lambda: not any(named in words for words in place.ours().values()))
            assert not seen.is_keeper_lost
            unknown = tuple(RankExit(rank=it, code=None, signal=None) for it in range(2))
            assert seen.exits == unknown, "how Slurm and we ended it is no failure of its own"
            states = cluster.state("n1")
            assert states.startswith("down"), "Slurm gives the node to nobody"
        finally:
            cluster.start_node("n1")
        again = attempt_of("exit 0", nodes=2)
        await engine.launch(again)
        assert [one.code for one in (await released(engine, again)).exits] == [0, 0]

    run(body())


def test_a_running_job_that_its_controller_forgot_has_not_failed(
    cluster: Slurm, place: SlurmPlace
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(FOR_EVER)
        await engine.launch(attempt)
        await until_seen(engine, attempt, running)
        cluster.stop_controller()
        for name in ("job_state", "job_state.old"):
            (cluster.folder / "state" / name).unlink(missing_ok=True)
        cluster.start_controller()
        seen = await released(engine, attempt)
        assert seen.exits == (RankExit(rank=0, code=None, signal=None),)
        assert place.jobs(attempt) == [], "what began is not submitted again"

    run(body())


def test_without_munge_nothing_is_known_and_launches_wait(
    cluster: Slurm, place: SlurmPlace
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of("echo once")
        engine.watching.nodes(0)
        cluster.munged.stop(signal.SIGKILL)
        try:
            with pytest.raises(Exception, match="sbatch"):
                await engine.launch(attempt)
            assert not (await engine.observe()).is_complete
        finally:
            (cluster.folder / "munge.sock").unlink(missing_ok=True)
            cluster.munged.start()
        assert await output_of(engine, attempt) == b"once\n"
        seen = of(await engine.observe(), attempt)
        assert seen is not None and seen.exits[0].code == 0

    run(body())


def test_a_job_that_another_cancels_is_interrupted_and_has_not_failed(
    cluster: Slurm, place: SlurmPlace
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(FOR_EVER, ranks=(seat("n3"),))
        other = cluster.submit("sleep 600", "--nodelist=n3", f"--gres=gpu:{GPUS}")
        await until(lambda: cluster.job_state(other) == "RUNNING")
        await engine.launch(attempt)
        cluster.run("scancel", *place.jobs(attempt))
        seen = await released(engine, attempt)
        assert seen.exits == () and seen.launch_error is None and seen.started_us is None
        assert "CANCELLED" in seen.engine_state
        cluster.run("scancel", other)

    run(body())


def test_a_job_that_waits_in_slurm_is_cancelled_at_once_where_it_is_to_leave(
    cluster: Slurm, place: SlurmPlace
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(FOR_EVER, ranks=(seat("n0"), seat("n3")))
        other = cluster.submit("sleep 600", "--nodelist=n3", f"--gres=gpu:{GPUS}")
        await until(lambda: cluster.job_state(other) == "RUNNING")
        await engine.launch(attempt)
        order = order_in(3_000, 3_600)
        await engine.stop(attempt.attempt, order)
        seen = await released(engine, attempt)
        assert never_ran(seen) and (seen.released_us or 0) < order.deadline_us
        assert "CANCELLED" in seen.engine_state
        cluster.run("scancel", other)

    run(body())


def test_what_slurm_refuses_ends_with_its_words(cluster: Slurm, tmp_path: Path) -> None:
    async def body(place: SlurmPlace) -> None:
        engine, attempt = place.engine(), attempt_of("exit 0")
        await engine.launch(attempt)
        seen = await released(engine, attempt)
        assert "partition" in (seen.launch_error or "").lower()

    with place_on(cluster, tmp_path / "pool", partition="nowhere") as place:
        run(body(place))


def seat(node: str) -> Seat:
    return Seat(node=node, gpus=1)
