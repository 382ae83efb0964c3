"""A node that does not take the credential of a job, as after a revocation: nothing of the job
starts there, and that is no failure of the workload."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from parkade.ports import RankExit, Seat
from tests.engines.slurm_place import SlurmPlace, place_on
from tests.engines.trial import FOR_EVER, attempt_of, released, run, until
from tests.slurm_cluster import Slurm, missing
from tests.slurm_cluster.daemons import Daemon

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is lacking"),
]


@pytest.fixture
def place(cluster: Slurm, tmp_path: Path) -> Iterator[SlurmPlace]:
    with place_on(cluster, tmp_path / "pool") as made:
        yield made


@contextmanager
def no_credential_counts(cluster: Slurm, node: str) -> Iterator[None]:
    """The node answers and takes part, and refuses every credential that the controller signed."""
    folder = cluster.folder / "strict"
    folder.mkdir(exist_ok=True)
    conf = (cluster.folder / "slurm.conf").read_text()
    assert "CredType=cred/munge" in conf
    (folder / "slurm.conf").write_text(conf.replace("CredType=cred/munge", "CredType=cred/none"))
    shutil.copy(cluster.folder / "gres.conf", folder / "gres.conf")
    strict = Daemon(
        "slurmd", "-D", "-N", node,
        environment={**cluster.environment, "SLURM_CONF": str(folder / "slurm.conf")},
        log=folder / "slurmd.out",
    )  # fmt: skip
    cluster.stop_node(node)
    strict.start()
    try:
        yield
    finally:
        strict.stop(signal.SIGKILL)
        cluster.start_node(node)


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


async def serves_again(cluster: Slurm, place: SlurmPlace, nodes: int) -> None:
    """The same node, once it takes credentials again."""
    if cluster.state("n1").startswith(("drain", "down")):
        cluster.run("scontrol", "update", "NodeName=n1", "State=RESUME")
    await until(lambda: cluster.is_idle())
    again = attempt_of("exit 0", ranks=tuple(Seat(node=f"n{it}", gpus=1) for it in range(2)))
    engine = place.engine()
    await engine.launch(again)
    seen = await released(engine, again)
    assert seen.exits == tuple(RankExit(rank=it, code=0, signal=None) for it in range(2))
