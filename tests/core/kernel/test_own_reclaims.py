"""Debts of bids that the right of an owner ends: excused where that is another org only."""

from collections.abc import Callable

import pytest

from parkade.core.state import commands
from tests.core.kernel.story import Parkade
from tests.core.kernel.test_eviction_debts import audited, charges, minimum


def given_a_lender_that_swept() -> tuple[Parkade, str, str]:
    """cheat owns one of four nodes and lends it; its gang of four outbid four guests."""
    parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0, public_floor_micros=0)
    parkade.org("cheat")
    reservation = parkade.reserve("cheat", 1, hours=100)
    parkade.lend(reservation, 1)
    for _ in range(4):
        parkade.bid("guest", 5)
    parkade.clear()
    parkade.start_all()
    gang = parkade.bid("cheat", 9, nodes=4)
    parkade.clear()
    assert parkade.workload(gang).promise is not None
    return parkade, reservation, gang


def lends_no_more(parkade: Parkade, name: str) -> None:
    parkade.do(commands.Lend(by=None, reservation=name, floor_micros=None, keep=None))


def raises_its_floor(parkade: Parkade, reservation: str) -> None:
    parkade.lend(reservation, 100)


def keeps_a_node(parkade: Parkade, reservation: str) -> None:
    parkade.lend(reservation, 1, keep=1)


def claims(parkade: Parkade, reservation: str) -> None:
    parkade.claim(reservation, 1)


def submits(parkade: Parkade, reservation: str) -> None:
    parkade.on_reservation("cheat", reservation)


@pytest.mark.parametrize(
    "reclaim", [claims, submits, lends_no_more, raises_its_floor, keeps_a_node]
)
def test_a_bid_that_its_own_orgs_reservation_ends_pays_for_those_that_it_made_leave(
    reclaim: Callable[[Parkade, str], None],
) -> None:
    """32 evictions for nothing: the org claimed one of its lent nodes and gave it back."""
    parkade, reservation, gang = given_a_lender_that_swept()
    price = parkade.price(gang)
    reclaim(parkade, reservation)
    parkade.clear()
    assert parkade.workload(gang).promise is None
    assert ("minimum_charge", minimum(price, gpus=8)) in charges(parkade, "cheat")
    audited(parkade)


def test_a_bid_that_another_orgs_reservation_ends_owes_nothing() -> None:
    parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0, public_floor_micros=0)
    reservation = parkade.reserve("acme", 1, hours=100)
    parkade.lend(reservation, 1)
    for _ in range(4):
        parkade.bid("guest", 5)
    parkade.clear()
    parkade.start_all()
    gang = parkade.bid("buyer", 9, nodes=4)
    parkade.clear()
    parkade.claim(reservation, 1)
    assert parkade.workload(gang).promise is None
    assert charges(parkade, "buyer") == []
    audited(parkade)


@pytest.mark.parametrize("rivals", [0, 1])
def test_a_gang_that_an_owner_ends_is_reclaimed_though_other_bids_fill_the_rest(
    rivals: int,
) -> None:
    """The gang was told that it was outbid, and paid the minimum. A greater bid that comes at the
    same moment takes only what the owner leaves, so the gang would have left without it."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0, public_floor_micros=0, turnaround_us=0)
    reservation = parkade.reserve("acme", 1, hours=100)
    parkade.lend(reservation, 1)
    for _ in range(2):
        parkade.bid("guest", 5)
    parkade.clear()
    parkade.start_all()
    gang = parkade.bid("buyer", 9, nodes=2)
    parkade.clear()
    parkade.tick(20)
    parkade.stop_all()
    parkade.tick(1)
    parkade.start_all()
    assert parkade.attempt(gang).displaced and parkade.attempt(gang).started_us is not None
    for _ in range(rivals):
        parkade.bid("rich", 20)
    parkade.claim(reservation, 1)
    assert parkade.stop(gang).cause == "reclaimed"
    parkade.tick(5)
    parkade.ended(gang, code=85)
    for org in ("buyer", "rich")[: 1 + rivals]:
        assert "minimum_charge" not in {kind for kind, _ in charges(parkade, org)}
    audited(parkade)
