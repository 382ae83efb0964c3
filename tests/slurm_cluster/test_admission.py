"""Guests on a cluster that enforces associations and limits, with a launcher: who is not let in
waits with the reason, and neither owners nor guests stand in each other's limits."""

import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.service.slurm_market import GPUS, SAVES, TERMS, slurm_market
from tests.service.slurm_town import Town, UsersMarket, examined, lacking, town_of
from tests.slurm_cluster import Slurm, open_folder, slurm
from tests.waits import until

LACKING = lacking(with_accounting=True)
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(LACKING), reason=f"lacking: {', '.join(LACKING)}"),
]
NODES = ("n0", "n1", "n2")
ENFORCES = {"AccountingStorageEnforce": "associations,limits"}


def admin(cluster: Slurm, *words: str) -> None:
    """What Slurm's administrator types; what is so already is no error."""
    cluster.run("sh", "-c", 'sacctmgr -i "$@" || :', "sh", *words)


def fence_end(cluster: Slurm) -> str:
    """As Slurm writes the date; the later, the greater."""
    told = cluster.run("sh", "-c", "scontrol show reservation --oneliner || :")
    ends = [it for it in told.split() if it.startswith("EndTime=")]
    assert ends, "the fence fell"
    return ends[0]


class GuestsMarket(UsersMarket):
    """Its agent has an account for guests, and a rule of owners."""

    def start_agent(self, *options: str) -> None:
        super().start_agent("account=parkade", "owners=account:acme=acme", *options)

    def pool_says(self) -> str:
        return str(self.pool_record()["agent_says"])

    def why(self, workload: str) -> str:
        return str(self.served.ask("GET", f"/workloads/{workload}/why")["says"])

    def reason(self, job: str) -> str:
        return self.cluster.run("squeue", "-h", "-j", job, "-o", "%r")

    def billed(self, workload: str) -> list[dict[str, Any]]:
        stated = self.served.ask("GET", "/statement?account=org/lab")
        return [it for it in stated["transfers"] if it["workload"] == workload]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with open_folder() as made:
        yield made


@pytest.fixture(scope="module")
def town(folder: Path) -> Iterator[Town]:
    with town_of(folder) as made:
        yield made


@pytest.fixture(scope="module")
def cluster(folder: Path, town: Town) -> Iterator[Slurm]:
    """`acme` owns two nodes of three. Ann is in the account of guests, and her default account is
    the owner's; Bob, a member of the launcher's group as she, is in neither."""
    with slurm(
        folder / "c", nodes=NODES, gpus=GPUS, with_accounting=True, settings=ENFORCES
    ) as made:
        town.install(made.folder / "slurm.conf")
        admin(made, "add", "account", "acme", f"GrpTRES=gres/gpu={2 * GPUS}")
        admin(made, "add", "account", "parkade")
        admin(made, "add", "user", town.ann, "account=acme")
        admin(made, "add", "user", town.ann, "account=parkade")
        admin(made, "add", "user", "nobody", "account=acme")
        admin(made, "add", "user", town.agent, "account=parkade", "AdminLevel=Operator")
        yield made


@pytest.fixture
def market(cluster: Slurm, town: Town, folder: Path) -> Iterator[GuestsMarket]:
    UsersMarket.town = town
    place = folder / "m"
    place.mkdir()
    with slurm_market(cluster, place, terms=TERMS, kind=GuestsMarket) as made:
        assert isinstance(made, GuestsMarket)
        for name in (town.ann, town.bob):
            made.served.ask("POST", "/users", {"user": name, "org": "lab", "unix_name": name})
        yield made
    subprocess.run(["rm", "-rf", str(place)], check=True)


@pytest.mark.timeout(1200)
def test_one_whom_the_account_lacks_waits_with_the_reason_and_goes_on_once_it_is_added(
    cluster: Slurm, market: GuestsMarket, town: Town
) -> None:
    found = examined(cluster, town, "account=parkade")["guests"]
    assert not found["is_good"]
    assert f"not in the account parkade: {town.bob}; sacctmgr" in found["says"], found
    assert "until then their jobs wait" in found["says"] and "Invalid account" in found["says"]
    assert town.ann not in found["says"]

    bob = market.work_of(town.bob, SAVES)
    until(lambda: "Invalid account" in market.why(bob), market.said)
    assert "sacctmgr add user" in market.why(bob)
    until(lambda: f"takes no job of {town.bob}" in market.pool_says(), market.said)
    # It waits without seats, so a far lower bid for all nodes runs, at the floor.
    ann = market.work_of(town.ann, SAVES, nodes=3, gpus=GPUS, limit_price="8.5")
    market.wait_for(ann, "running")
    seen = market.seen(bob)
    assert (seen["why"], seen["failures"], float(seen["spent"])) == ("not_admitted", 0, 0.0)
    assert float(market.seen(ann)["price"]) == float(TERMS["public_floor"])
    market.served.ask("POST", f"/workloads/{ann}/cancel", {})
    market.wait_for(ann, "cancelled")

    admin(cluster, "add", "user", town.bob, "account=parkade")
    added_us = time.time_ns() // 1000
    try:
        market.wait_for(bob, "running")
        found = examined(cluster, town, "account=parkade")["guests"]
        assert found["is_good"] and "are in the account parkade" in found["says"], found
        market.served.ask("POST", f"/workloads/{bob}/cancel", {})
        market.wait_for(bob, "cancelled")
    finally:
        admin(cluster, "delete", "user", town.bob, "account=parkade")
    assert (market.seen(bob)["failures"], market.seen(bob)["preemptions"]) == (0, 0)
    starts = [it["start"] for it in market.billed(bob) if it["kind"] == "usage"]
    assert starts and all(datetime.fromisoformat(it).timestamp() * 1e6 > added_us for it in starts)


@pytest.mark.timeout(1200)
def test_a_guest_uses_up_no_owners_limit_and_one_at_a_limit_of_its_own_account_waits(
    cluster: Slurm, market: GuestsMarket, town: Town
) -> None:
    market.fence()
    market.lend(3)
    guest = market.work_of(town.ann, SAVES, nodes=3, gpus=GPUS)
    market.wait_for(guest, "running")
    owners = market.owner_job("--nodes=2", f"--gres=gpu:{GPUS}")
    market.wait_for_job(owners, "RUNNING")
    assert market.seen(guest)["preemptions"] == 1 and market.seen(guest)["failures"] == 0

    # The owner has a third node, and Slurm's limit of its account is two.
    third = market.owner_job("--nodes=1", f"--gres=gpu:{GPUS}")
    until(lambda: f"{third} of nobody (account acme): AssocGrp" in market.pool_says(), market.said)
    until(lambda: market.reason(third).startswith("AssocGrp"), market.said)
    small = market.work_of(town.ann, SAVES, gpus=GPUS)
    market.wait_for(small, "running")
    cluster.run("scancel", owners, third)
    for each in (small, guest):
        market.served.ask("POST", f"/workloads/{each}/cancel", {})
        market.wait_for(each, "cancelled")

    # The account of guests has a limit of its own.
    admin(cluster, "modify", "account", "parkade", "set", f"GrpTRES=gres/gpu={GPUS}")
    try:
        pair = market.work_of(town.ann, SAVES, nodes=2, gpus=GPUS)
        until(lambda: "AssocGrp" in market.why(pair), market.said)
        assert "a limit of Slurm's account parkade" in market.why(pair)
        assert "a limit of Slurm's account parkade" in market.pool_says()
        seen = market.seen(pair)
        assert (seen["phase"], seen["failures"], float(seen["spent"])) == ("starting", 0, 0.0)
    finally:
        admin(cluster, "modify", "account", "parkade", "set", "GrpTRES=gres/gpu=-1")
    market.wait_for(pair, "running")
    market.served.ask("POST", f"/workloads/{pair}/cancel", {})
    market.wait_for(pair, "cancelled")


@pytest.mark.timeout(1200)
def test_a_guest_whose_association_went_costs_the_fence_neither_its_end_nor_other_guests(
    cluster: Slurm, market: GuestsMarket, town: Town
) -> None:
    """Slurm refuses each change of a reservation one of whose users has no association."""
    market.fence()
    market.lend(3)
    admin(cluster, "add", "user", town.bob, "account=parkade")
    bob = market.work_of(town.bob, SAVES, gpus=GPUS)
    market.wait_for(bob, "running")
    market.served.ask("POST", f"/workloads/{bob}/cancel", {})
    market.wait_for(bob, "cancelled")
    # Slurm deletes no association with a job.
    until(lambda: not cluster.run("squeue", "-h", "-u", town.bob), market.said)
    admin(cluster, "delete", "user", town.bob, "account=parkade")

    ann = market.work_of(town.ann, SAVES, gpus=GPUS)
    market.wait_for(ann, "running")
    before = fence_end(cluster)
    until(lambda: fence_end(cluster) > before, market.said)
    again = market.work_of(town.bob, SAVES, gpus=GPUS)
    until(lambda: f"takes no job of {town.bob}" in market.pool_says(), market.said)
    later = fence_end(cluster)
    until(lambda: fence_end(cluster) > later, market.said)
    assert market.seen(ann)["phase"] == "running" and market.seen(again)["failures"] == 0
    for each in (ann, again):
        market.served.ask("POST", f"/workloads/{each}/cancel", {})
        market.wait_for(each, "cancelled")
