"""The test cluster itself: it runs jobs on fake GPUs, beside others, and leaves nothing behind."""

from pathlib import Path

import pytest

from tests.slurm_cluster import Slurm, missing, slurm
from tests.slurm_cluster.daemons import marked
from tests.waits import until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is lacking"),
]


def end_of(cluster: Slurm, job: str) -> str:
    """The state in which the job ended."""
    live = ("PENDING", "RUNNING", "COMPLETING")
    until(lambda: cluster.job_state(job) not in live, cluster.log)
    return cluster.job_state(job)


def test_two_clusters_stand_side_by_side_and_leave_nothing_behind(tmp_path: Path) -> None:
    shows = "srun --ntasks-per-node=1 sh -c 'echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES'"
    with (
        slurm(tmp_path / "a", nodes=2, gpus=8) as one,
        slurm(tmp_path / "b", nodes=("x", "y"), gpus=2) as other,
    ):
        gang = one.submit(shows, "--nodes=2", "--gres=gpu:8", "--job-name=gang")
        alone = other.submit(shows, "--nodelist=y", "--gres=gpu:1", "--job-name=alone")
        assert end_of(one, gang) == "COMPLETED"
        assert end_of(other, alone) == "COMPLETED"
        lines = (one.folder / "gang.out").read_text().splitlines()
        assert sorted(lines) == ["node1 0,1,2,3,4,5,6,7", "node2 0,1,2,3,4,5,6,7"]
        assert (other.folder / "alone.out").read_text() == "y 0\n"
        up = one.folder / "up"
        one.submit(f"trap '' TERM; setsid sleep 600 & touch {up}; sleep 600")
        until(up.exists)
    assert not marked(f"{tmp_path}/")


@pytest.mark.slow
@pytest.mark.skipif(
    bool(missing(with_accounting=True)), reason="no accounting: slurmdbd or MariaDB is lacking"
)
def test_accounting_knows_the_gpus_of_a_job(tmp_path: Path) -> None:
    with slurm(tmp_path / "c", nodes=2, gpus=4, with_accounting=True) as cluster:
        job = cluster.submit("true", "--nodes=2", "--gres=gpu:2")
        assert end_of(cluster, job) == "COMPLETED"
        words = ("sacct", "-n", "-X", "-P", "-j", job, "-o", "State,AllocTRES")
        until(lambda: "COMPLETED" in cluster.run(*words))
        assert "gres/gpu=4" in cluster.run(*words)
    assert not marked(f"{tmp_path}/")
