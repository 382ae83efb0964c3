"""A batch script of Slurm on a market over a real Slurm: its steps run on all its nodes, its trap
saves when an owner comes back, and it goes on later."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parkade.cli.sbatch import options, script, wrapping
from parkade.cli.sbatch.meaning import mean
from tests.service.slurm_market import GPUS, SlurmMarket, slurm_market
from tests.slurm_cluster import missing, open_folder, slurm
from tests.waits import until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is lacking"),
]

SCRIPT = """#!/bin/bash -l
#SBATCH --job-name=long
#SBATCH --nodes=2 --ntasks-per-node=2
#SBATCH --gpus-per-node=4 --gpus-per-task=2
#SBATCH --signal=B:USR1@2
#SBATCH --output=%x.log

again() {
  echo "{\\"step\\": 7, \\"at\\": \\"$(date -u +%FT%TZ)\\"}" >"$PARKADE_CHECKPOINT_DIR/new"
  mv "$PARKADE_CHECKPOINT_DIR/new" "$PARKADE_CHECKPOINT_DIR/.parkade.json"
  scontrol requeue "$SLURM_JOB_ID"
  touch leave
}
trap again USR1
echo "restart ${SLURM_RESTART_COUNT:-0} on $(scontrol show hostnames | wc -l) nodes"
srun bash -c 'echo $SLURM_PROCID/$SLURM_NTASKS on $CUDA_VISIBLE_DEVICES >>task.$SLURM_PROCID;
  until [ -n "$SLURM_RESTART_COUNT" ] || [ -e leave ]; do sleep 0.05; done' &
until wait; do :; done
"""


@pytest.fixture
def market(tmp_path: Path) -> Iterator[SlurmMarket]:
    with (
        open_folder() as folder,
        slurm(folder / "c", nodes=("n0", "n1"), gpus=GPUS) as cluster,
        slurm_market(cluster, tmp_path) as made,
    ):
        yield made


def workload(folder: Path) -> dict[str, Any]:
    """What `parkade sbatch` submits."""
    given, _ = options.read((), "the command line")
    read = script.parse(SCRIPT)
    meaning = mean([*read.given, *given], script="long.sh", folder=str(folder), env={})
    return {**meaning.spec, "command": wrapping.command_of(read, meaning, (), "long.sh")}


def test_a_batch_script_saves_when_an_owner_comes_back_and_goes_on_later(
    market: SlurmMarket, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    market.fence()
    market.lend(2)
    spec = workload(work)
    guest = market.guest(**spec)
    files = [work / f"task.{number}" for number in range(4)]
    until(lambda: all(file.exists() for file in files), lambda: (market.seen(guest), market.said()))
    job = market.owner_job("--nodes=1", f"--gres=gpu:{GPUS}")
    market.wait_for_job(job, "RUNNING")
    assert market.seen(guest)["failures"] == 0
    market.cluster.run("scancel", job)
    market.wait_for(guest, "succeeded")
    told = market.seen(guest)
    assert (told["preemptions"], told["failures"]) == (1, 0)
    assert (work / "long.log").read_text().splitlines() == [
        "restart 0 on 2 nodes",
        "restart 1 on 2 nodes",
    ]
    found = [file.read_text().splitlines() for file in files]
    assert found == [
        [f"{number}/4 on {devices}"] * 2
        for number, devices in enumerate(("0,1", "2,3", "0,1", "2,3"))
    ]
