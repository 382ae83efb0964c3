"""Those that a moved workload pushes out are paid for by what moved it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from parkade.core.billing.minimum import minimum_rate
from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.workloads.life import Phase
from parkade.core.workloads.moves import Cheaper
from parkade.core.workloads.spec import Moves
from tests.core.kernel.evictions import ROUNDED_MICROS, evict
from tests.core.kernel.story import Parkade
from tests.core.kernel.test_eviction_debts import MINIMUM_S, audited, cancel, charges

LESS_CREDIT = 7 * MICROS * 20 // 21

FOUND = (33, 43, 456, 490, 524, 527, 559, 605, 710, 786, 846, 881, 1150, 1561, 1794, 3415, 4060)
"""Markets in which an org pushed others out by way of a mover for less than they had bid."""


def minimum(price: int, gpus: int) -> int:
    return price * gpus * MINIMUM_S // 3600


def given_two_fabrics(*, owner: str = "cheat") -> tuple[Parkade, str, str, str]:
    """A guest's gang has fabric a, the cheat's bid fabric b, of which `owner` lends a node."""
    parkade = Parkade(fabrics={"a": 3, "b": 2}, buffer_nodes=0, public_floor_micros=0)
    for org in ("cheat", "acme"):
        parkade.org(org)
    guest = parkade.bid("guest", 7, nodes=3)
    parkade.clear()
    parkade.start_all()
    reservation = parkade.reserve(owner, 1, hours=1000)
    parkade.lend(reservation, 0)
    mover = parkade.bid("cheat", 20, nodes=2)
    parkade.clear()
    parkade.start_all()
    parkade.run(600)
    assert (parkade.nodes_of(guest)[0][0], parkade.nodes_of(mover)) == ("a", ("b1", "b2"))
    return parkade, guest, mover, reservation


def is_pushed_out(parkade: Parkade, guest: str, mover: str) -> bool:
    """The guest was outbid for the mover, which runs and is moved onto its nodes."""
    assert parkade.stop(mover).cause == "moved"
    return parkade.stop(guest).cause == "outbid"


def test_a_claim_that_moves_its_orgs_own_bid_onto_a_guest_is_not_free() -> None:
    """It evicted a guest in 10 of 10 rounds for nothing."""
    parkade, guest, mover, reservation = given_two_fabrics()
    before = charges(parkade, "cheat")
    claim = parkade.claim(reservation, 1)
    assert is_pushed_out(parkade, guest, mover)
    parkade.do(commands.Unclaim(by=None, claim=claim))
    cancel(parkade, mover)
    paid = charges(parkade, "cheat")[len(before) :]
    assert ("minimum_charge", minimum(LESS_CREDIT, gpus=4)) in paid
    audited(parkade)


def test_a_claim_that_moves_another_orgs_bid_owes_nothing_and_neither_does_that_bid() -> None:
    parkade, guest, mover, reservation = given_two_fabrics(owner="acme")
    claim = parkade.claim(reservation, 1)
    assert is_pushed_out(parkade, guest, mover)
    parkade.do(commands.Unclaim(by=None, claim=claim))
    cancel(parkade, mover)
    assert "minimum_charge" not in dict(charges(parkade, "cheat"))
    assert "minimum_charge" not in dict(charges(parkade, "acme"))
    audited(parkade)


def given_a_gang_that_fits_in_one_fabric(*, org: str) -> tuple[Parkade, str, str, str]:
    """A gang of three of this org fits in b only, where the cheat's bid runs on two nodes. That is
    moved to a, which has two, and of which a guest's gang has both."""
    parkade = Parkade(fabrics={"a": 2, "b": 3}, buffer_nodes=0, public_floor_micros=0)
    guest = parkade.bid("guest", 7, nodes=2)
    parkade.clear()
    parkade.start_all()
    mover = parkade.bid("cheat", 20, nodes=2)
    parkade.clear()
    parkade.start_all()
    parkade.run(600)
    arrival = parkade.bid(org, 30, nodes=3)
    parkade.clear()
    assert is_pushed_out(parkade, guest, mover)
    assert parkade.nodes_of(arrival) == ("b1", "b2", "b3")
    return parkade, guest, mover, arrival


@pytest.mark.parametrize("org", ["rich", "cheat"])
def test_a_bid_that_moves_another_owes_for_those_that_this_pushes_out(org: str) -> None:
    """Where both are of one org, the mover owes; else the bid, at most what it bid itself."""
    parkade, _, mover, arrival = given_a_gang_that_fits_in_one_fabric(org=org)
    before = len(charges(parkade, org))
    cancel(parkade, arrival)
    cancel(parkade, mover)
    paid = sum(it for kind, it in charges(parkade, org)[before:] if kind == "minimum_charge")
    assert paid >= minimum(LESS_CREDIT, gpus=4)
    if org == "rich":
        assert "minimum_charge" not in dict(charges(parkade, "cheat"))
    audited(parkade)


def test_no_arrival_owes_more_than_its_own_bid_for_those_that_movers_push_out() -> None:
    parkade, _, _, name = given_a_gang_that_fits_in_one_fabric(org="rich")
    arrival = parkade.workload(name)
    promise = arrival.promise
    assert promise is not None and promise.debt is not None
    assert sum(promise.debt.outbid_micros) == 4 * LESS_CREDIT, "as much as it pushed out"
    free = replace(promise.rates[-1], price_micros=0, shares=())
    weaker = replace(arrival, spec=replace(arrival.spec, limit_price_micros=1 * MICROS))
    gpus, rate = minimum_rate(weaker, replace(promise, rates=(free,)))
    assert (gpus, rate.price_micros) == (6, 1 * MICROS)


def test_a_bid_that_wants_cheaper_seats_owes_for_those_whose_seats_it_takes() -> None:
    """The node on which it runs becomes dearer; its own choice makes the guest leave."""
    parkade = Parkade(fabrics={"a": 1, "b": 1}, buffer_nodes=0, public_floor_micros=0)
    for org in ("acme", "cheat"):
        parkade.org(org)
    reservation = parkade.reserve("acme", 1, hours=1000)
    parkade.lend(reservation, 0)
    spec = replace(parkade.spec(limit=20), moves=Moves.CHEAPER)
    submit = commands.Submit(by=None, org="cheat", market=None, spec=spec, is_held=False)
    made = parkade.do(submit)
    mover = next(it.workload.workload for it in made if isinstance(it, events.Submitted))
    parkade.clear()
    guest = parkade.bid("guest", 7)
    parkade.clear()
    parkade.start_all()
    parkade.run(600)
    parkade.lend(reservation, 9)
    parkade.clear()
    assert is_pushed_out(parkade, guest, mover)
    assert parkade.workload(mover).moved == Cheaper()
    before = len(charges(parkade, "cheat"))
    cancel(parkade, mover)
    paid = dict(charges(parkade, "cheat")[before:])
    assert paid["minimum_charge"] >= minimum(LESS_CREDIT, gpus=2)
    audited(parkade)


def test_what_its_own_org_moved_owes_nothing_once_it_ran_for_the_minimum() -> None:
    parkade, guest, mover, reservation = given_two_fabrics()
    parkade.claim(reservation, 1)
    assert is_pushed_out(parkade, guest, mover)
    parkade.run(600)
    assert parkade.phase(mover) is Phase.RUNNING
    cancel(parkade, mover)
    parkade.stop_all()
    assert "minimum_charge" not in dict(charges(parkade, "cheat"))
    audited(parkade)


@pytest.mark.parametrize("seed", FOUND)
def test_a_market_in_which_a_mover_pushed_others_out_for_free_is_paid_for(seed: int) -> None:
    found = evict(seed)
    assert found is not None and found.by_movers
    assert found.paid_micros + ROUNDED_MICROS >= found.owed_micros, found.says


@settings(max_examples=max(30, settings().max_examples // 4))
@given(st.integers(min_value=2_000, max_value=1_000_000))
def test_nobody_makes_others_leave_for_less_than_they_had_bid(seed: int) -> None:
    found = evict(seed)
    if found is not None:
        assert found.paid_micros + ROUNDED_MICROS >= found.owed_micros, found.says


def test_a_move_by_the_own_org_excuses_nothing_of_what_a_bid_owes_in_all() -> None:
    """Two bids push a gang out at the floor. Once they have run for the minimum, their org claims
    the nodes that it owns, and they move: what the gang had bid is owed all the same."""
    parkade = Parkade(fabrics={"a": 3, "b": 2}, buffer_nodes=0, public_floor_micros=0)
    for org in ("cheat", "other"):
        parkade.org(org)
    reservation = parkade.reserve("cheat", 2, hours=1000)
    parkade.lend(reservation, 0)
    ((fabric, _),) = parkade.world.records.reservations[reservation].shape
    assert fabric == "b"
    other = parkade.bid("other", 9, nodes=3)
    parkade.clear()
    parkade.start_all()
    parkade.bid("guest", 5, nodes=2)
    parkade.clear()
    parkade.start_all()
    two = [parkade.bid("cheat", 20) for _ in range(2)]
    parkade.clear()
    parkade.stop_all()
    parkade.tick()
    parkade.start_all()
    assert parkade.nodes_of(other)[0][0] == "a"
    parkade.pass_time(60)
    before = charges(parkade, "cheat")
    claim = parkade.claim(reservation, 2)
    parkade.do(commands.Unclaim(by=None, claim=claim))
    for name in two:
        cancel(parkade, name)
    parkade.stop_all()
    paid = sum(it for kind, it in charges(parkade, "cheat")[len(before) :] if kind != "reservation")
    assert paid >= minimum(5 * MICROS * 20 // 21, gpus=4)
    audited(parkade)


def test_a_promise_that_is_chased_owes_for_all_whom_it_made_leave() -> None:
    """Each claim moves the bid's promise to another fabric, whose guest leaves as well. It was
    charged for the last of them alone."""
    parkade = Parkade(fabrics=dict.fromkeys("abc", 2), buffer_nodes=0, public_floor_micros=0)
    rights = []
    for _ in range(3):
        parkade.lend(parkade.reserve("acme", 1, hours=1000), 0)
        rights.append(parkade.reserve("cheat", 1, hours=1000))
        parkade.lend(rights[-1], 0)
    guests = [parkade.bid(f"guest-{limit}", limit, nodes=2) for limit in (4, 5, 6)]
    parkade.clear()
    parkade.start_all()
    parkade.run(600)
    chased = parkade.bid("cheat", 9, nodes=2)
    parkade.clear()
    while stay := [it for it in guests if parkade.attempt(it).stop is None]:
        (own,) = (it for it in rights if fabric_of(parkade, it) == parkade.nodes_of(chased)[0][0])
        parkade.claim(own, 1)
        parkade.tick(2)
        parkade.clear()
        assert len(stay) - 1 == sum(parkade.attempt(it).stop is None for it in guests)
    before = len(charges(parkade, "cheat"))
    cancel(parkade, chased)
    (paid,) = charges(parkade, "cheat")[before:]
    assert paid == ("minimum_charge", minimum(9 * MICROS, gpus=4)), "at most its own bid"
    assert paid[1] < sum(minimum(it * MICROS * 20 // 21, gpus=4) for it in (4, 5, 6))
    audited(parkade)


def fabric_of(parkade: Parkade, reservation: str) -> str:
    ((fabric, _),) = parkade.world.records.reservations[reservation].shape
    return fabric
