"""Work on a market over a real Slurm that changes its size, has members, loses a node under it, or
loses its control plane."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import builders
from tests.service.slurm_market import GPUS, SAVES, SlurmMarket, slurm_market
from tests.slurm_cluster import Slurm, missing, open_folder, slurm
from tests.waits import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is lacking"),
]

NODES = ("n0", "n1", "n2", "n3")
QUICK = {"SlurmdTimeout": "4", "MessageTimeout": "5", "TCPTimeout": "1"}
TERMS = builders.terms_body(
    clearing_interval="300ms", backoff="0s", notice="20s", kill="5s", heal_notice="5s",
    minimum_charge="1s", regrow="1s", start_grace="0s", turnaround="0s", buffer_nodes=0,
)  # fmt: skip
COUNTS = (
    "trap 'd=$PARKADE_CHECKPOINT_DIR; [ $PARKADE_NODE_RANK = 0 ] &&"
    ' echo "{\\"step\\": $PARKADE_NODES, \\"at\\": \\"$(date -u +%FT%TZ)\\"}" > $d/new &&'
    " mv $d/new $d/.parkade.json; exit 85' TERM;"
    " echo $PARKADE_NODES ranks after ${PARKADE_RESUME_STEP:-none}; while :; do sleep 0.05; done"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    """Four nodes, for all tests of the module."""
    with open_folder() as folder, slurm(folder / "c", nodes=NODES, gpus=GPUS, settings=QUICK) as it:
        yield it


@pytest.fixture
def market(cluster: Slurm, tmp_path: Path) -> Iterator[SlurmMarket]:
    with slurm_market(cluster, tmp_path, terms=TERMS) as made:
        yield made


def seats(market: SlurmMarket, workload: str) -> set[str]:
    """The nodes that it holds."""
    attempt = market.seen(workload)["attempt"]
    return set() if attempt is None else {it["node"] for it in attempt["seats"]}


def output(market: SlurmMarket, workload: str, attempt: int) -> str:
    path = f"/workloads/{workload}/logs?attempt={workload}.{attempt}"
    answer = market.served.attempt_to("GET", path)
    return answer.text if answer.is_success else ""


def test_elastic_work_shrinks_for_an_owners_job_and_grows_when_that_ends(
    market: SlurmMarket,
) -> None:
    market.fence()
    market.lend(2)
    elastic = market.guest(COUNTS, nodes={"min": 1, "max": 4})

    def said() -> Any:
        return market.seen(elastic), market.said()

    until(lambda: output(market, elastic, 1) == "4 ranks after none\n", said)
    job = market.owner_job("--nodes=2", f"--gres=gpu:{GPUS}")
    market.wait_for_job(job, "RUNNING")
    until(lambda: output(market, elastic, 2) == "2 ranks after 4\n", said)
    assert not seats(market, elastic) & market.nodes_of(job)
    market.cluster.run("scancel", job)
    until(lambda: output(market, elastic, 3) == "4 ranks after 2\n", said)
    told = market.seen(elastic)
    assert told["failures"] == 0 and seats(market, elastic) == set(NODES)


def test_each_member_of_an_array_runs_once_on_slurm(market: SlurmMarket, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    command = f"echo $PARKADE_ATTEMPT >> {runs}/$PARKADE_ARRAY_INDEX"
    array = market.guest(command, array="0-9%4", gpus=1)
    market.wait_for(array, "succeeded")
    found = {it.name: it.read_text().split() for it in runs.iterdir()}
    assert set(found) == {str(index) for index in range(10)}
    assert all(len(attempts) == 1 for attempts in found.values()), "none ran twice"
    assert len({attempts[0] for attempts in found.values()}) == 10, "each has its own attempt"


def test_a_gang_whose_slurmd_is_killed_keeps_its_other_nodes_and_has_a_spare(
    market: SlurmMarket,
) -> None:
    gang = market.guest(SAVES, nodes=3)
    market.wait_for(gang, "running")
    before = seats(market, gang)
    lost, (spare,) = min(before), set(NODES) - before
    market.cluster.stop_node(lost)
    try:
        until(
            lambda: spare in seats(market, gang) and market.seen(gang)["phase"] == "running",
            lambda: (market.seen(gang), market.said()),
        )
        assert seats(market, gang) == before - {lost} | {spare}
        assert market.seen(gang)["failures"] == 0
        assert market.seen(gang)["attempts"] == 2
    finally:
        market.cluster.start_node(lost)


def test_a_control_plane_that_was_killed_finds_its_guest_where_it_was(market: SlurmMarket) -> None:
    guest = market.guest(SAVES, nodes=2)
    market.wait_for(guest, "running")
    jobs = market.cluster.run("squeue", "-h", "-o", "%A")
    market.kill_server()
    market.served.start()
    until(lambda: market.pool_record()["agent"] == "heard", market.said)
    dearer = market.guest("exit 0", nodes=4, limit_price="99")
    market.wait_for(dearer, "succeeded")
    told = market.seen(guest)
    assert (told["preemptions"], told["failures"]) == (1, 0)
    assert told["checkpoint_step"] == 7, "it ran until its notice, and saved"
    assert jobs not in market.cluster.run("squeue", "-h", "-o", "%A").split()
