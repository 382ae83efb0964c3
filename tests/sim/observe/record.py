"""Records what `sacct` and `sinfo` say of a quarter of an hour of a real Slurm under two policies.

    python -m tests.sim.observe.record [FOLDER [POLICY]]

`fifo`: `sched/builtin` with jobs in the order of submission. `backfill`: `sched/backfill` with
priorities from a QOS, time limits, and a limit on the GPUs of each account. Jobs are `sleep`s on
fake GPUs, drawn from a seed; about as much is wanted as there is, so that jobs wait. They last no
whole seconds: if they did, they would end at the points of a second at which the scheduler looks.
"""

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from parkade.sim.observe.asking import ASKED
from tests.sim.observe.cluster import GPUS, Recorded, accounting_cluster
from tests.sim.observe.passes import passes
from tests.waits import until

MOST_PASSES = 1_400
"""Lines of what the controller's log says of its passes."""

KEPT = Path(__file__).parent / "kept"
NODES = 8
SPAN_S = 900
GAP_S = 3.4
ACCOUNTS = ("bio", "chem", "phys")
LIMITS = {"bio": 48, "chem": 32, "phys": 32}
FIFO = "SchedulerType=sched/builtin\nPriorityType=priority/basic"
BACKFILL = """SchedulerType=sched/backfill
SchedulerParameters=bf_interval=3,bf_resolution=1,bf_window=240
PriorityType=priority/multifactor
PriorityWeightQOS=1000
PriorityWeightAge=0
PriorityCalcPeriod=1"""
SACCT = (
    "sacct", "-a", "-X", "-D", "-P", "--noconvert",
    "-o", ASKED,
)  # fmt: skip
SINFO = ("sinfo", "-a", "-N", "-o", "%N|%R|%G|%c|%T|%p|%l")


class Wanted(NamedTuple):
    """A job: when it is submitted, by which account, with which shape, limit and length."""

    at_s: float
    account: str
    qos: str
    nodes: int
    gpus: int
    minutes: int
    runs_s: float


SHAPES = [(1, 1), (1, 2), (1, 4), (1, 8), (1, 8), (2, 8), (4, 8)]


def draw(seed: int, *, with_qos: bool) -> Iterator[Wanted]:
    """Jobs over the span, in order of submission; with a QOS none is larger than its limit."""
    chance = random.Random(seed)
    at_s = 0.0
    while (at_s := at_s + chance.expovariate(1 / GAP_S)) < SPAN_S:
        account = chance.choice(["bio", "bio", "chem", "phys"])
        most = LIMITS[account] if with_qos else GPUS * NODES
        nodes, gpus = chance.choice([(n, each) for n, each in SHAPES if n * each <= most])
        runs_s = round(min(60.0, max(8.0, chance.lognormvariate(3.0, 0.5))), 2)
        yield Wanted(
            at_s=at_s,
            account=account,
            qos=chance.choice(["normal", "normal", "urgent"]) if with_qos else "normal",
            nodes=nodes,
            gpus=gpus,
            minutes=chance.choice([1, 1, 2, 4]),
            runs_s=runs_s,
        )


def set_up(cluster: Recorded, *, with_limits: bool) -> None:
    """The accounts, what each may use at once, and a QOS whose jobs come first."""
    cluster.run("sacctmgr", "-i", "add", "qos", "urgent", "Priority=100")
    for account in ACCOUNTS:
        limit = [f"GrpTRES=gres/gpu={LIMITS[account]}"] if with_limits else []
        cluster.run("sacctmgr", "-i", "add", "account", account, *limit)
        cluster.run(
            "sacctmgr", "-i", "add", "user", "root", f"account={account}", "QOS=normal,urgent"
        )
    cluster.run("scontrol", "reconfigure")
    until(lambda: "urgent" in cluster.run("scontrol", "show", "assoc_mgr", "flags=qos"))


def submit(cluster: Recorded, job: Wanted) -> None:
    """As a user of Slurm does."""
    cluster.run(
        "sbatch", "-A", job.account, f"--qos={job.qos}", "-N", str(job.nodes),
        "--ntasks-per-node=1", f"--cpus-per-task={4 * job.gpus}", f"--gres=gpu:h100:{job.gpus}",
        "-t", str(job.minutes), "-o", "/dev/null", "--no-requeue", "--chdir=/",
        f"--wrap=sleep {job.runs_s}",
    )  # fmt: skip


def record(name: str, folder: Path) -> None:
    """Writes `NAME.sacct` and `NAME.sinfo` into a folder, for a backfill also `NAME.passes`, after
    about twenty minutes."""
    is_fifo = name == "fifo"
    with tempfile.TemporaryDirectory(prefix="slurm-") as place:
        policy = FIFO if is_fifo else BACKFILL
        with accounting_cluster(Path(place) / "cluster", nodes=NODES, policy=policy) as cluster:
            cluster.environment["SLURM_TIME_FORMAT"] = "%s"
            set_up(cluster, with_limits=not is_fifo)
            cluster.run("scontrol", "setdebugflags", "+backfill")
            cluster.run("scontrol", "setdebug", "debug2")
            play(cluster, list(draw(7 if is_fifo else 11, with_qos=not is_fifo)))
            (folder / f"{name}.sacct").write_text(cluster.run(*SACCT) + "\n")
            (folder / f"{name}.sinfo").write_text(cluster.run(*SINFO) + "\n")
            log = (cluster.folder / "log" / "slurmctld.log").read_text(errors="replace")
            lines = list(passes(log.splitlines()))[:MOST_PASSES]
            if not is_fifo:
                (folder / f"{name}.passes").write_text("\n".join(lines) + "\n")


def play(cluster: Recorded, jobs: list[Wanted]) -> None:
    """Submits each job at its time, and waits until the cluster is empty again."""
    begun_s = time.monotonic()
    for job in jobs:
        # What is recorded is a real cluster over time, so this waits for the time to come.
        time.sleep(max(0.0, begun_s + job.at_s - time.monotonic()))
        submit(cluster, job)
    while cluster.run("squeue", "-h", "-o", "%i"):
        time.sleep(1.0)


def main() -> None:
    """Both policies, one after the other."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else KEPT
    for name in sys.argv[2:] or ("fifo", "backfill"):
        record(name, folder)


if __name__ == "__main__":
    main()
