"""What an owner's Lot says of what it lends: how many GPUs, what they earn, and to no one else."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.api.town import town as running
from tests.console.stage import Stage
from tests.console.test_reserving import seen
from tests.console.visitor import visitor
from tests.waits import until


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running(tmp_path_factory.mktemp("lent")) as town:
        yield Stage(town)


def test_the_owner_reads_what_it_lends_and_earns_now(stage: Stage) -> None:
    town, owner = stage.town, stage.tokens["aurelia"]

    def lends() -> bool:
        return bool(town.done(town.get("/reservations/aurelia", owner))["lent_gpus"])

    until(lends)
    it = town.done(town.get("/reservations/aurelia", owner))
    lot = town.done(town.get("/lot"))
    assert it["lent_gpus"] == lot["sums"]["lent"] == 4
    guest = next(each for each in lot["holders"] if each["holder"] == stage.guest)
    paid = Decimal(guest["price"]) * 4
    assert 0 < Decimal(it["earns_per_hour"]) <= paid
    page = seen(visitor(town.url, owner).text("/"))
    assert (
        f"aurelia runs nothing now; lends 4 of 4 reserved GPUs for {it['earns_per_hour']}" in page
    )
    assert "0.00 was posted for lending today" in page
    assert "What aurelia has reserved" in page


def test_another_org_reads_nothing_of_it(stage: Stage) -> None:
    page = visitor(stage.town.url, stage.tokens["bertram"]).text("/")
    assert "aurelia" not in page and "reserved GPU" not in page and "has reserved" not in page


def test_what_lends_nothing_says_so(stage: Stage) -> None:
    town = stage.town
    org, owner = town.org()
    town.done(town.post("/reservations", {"nodes": 1, "name": org}, owner))
    it = town.done(town.get(f"/reservations/{org}", owner))
    assert it["lent_gpus"] is None and it["earns_per_hour"] is None
    page = seen(visitor(town.url, owner).text("/"))
    assert "0 of 2 GPUs its own, lends nothing" in page and "was posted" not in page


def test_what_guests_owe_counts_as_earned_before_it_is_posted(stage: Stage) -> None:
    town, owner = stage.town, stage.tokens["aurelia"]

    def accrued() -> bool:
        return Decimal(town.done(town.get("/reservations/aurelia", owner))["accrued"]) > 0

    until(accrued)
    it = town.done(town.get("/reservations/aurelia", owner))
    guest = town.done(town.get(f"/workloads/{stage.guest}"))
    assert it["earned"] == "0.00", "use is posted each full hour"
    later = town.done(town.get(f"/workloads/{stage.guest}"))
    spent, price = Decimal(later["spent"]), Decimal(guest["price"])
    # It has 4 of the guest's 16 GPUs, and 1 of its floor: what it earned is that part of the spent.
    part = Decimal(it["earns_per_hour"]) / (price * 16)
    assert 0 < Decimal(it["accrued"]) <= spent * part
    page = seen(visitor(town.url, owner).text("/reservations/aurelia"))
    assert "is not posted yet; at most" in page
    split = town.done(town.get("/reservations", owner))["reservations"]
    assert all(Decimal(each["accrued"]) >= Decimal(it["accrued"]) for each in split)
