"""Credentials that count no longer: of a job, which a node refuses, and of a node, whose key was
revoked under a guest. The attempt is interrupted, and that is no failure of the workload."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.ports import RankExit, Seat
from tests.engines.slurm_place import SlurmPlace, place_on
from tests.engines.trial import FOR_EVER, attempt_of, released, run, until
from tests.slurm_cluster import Slurm, missing
from tests.slurm_cluster.strangers import (
    no_credential_counts,
    stranger_to_the_key,
)

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is lacking"),
]


@pytest.fixture
def place(cluster: Slurm, tmp_path: Path) -> Iterator[SlurmPlace]:
    with place_on(cluster, tmp_path / "pool") as made:
        yield made


def test_a_job_whose_credential_is_refused_is_interrupted_and_its_workload_runs_later(
    cluster: Slurm, place: SlurmPlace
) -> None:
    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of("exit 3", ranks=(Seat(node="n1", gpus=1),))
        with no_credential_counts(cluster, "n1"):
            await engine.launch(attempt)
            seen = await released(engine, attempt)
        assert seen.launch_error is None and not seen.is_keeper_lost
        assert all(one.code is None and one.signal is None for one in seen.exits)
        assert seen.started_us is None
        await serves_again(cluster, place, 1)

    run(body())


def test_a_gang_of_which_one_node_refuses_the_credential_is_interrupted(
    cluster: Slurm, place: SlurmPlace
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(FOR_EVER, nodes=2)
        with no_credential_counts(cluster, "n1"):
            await engine.launch(attempt)
            seen = await released(engine, attempt)
        assert not list(place.checkpoints(attempt).glob("up.*")), "no rank began alone"
        assert seen.launch_error is None and not seen.is_keeper_lost
        assert all(one.code is None and one.signal is None for one in seen.exits)
        assert seen.started_us is None
        await serves_again(cluster, place, 2)

    run(body())


def test_a_gang_under_which_a_nodes_key_is_revoked_is_interrupted_and_nothing_of_it_runs_on(
    cluster: Slurm, place: SlurmPlace
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(FOR_EVER, nodes=2)
        await engine.launch(attempt)
        await until((place.checkpoints(attempt) / "up.1").exists)
        with stranger_to_the_key(cluster, "n1"):
            seen = await released(engine, attempt)
            assert not any("sleep" in words for words in place.ours().values()), "no rank runs"
        assert seen.launch_error is None and not seen.is_keeper_lost
        assert all(one.code is None and one.signal is None for one in seen.exits)
        await serves_again(cluster, place, 2)

    run(body())


def test_a_guest_that_an_administrator_requeues_is_interrupted_and_does_not_run_twice(
    cluster: Slurm, place: SlurmPlace
) -> None:
    """Slurm starts the same job anew, perhaps with a credential that it revoked before; an attempt
    begins once."""

    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of(
            f"echo run >> $PARKADE_CHECKPOINT_DIR/runs; {FOR_EVER}",
            ranks=(Seat(node="n1", gpus=1),),
        )
        await engine.launch(attempt)
        await until((place.checkpoints(attempt) / "up.0").exists)
        job = cluster.run("squeue", "-h", "-t", "R", "-o", "%i")
        cluster.run("scontrol", "update", f"JobId={job}", "Requeue=1")
        cluster.run("scontrol", "requeue", job)
        seen = await released(engine, attempt)
        assert seen.launch_error is None and not seen.is_keeper_lost
        assert all(one.code is None for one in seen.exits)
        await until(lambda: cluster.job_state(job) not in ("PENDING", "RUNNING", "COMPLETING"))
        assert (place.checkpoints(attempt) / "runs").read_text() == "run\n"
        await serves_again(cluster, place, 1)

    run(body())


async def serves_again(cluster: Slurm, place: SlurmPlace, nodes: int) -> None:
    """The same node, once it takes credentials again."""
    cluster.resume("n1")
    await until(lambda: cluster.is_idle())
    again = attempt_of("exit 0", ranks=tuple(Seat(node=f"n{it}", gpus=1) for it in range(2)))
    engine = place.engine()
    await engine.launch(again)
    seen = await released(engine, again)
    assert seen.exits == tuple(RankExit(rank=it, code=0, signal=None) for it in range(2))
