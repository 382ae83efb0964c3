"""Who made work leave on whose nodes it does not sit, in markets with several floors."""

import pytest

from parkade.core.state import commands, events, lines
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.spec import Spec
from parkade.core.workloads.workload import Debt
from tests.core.kernel.story import Parkade

LESS_CREDIT = 3 * MICROS * 20 // 21
"""What the guest with a limit of 3 bid, per GPU-hour."""


def given_a_guest_beside_dear_nodes(*, lent: int = 3, guest_nodes: int = 3) -> Parkade:
    """A guest w1 with a limit of 3 runs on the nodes that are lent; three public ones at 1 are
    free. From then on those are lent at 5, so that it draws the public floors."""
    parkade = Parkade(fabrics={"a": 3 + lent}, buffer_nodes=0, public_floor_micros=MICROS)
    reservation = parkade.reserve("acme", lent, hours=1000)
    guest = parkade.bid("guest", 3, nodes=guest_nodes)
    assert guest == "w1"
    parkade.clear()
    parkade.start_all()
    parkade.run(60)
    parkade.lend(reservation, 5)
    parkade.run(60)
    assert parkade.attempt("w1").stop is None
    return parkade


def submit(org: str, spec: Spec) -> commands.Submit:
    return commands.Submit(by=None, org=org, market=None, spec=spec, is_held=False)


def cleared(parkade: Parkade, *actions: commands.AnyCommand) -> events.Cleared:
    """The clearing that follows on all of these at one instant."""
    for action in actions:
        if isinstance(action, commands.Submit) and action.org not in parkade.world.records.orgs:
            parkade.org(action.org)
        parkade._do(action)
    before = len(parkade.journal)
    parkade._do(commands.RunClearing(by=None, market="pool"))
    (found,) = (it for it in parkade.journal[before:] if isinstance(it, events.Cleared))
    return found


def causes(event: events.Cleared) -> dict[str, str]:
    return {lines.name_of(it.demand): it.stop.cause.value for it in event.left if it.stop}


def owed(event: events.Cleared) -> dict[str, int]:
    """By winner that owes, what those that it made leave had bid per hour."""
    return {
        lines.name_of(it.demand): sum(it.promise.debt.outbid_micros)
        for it in event.won
        if it.promise.displaces and it.promise.debt is not None
    }


def debt_of(event: events.Cleared, name: str) -> Debt:
    (found,) = (it.promise.debt for it in event.won if lines.name_of(it.demand) == name)
    assert found is not None
    return found


def test_a_bid_that_draws_the_low_floors_of_others_owes_for_them_on_whatever_nodes_it_sits() -> (
    None
):
    parkade = given_a_guest_beside_dear_nodes()
    found = cleared(parkade, submit("rich", parkade.spec(limit=9, nodes=3)))
    before = set(parkade.nodes_of("w1"))
    assert causes(found) == {"w1": "outbid"}
    assert before.isdisjoint(parkade.nodes_of("w2")), "it takes none of their nodes"
    assert owed(found) == {"w2": 6 * LESS_CREDIT}
    assert debt_of(found, "w2").notice_ends_us == parkade.stop("w1").deadline_us


def test_elastic_work_that_grows_by_the_low_floors_of_others_owes_for_them() -> None:
    """It has one of four low nodes and the guest three, when it bids more than the high ones
    cost: once it may grow again, it has them all."""
    parkade = Parkade(
        fabrics={"a": 8}, buffer_nodes=0, public_floor_micros=MICROS, regrow_us=600 * SECOND_US
    )
    reservation = parkade.reserve("acme", 4, hours=1000)
    parkade.bid("guest", 3, nodes=3)
    parkade.clear()
    parkade.start_all()
    parkade.lend(reservation, 5)
    grows = parkade.bid("lab", 1.5, nodes=1, most_nodes=8)
    parkade.run(60)
    assert len(parkade.nodes_of(grows)) == 1
    parkade.do(commands.ChangeBid(by=None, workload=grows, limit_price_micros=9 * MICROS))
    before = len(parkade.journal)
    parkade.run(900)
    cleared = [it for it in parkade.journal[before:] if isinstance(it, events.Cleared)]
    grown = next(it for it in cleared if causes(it).get(grows) == "resized")
    assert causes(grown)["w1"] == "outbid"
    assert owed(grown) == {grows: 6 * LESS_CREDIT}


def test_of_several_bids_those_owe_without_any_of_which_the_guest_would_have_stayed() -> None:
    """Five public nodes, of which the guest needs three. Two bids of one node leave it its room, a
    third does not; a fourth finds only what the guest leaves."""
    parkade = Parkade(fabrics={"a": 9}, buffer_nodes=0, public_floor_micros=MICROS)
    reservation = parkade.reserve("acme", 4, hours=1000)
    parkade.bid("guest", 3, nodes=3)
    parkade.clear()
    parkade.start_all()
    parkade.lend(reservation, 5)
    parkade.run(60)
    bids = [submit("rich", parkade.spec(limit=limit)) for limit in (12, 11, 10, 9)]
    found = cleared(parkade, *bids)
    assert causes(found) == {"w1": "outbid"}
    assert owed(found) == dict.fromkeys(("w2", "w3", "w4"), 2 * LESS_CREDIT)


def test_on_demand_that_leaves_too_few_low_floors_owes_and_the_guest_is_reclaimed() -> None:
    parkade = given_a_guest_beside_dear_nodes()
    spec = parkade.spec(on_demand_hours=1, nodes=2)
    found = cleared(parkade, submit("rich", spec))
    assert causes(found) == {"w1": "reclaimed"}
    assert set(owed(found)) == {"w2"}
    assert set(parkade.nodes_of("w2")).isdisjoint(parkade.nodes_of("w1"))


@pytest.mark.parametrize("bids", [0, 1])
def test_a_bid_beside_a_lender_that_stops_owes_nothing_where_the_guest_leaves_anyway(
    bids: int,
) -> None:
    """The guest has four of six nodes, and three are kept from it now. The bid takes nodes of it,
    and comes before it: it only fills what the owner leaves."""
    parkade = Parkade(fabrics={"a": 6}, buffer_nodes=0, public_floor_micros=MICROS)
    reservation = parkade.reserve("acme", 3, hours=1000)
    parkade.lend(reservation, 1)
    parkade.bid("guest", 3, nodes=4)
    parkade.clear()
    parkade.start_all()
    parkade.run(60)
    keeps = commands.Lend(by=None, reservation=reservation, floor_micros=MICROS, keep=3)
    bid = submit("rich", parkade.spec(limit=9, nodes=3))
    found = cleared(parkade, keeps, *[bid] * bids)
    assert causes(found) == {"w1": "reclaimed"}
    assert len(found.won) == bids and owed(found) == {}
    if bids:
        assert not set(parkade.nodes_of("w2")).isdisjoint(parkade.nodes_of("w1"))


def test_what_waits_beside_a_bid_does_not_excuse_it() -> None:
    """Without the first the second would have won, and the guest left as well."""
    parkade = given_a_guest_beside_dear_nodes()
    bids = [submit("rich", parkade.spec(limit=limit, nodes=3)) for limit in (9, 4)]
    found = cleared(parkade, *bids)
    assert causes(found) == {"w1": "outbid"}
    assert owed(found) == {"w2": 6 * LESS_CREDIT}
