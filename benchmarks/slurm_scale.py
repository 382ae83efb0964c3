"""A real Slurm of 64 nodes: how fast workloads reach it, and how soon guests hear of a reclaim.

    python -m benchmarks.slurm_scale [NODES]

A controller, NODES (64) slurmd with 8 fake GPUs each, a server and an agent as processes.

`rate`: the same shapes (a job for each GPU) given to a bare loop of `sbatch` and submitted to
Parkade by four clients at a time, in turn. A workload has reached Slurm once the agent has its
job's number. The partition is down meanwhile, so that no job begins on these processors, and jobs
that ended are forgotten before the next round.

`reclaim`: each node is held by a guest; the owner of all submits plain `sbatch`s of a node, one
after another, then one claim of all other nodes. Seconds from before sbatch, or before the claim is
asked for, to the instant at which the guest's own handler of TERM ran.
"""

import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import percentile
from parkade.client import Client
from parkade.wire.spec import WorkloadSpec
from tests import builders
from tests.service.slurm_market import SlurmMarket, slurm_market
from tests.slurm_cluster import open_folder, slurm

GPUS = 8
JOBS_A_NODE = 8
CLIENTS = 4
ROUNDS = 2
SINGLE_RECLAIMS = 16
PATIENCE_S = 600.0
POLL_S = 0.2
TERMS = builders.terms_body(
    clearing_interval="1s",
    clearing_pause="500ms",
    backoff="0s",
    notice="30s",
    kill="5s",
    minimum_charge="1s",
    release_grace="60s",
)
QUIET = {"MessageTimeout": "30", "SlurmdTimeout": "120", "MaxJobCount": "20000", "MinJobAge": "5"}
NOTES = (
    "trap 'date +%s.%N > {folder}/$PARKADE_WORKLOAD; exit 85' TERM; "
    "touch {folder}/$PARKADE_WORKLOAD.up; sleep 3600 & wait"
)


def eventually(holds: Callable[[], bool], why: Callable[[], object]) -> None:
    """Waits as long as 64 nodes on two processors need."""
    ends_at = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > ends_at:
            raise SystemExit(f"it never came to be: {why()}")
        time.sleep(POLL_S)


class Scale(SlurmMarket):
    """The marketplace over all nodes, and one client that keeps its connection."""

    gpus = GPUS

    def connect(self) -> Client:
        """As the operator."""
        return Client(f"http://127.0.0.1:{self.served.port}", token=self.served.token)

    def empty(self) -> None:
        """No job is left in Slurm, and nothing in the marketplace."""
        everything = ("squeue", "-h", "-a", "--states=all")
        eventually(lambda: not self.cluster.run(*everything), self.said)
        eventually(self.cluster.is_idle, self.said)


def spec(command: str, gpus: int) -> WorkloadSpec:
    """A bid that wins."""
    words = {
        "name": "g", "command": command, "workdir": "/tmp", "gpus": gpus, "capacity": "spot",
        "limit_price": "9",
    }  # fmt: skip
    return WorkloadSpec.model_validate(words)


def bare_rate(market: Scale, jobs: int) -> float:
    """Jobs a second of a loop of `sbatch`; gone afterwards."""
    options = (
        f"--gres=gpu:{GPUS // JOBS_A_NODE}", "--cpus-per-task=1", "--mem=4000M", "--chdir=/",
        "--output=/dev/null", "--parsable", "--wrap=sleep 3600",
    )  # fmt: skip
    began = time.monotonic()
    for _ in range(jobs):
        market.cluster.run("sbatch", *options)
    took = time.monotonic() - began
    market.cluster.run("scancel", "--user=root")
    market.empty()
    return jobs / took


def market_rate(market: Scale, client: Client, jobs: int) -> float:
    """Workloads a second from the first submission to the last job's number; gone afterwards."""
    began = time.time()
    asked = spec("sleep 3600", GPUS // JOBS_A_NODE)
    with ThreadPoolExecutor(CLIENTS) as clients:
        seen = clients.map(lambda _: client.submit(asked, org="lab"), range(jobs))
        names = [workload.workload for workload in seen]
    # Looking costs the agent's processors time: seldom, and little before all are known.
    live = market.folder / "agent" / "engine" / "live"
    eventually(lambda: sum(1 for _ in live.iterdir()) >= jobs, market.said)
    eventually(lambda: len(reached(live)) >= jobs, market.said)
    took = max(reached(live)) - began
    for name in names:
        client.cancel(name, now=True)
    market.empty()
    return jobs / took


def rates(bare: list[float], ours: list[float], jobs: int) -> str:
    """One line; each of ours is held against the bare loops before and after it."""
    shares = [
        one / statistics.mean(pair)
        for one, pair in zip(ours, itertools.pairwise(bare), strict=True)
    ]
    return (
        f"rate: of {jobs} workloads {words(ours)}/s reach Slurm, bare sbatch {words(bare)}/s:"
        f" {statistics.median(shares):.0%} (load {os.getloadavg()[0]:.0f})"
    )


def words(values: list[float]) -> str:
    """Each of them."""
    return ", ".join(f"{value:.1f}" for value in values)


def reached(live: Path) -> list[float]:
    """When the agent was told the number of each job that it was told."""
    found = []
    for link in live.iterdir():
        file = link / "submissions.json"
        try:
            content, at = json.loads(file.read_text()), file.stat().st_mtime
        except (OSError, ValueError):
            continue
        if content and content[-1]["job"] is not None:
            found.append(at)
    return found


def reclaims(market: Scale, client: Client, folder: Path, nodes: int) -> tuple[list[float], ...]:
    """Seconds until guests heard: of single jobs, and of one claim of all other nodes."""
    guests = [
        client.submit(spec(NOTES.format(folder=folder), GPUS), org="lab").workload
        for _ in range(nodes)
    ]
    eventually(lambda: len(list(folder.glob("*.up"))) >= nodes, market.said)
    told = Told(folder, guests)
    singly = []
    for _ in range(min(SINGLE_RECLAIMS, nodes - 1)):
        began = time.time()
        market.owner_job(f"--gres=gpu:{GPUS}")
        singly += told.after(began, 1, market)
    began = time.time()
    client.claim_nodes("acme", nodes=nodes - len(singly))
    return singly, told.after(began, nodes - len(singly), market)


class Told:
    """Which guests heard, and when."""

    def __init__(self, folder: Path, guests: list[str]) -> None:
        self.files = {folder / guest for guest in guests}

    def after(self, began: float, count: int, market: Scale) -> list[float]:
        """The next so many, in seconds since then."""
        eventually(lambda: len(self._new()) >= count, market.said)
        new = self._new()
        self.files -= new.keys()
        return [at - began for at in new.values()]

    def _new(self) -> dict[Path, float]:
        found = {file: file.read_text() for file in self.files if file.exists()}
        return {file: float(text) for file, text in found.items() if text.endswith("\n")}


def line(name: str, found: list[float]) -> str:
    """As p50, p99 and how many."""
    p50, p99 = statistics.median(found), percentile(found, 99)
    return f"{name}: p50 {p50:.2f} s, p99 {p99:.2f} s of {len(found)}"


@contextmanager
def opened(nodes: int) -> Iterator[tuple[Scale, Client, Path]]:
    """All of it up."""
    with (
        open_folder() as folder,
        slurm(folder / "c", nodes=nodes, gpus=GPUS, settings=QUIET) as cluster,
        slurm_market(cluster, folder, terms=TERMS, kind=Scale) as market,
    ):
        assert isinstance(market, Scale)
        notes = folder / "notes"
        notes.mkdir(mode=0o777)
        with market.connect() as client:
            yield market, client, notes


def main() -> None:
    """Prints four lines."""
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    jobs = nodes * JOBS_A_NODE
    with opened(nodes) as (market, client, notes):
        # Nothing begins meanwhile: on real nodes what begins costs this machine nothing.
        market.cluster.run("scontrol", "update", "PartitionName=main", "State=DOWN")
        bare, ours = [bare_rate(market, jobs)], []
        for _ in range(ROUNDS):
            ours.append(market_rate(market, client, jobs))
            bare.append(bare_rate(market, jobs))
        print(rates(bare, ours, jobs), flush=True)
        market.cluster.run("scontrol", "update", "PartitionName=main", "State=UP")
        market.fence()
        market.lend(nodes)
        singly, together = reclaims(market, client, notes, nodes)
        print(line("reclaim by sbatch, one after another", singly), flush=True)
        print(line("reclaim by one claim of all others", together), flush=True)
        print(line("reclaim, all", singly + together), flush=True)


if __name__ == "__main__":
    main()
