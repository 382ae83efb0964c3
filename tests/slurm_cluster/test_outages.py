"""Work that ends while slurmctld is down, by server and agent: billed to when it ended, once."""

import json
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests import builders
from tests.service.slurm_market import SlurmMarket, slurm_market
from tests.slurm_cluster import Slurm, missing, slurm
from tests.waits import until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is lacking"),
]

TERMS = builders.terms_body(
    clearing_interval="300ms", backoff="0s", notice="3s", kill="2s", minimum_charge="0s"
)
WORK = (
    "d=$PARKADE_CHECKPOINT_DIR; echo run >> $d/runs.$PARKADE_NODE_RANK;"
    " while [ ! -e $d/go ]; do sleep 0.05; done; date +%s%6N > $d/done.$PARKADE_NODE_RANK"
)
NEVER_SOON = {"SlurmdTimeout": "600"}
"""A node that hangs is not called down meanwhile: its job stays COMPLETING."""


def instant_us(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


class Work:
    """A bid, and what its files and the statement say of it."""

    def __init__(self, market: SlurmMarket, nodes: int) -> None:
        self.market = market
        self.nodes = nodes
        self.name = market.guest(WORK, nodes=nodes)

    @property
    def home(self) -> Path:
        return self.market.folder / "agent" / "engine" / "orgs" / "lab" / "workloads" / self.name

    def files(self, name: str) -> list[Path]:
        return sorted((self.home / "checkpoints").glob(name))

    def states(self) -> list[dict[str, Any]]:
        """Of its members."""
        found = sorted(self.home.glob("attempts/*/job/nodes/*/state.json"))
        return [json.loads(one.read_text()) for one in found]

    def is_gone(self) -> bool:
        """Whether all its members say so."""
        states = self.states()
        return len(states) == self.nodes and all(one["released_us"] for one in states)

    def end(self) -> None:
        (self.home / "checkpoints" / "go").touch()
        until(self.is_gone, self.states)

    def jobs(self) -> list[str]:
        """Of Slurm, whatever became of them."""
        lines = self.market.cluster.run("squeue", "-h", "-t", "all", "-o", "%A %j").splitlines()
        return [line.split()[0] for line in lines if f"-{self.name}." in line]

    def billed_us(self) -> list[tuple[int, int]]:
        """The spans of its charges for use, in order."""
        stated = self.market.served.ask("GET", "/statement?account=org/lab")
        return sorted(
            (instant_us(it["start"]), instant_us(it["end"]))
            for it in stated["transfers"]
            if it["workload"] == self.name and it["kind"] == "usage"
        )

    def check(self) -> None:
        """It ended once, as it said, and is billed to then."""
        self.market.wait_for(self.name, "succeeded")
        seen = self.market.seen(self.name)
        assert (seen["attempts"], seen["failures"], seen["preemptions"]) == (1, 0, 0), seen
        assert [one.read_text() for one in self.files("runs.*")] == ["run\n"] * self.nodes
        assert len(self.jobs()) == 1
        last_us = max(int(one.read_text()) for one in self.files("done.*"))
        free_us = max(one["released_us"] for one in self.states())
        spans = self.billed_us()
        assert last_us <= spans[-1][1] <= free_us
        assert all(one[1] <= after[0] for one, after in pairwise(spans)), "nothing is billed twice"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """Five nodes, for all tests of the module."""
    folder = tmp_path_factory.mktemp("slurm") / "c"
    names = [f"n{number}" for number in range(5)]
    with slurm(folder, nodes=names, gpus=4, settings=NEVER_SOON) as made:
        yield made


@pytest.fixture
def market(cluster: Slurm, tmp_path: Path) -> Iterator[SlurmMarket]:
    with slurm_market(cluster, tmp_path, terms=TERMS) as made:
        yield made


def ended_events(market: SlurmMarket, workload: str) -> int:
    """How often the journal says that an attempt of it ended and its seats were free."""
    text = market.served.ask("GET", "/events?after=0&follow=false")
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    events = [json.loads(line) for line in lines if line]
    return sum(it["type"] == "Ended" and it["workload"] == workload for it in events)


@pytest.mark.timeout(1200)
def test_work_that_ends_while_slurmctld_is_down_is_billed_to_then_and_freed_once(
    cluster: Slurm, market: SlurmMarket
) -> None:
    """A guest of one node, a gang of two, and one whose job stays COMPLETING for long after the
    return, because its node's daemon hangs."""
    alone, gang, slow = (Work(market, nodes) for nodes in (1, 2, 1))
    for each in (alone, gang, slow):
        market.wait_for(each.name, "running")
    (job,) = slow.jobs()
    (node,) = market.nodes_of(job)
    until(lambda: market.pool_record()["agent"] == "heard")
    # Not killed: it saves what it knows, as in a restart that takes long.
    down_us = time.time_ns() // 1000
    cluster.controller.stop()
    try:
        for each in (alone, gang, slow):
            each.end()
        until(lambda: market.pool_record()["agent"] == "silent", market.said)
        record = market.pool_record()
        assert instant_us(record["engine_silent_since"]) >= down_us
        assert "Slurm does not answer" in record["agent_says"]
        cluster.daemons[node].freeze()
    finally:
        cluster.start_controller()
    try:
        until(lambda: cluster.job_state(job) == "COMPLETING", market.said)
        for each in (alone, gang):
            each.check()
        until(lambda: market.pool_record()["agent"] == "heard", market.said)
        assert market.pool_record()["engine_silent_since"] is None
        assert market.seen(slow.name)["phase"] == "running", "its seats are not free"
        assert cluster.job_state(job) == "COMPLETING"
    finally:
        cluster.daemons[node].thaw()
    slow.check()
    for each in (alone, gang, slow):
        assert ended_events(market, each.name) == 1
    nodes = {it["node"]: it["gpus_held"] for it in market.served.ask("GET", "/nodes")["nodes"]}
    assert nodes == dict.fromkeys(cluster.nodes, 0)
    until(cluster.is_idle, cluster.log)
