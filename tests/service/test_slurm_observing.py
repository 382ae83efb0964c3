"""Owners of a Slurm cluster while a pool only observes: Slurm starts their jobs as without it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.slurm_market import GPUS, SlurmMarket, slurm_market
from tests.service.test_slurm_owners import cordons
from tests.slurm_cluster import Slurm, missing, open_folder, slurm
from tests.waits import until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is lacking"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    """Three nodes, for all tests of the module."""
    with open_folder() as folder, slurm(folder / "c", nodes=("n0", "n1", "n2"), gpus=GPUS) as made:
        yield made


@pytest.fixture
def market(cluster: Slurm, tmp_path: Path) -> Iterator[SlurmMarket]:
    with slurm_market(cluster, tmp_path) as made:
        yield made


def test_an_owners_job_starts_while_the_pool_observes_and_counts_when_it_lends_again(
    market: SlurmMarket,
) -> None:
    market.fence()
    market.lend(2)
    guest = market.guest()
    market.wait_for(guest, "running")
    market.observe()
    market.wait_for(guest, "queued")
    job = market.owner_job("--nodes=2", f"--gres=gpu:{GPUS}")
    market.wait_for_job(job, "RUNNING")
    where = market.nodes_of(job)

    def claimed() -> list[set[str]]:
        return [set(it["seats"]) for it in market.served.ask("GET", "/claims")["claims"]]

    until(lambda: claimed() == [where], market.said)
    until(lambda: cordons(market) == {}, market.said)
    assert f"parkade_box:{job}" not in market.reservations(), "Slurm started it by itself"
    assert "wait outside the fence" not in market.log.read_text()
    market.lend_again()
    market.wait_for(guest, "running")
    assert {it["node"] for it in market.seen(guest)["attempt"]["seats"]}.isdisjoint(where)
    until(lambda: market.fenced() == {"n0", "n1", "n2"}, market.said)
    assert market.cluster.job_state(job) == "RUNNING" and claimed() == [where]
    second = market.owner_job("--nodes=1", f"--gres=gpu:{GPUS}")
    market.cluster.run("scancel", job)
    market.wait_for_job(second, "RUNNING")
    seen = market.seen(guest)
    assert seen["preemptions"] == 1, ("once, as the pool began to observe", seen, market.said())


def test_owners_jobs_start_where_a_pool_was_fenced_before_it_lent_first(
    market: SlurmMarket,
) -> None:
    """In the order of `join.sh`."""
    market.observe()
    market.fence()
    market.lend(2)
    job = market.owner_job("--nodes=2", f"--gres=gpu:{GPUS}")
    market.wait_for_job(job, "RUNNING")
    (rest,) = {"n0", "n1", "n2"} - market.nodes_of(job)
    stranger = market.cluster.submit("sleep 600", "--uid=nobody", "--chdir=/", "--exclusive",
                                     "--output=/dev/null")  # fmt: skip
    market.wait_for_job(stranger, "RUNNING")
    until(lambda: cordons(market) == {rest: f"job {stranger} of nobody"}, market.said)
    market.lend_again()
    until(lambda: market.fenced() == {"n0", "n1", "n2"}, market.said)
    guest = market.guest()
    market.cluster.run("scancel", stranger)
    market.wait_for(guest, "running")
    assert [it["node"] for it in market.seen(guest)["attempt"]["seats"]] == [rest]
    assert market.cluster.job_state(job) == "RUNNING"
