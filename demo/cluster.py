"""A Slurm of 16 nodes with 8 fake GPUs each on loopback, and an agent that knows it.

The daemons are the real ones; a GPU is a link to /dev/null, and the nodes claim processors that
this machine has not. All lies in one folder that any user may walk, because Slurm starts each job
as its own user.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from demo.stage import STOP_SECONDS, Stage
from tests.slurm_cluster import Slurm, missing, open_folder, slurm

FABRICS = {
    "a": [f"a{number}" for number in range(1, 9)],
    "b": [f"b{number}" for number in range(1, 9)],
}
NODES = [node for fabric in FABRICS.values() for node in fabric]
GPUS = 8
POOL = {
    "pool": "parkade",
    "site": "cluster",
    "engine": "slurm",
    "instance_type": {
        "name": "fake-8",
        "gpu_model": "h100",
        "gpus_per_node": GPUS,
        "memory_gib": 125,
        "cpus": 32,
    },
    "fabrics": FABRICS,
    "terms": {
        "pay_as_you_go": "12",
        "reservation_rate": "4",
        "public_floor": "3",
        "fee": "2/7",
        "notice": "8s",
        "heal_notice": "5s",
        "kill": "2s",
        "turnaround": "0s",
        "start_grace": "20s",
        "release_grace": "20s",
        "clearing_interval": "1s",
        "clearing_pause": "200ms",
        "billing_period": "30s",
        "minimum_charge": "1s",
        "backoff": "1s",
        "buffer_nodes": 0,
    },
}
QUICK = {"SlurmdTimeout": "5", "MessageTimeout": "5", "TCPTimeout": "2"}
"""A node that does not answer is down after some seconds, not minutes."""


@contextmanager
def cluster() -> Iterator[Slurm]:
    """Up, and taken down at the end; ends the program where Slurm is not installed."""
    if lacking := missing():
        sys.exit(f"the demo starts a Slurm of its own and lacks: {', '.join(lacking)}")
    with open_folder() as folder, slurm(folder / "c", nodes=NODES, gpus=GPUS, settings=QUICK) as up:
        yield up


@contextmanager
def agent(stage: Stage, up: Slurm) -> Iterator[None]:
    """`parkade agent run` beside the cluster: jobs of the account `acme` are those of `acme`."""
    stage.operator.create_pool(POOL)
    data = up.folder.parent / "agent"
    data.mkdir()
    # What Slurm says of its nodes is all that this agent watches.
    watched = data / "mars.yaml"
    watched.write_text(yaml.safe_dump({"format": 1, "every": "1s", "nodes": {}, "engine": {}}))
    watched.chmod(0o600)
    token = data.parent / "agent.token"
    token.touch(0o600)
    token.write_text(stage.operator.create_agent_token("parkade").secret)
    words = [
        sys.executable, "-m", "parkade.cli", "agent", "run", "--pool", "parkade",
        "--server", stage.url, "--token-file", str(token), "--data-folder", str(data),
        "--engine", "slurm", "--engine-option", "owners=account:acme=acme",
        "--engine-option", "root_workloads=true",
    ]  # fmt: skip
    with (stage.folder / "agent.log").open("wb") as log:
        running = subprocess.Popen(
            words, env=up.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        running.terminate()
        try:
            running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def nodes_of(up: Slurm, job: str) -> tuple[str, ...]:
    """Where a job of Slurm runs."""
    line = up.run("scontrol", "--oneliner", "show", "job", job)
    short = line.partition(" NodeList=")[2].partition(" ")[0]
    return tuple(up.run("scontrol", "show", "hostnames", short).split())


def sleeps_as(up: Slurm, *options: str, seconds: int) -> str:
    """An owner's plain sbatch: no word of Parkade in it."""
    who = ("--account=acme", "--uid=nobody", "--chdir=/", "--output=/dev/null")
    return up.submit(f"sleep {seconds}", *who, *options)


def log_of(folder: Path) -> str:
    """The agent's last words."""
    return (folder / "agent.log").read_text(errors="replace")[-3000:]
