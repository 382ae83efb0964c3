"""The allocation's worked example, turn by turn, and what it asserts of its input."""

import msgspec
import pytest

from parkade.core.fleet.seat import Seat
from parkade.core.market.allocation import allocate
from parkade.core.market.clear import clear
from parkade.core.market.prices.counterfactuals import PriceQuery, shifted
from parkade.core.market.prices.floor_index import FloorIndex
from parkade.core.market.prices.sweep import CounterfactualSweep
from parkade.core.market.priority import WEIGHT_UNITS
from parkade.core.placement.room import Room, Shape
from tests.core.market.story import (
    MICROS,
    bid,
    claim,
    given_market,
    line_of,
    on,
    reserved,
    winners,
    worked_example,
)


def test_the_worked_example_is_allocated_as_the_module_says() -> None:
    allocation = allocate(worked_example())
    amber, birch = range(2)
    entitlement = allocation.reserved.entitlements["acme"]
    assert (entitlement.kept, entitlement.offered) == ({amber: 1}, {amber: 1})
    assert allocation.reserved.room.free == [1, 2]
    assert allocation.supply.floors == [[7 * MICROS], [MICROS, MICROS]]
    assert [it.name for it in allocation.bids] == ["a", "b", "c"]
    taken = {
        name: [(part.fabric, part.levels) for part in parts]
        for name, parts in allocation.parts.items()
    }
    assert taken == {
        "od": [(amber, (0,))],
        "a": [(birch, (MICROS, MICROS))],
        "b": [(amber, (7 * MICROS,))],
    }
    assert allocation.room.free == [0, 0]


def test_the_worked_example_is_priced_turn_by_turn_as_the_sweep_says() -> None:
    allocation = allocate(worked_example())
    sweep = CounterfactualSweep(allocation.start)
    factor = 20 * 8 * WEIGHT_UNITS
    one, two = (Shape(nodes, 8, None, any_fabric=False) for nodes in (1, 2))
    for shape in (one, two):
        sweep.add_query({}, shape, PriceQuery(factor, True, (shape, factor)))
    answered = []
    for at, (mine, parts) in enumerate(zip(allocation.bids, allocation.bid_parts, strict=True)):
        before = dict(sweep.answers)
        taken = sweep.take_turn(mine, parts)
        if parts is not None:
            without = {key: -count for key, count in taken.items()}
            sweep.add_query(without, mine.shape, PriceQuery(factor, False, mine.name))
        new = {name: it for name, it in sweep.answers.items() if name not in before}
        answered.append((at, taken, new))
    assert answered == [
        (0, {1: 2}, {(two, factor): (10_000_001, "a")}),
        (1, {0: 1}, {"a": (8 * MICROS, "b"), (one, factor): (8_000_001, "b")}),
        (2, {}, {}),
    ]
    assert sweep.finish()["b"] == (7 * MICROS, None)


def test_a_rival_that_chooses_otherwise_changes_what_a_counterfactual_differs_by() -> None:
    assert shifted({1: -2}, there={1: 1}, base={0: 1}) == {1: -1, 0: -1}
    assert shifted({1: -1}, there={1: 1}, base={}) == {}


def test_the_floor_index_finds_the_nodes_of_its_example() -> None:
    room = Room([[7], [1, 1]], 8)
    index = FloorIndex(room)
    assert index.find(2, below=100, avoid={}) == (1, 1)
    assert index.find(2, below=1, avoid={}) is None
    assert index.find(1, below=100, avoid={1: None}) == (7, 0)
    room.open(1, 1)
    assert index.find(2, below=100, avoid={}) is None
    assert index.find(1, below=100, avoid={}) == (1, 1)
    assert index.nodes_at_or_under(1, 1) == 2


def test_a_state_that_contradicts_itself_is_refused() -> None:
    gang = on(bid("gang", 9), "amber-0")
    market = given_market(gang, fabrics={"amber": 2})
    full = msgspec.structs.replace(gang, seats=(Seat(node="amber-1", gpus=9),))
    with pytest.raises(AssertionError, match="amber-1 is held beyond its GPUs"):
        allocate(msgspec.structs.replace(market, demands=(full,)))
    with pytest.raises(AssertionError, match="two demands share a name"):
        allocate(given_market(bid("w", 1), bid("w", 2), fabrics={"amber": 1}))
    with pytest.raises(AssertionError, match="a node is in play twice"):
        allocate(msgspec.structs.replace(market, nodes=market.nodes * 2, demands=()))


def test_equal_prices_go_round_by_org() -> None:
    """Ant is older and has four bids; bee gets every second node all the same."""
    bids = [bid(f"a{n}", 5, org="ant", submitted_us=n) for n in range(4)]
    bids += [bid(f"b{n}", 5, org="bee", submitted_us=10 + n) for n in range(4)]
    allocation = allocate(given_market(*bids, fabrics={"amber": 4}))
    assert allocation.parts.keys() == {"a0", "b0", "a1", "b1"}
    assert [it.name for it in allocation.bids[:4]] == ["a0", "b0", "a1", "b1"]
    assert [it.demand for it in allocation.ordered] == [it.name for it in allocation.bids]
    used = [msgspec.structs.replace(it, use_7_days=it.org == "ant") for it in bids]
    allocation = allocate(given_market(*used, fabrics={"amber": 3}))
    assert allocation.parts.keys() == {"b0", "a0", "b1"}


def test_of_alike_bids_of_an_org_those_go_first_that_need_not_move() -> None:
    """Three of amber's four nodes go to their owner: the youngest of equals would be pushed out of
    birch by an older one, where the older may as well be the one that loses."""
    bids = [on(bid(f"a{n}", 9, org="ant", submitted_us=n), f"amber-{n}") for n in range(4)]
    bids += [on(bid(f"b{n}", 9, org="ant", submitted_us=10 + n), f"birch-{n}") for n in range(2)]
    owner = claim("own", "acme", 3)
    market = given_market(
        *bids,
        owner,
        fabrics={"amber": 4, "birch": 2},
        reservations=(reserved("acme", {"amber": 3}, lends_at=5),),
    )
    assert winners(clear(market)).keys() - {"own"} == {"a0", "b0", "b1"}
    urgent = [msgspec.structs.replace(it, priority=it.demand == "a1") for it in bids]
    market = msgspec.structs.replace(market, demands=(*urgent, owner))
    assert winners(clear(market)).keys() - {"own"} == {"a1", "b0", "b1"}


@pytest.mark.parametrize(
    ("limit", "has_waited", "singles", "wins"),
    [(5.2, False, 5, False), (5.2, True, 5, True), (5.0, True, 5, False), (4.9, True, 5, False)],
    ids=["has not waited", "has waited", "bids as much as they do", "bids less"],
)
def test_smaller_running_bids_give_way_to_a_gang_that_has_waited_and_bids_more(
    limit: float, has_waited: bool, singles: float, wins: bool
) -> None:
    """5.2 is less than 5.0 with its credit."""
    small = [on(bid(f"s{n}", singles, org=f"s{n}"), f"amber-{n}") for n in range(4)]
    gang = bid("gang", limit, 4, has_waited=has_waited)
    clearing = clear(given_market(*small, gang, fabrics={"amber": 4}))
    assert bool(line_of(clearing, "gang").seats) == wins
    if wins:
        assert winners(clearing) == {"gang": 5 * MICROS}
        next_one = given_market(
            *(msgspec.structs.replace(it, seats=()) for it in small),
            on(gang, *(f"amber-{n}" for n in range(4))),
            fabrics={"amber": 4},
        )
        assert winners(clear(next_one)) == {"gang": 4_761_905}


def test_small_bids_keep_their_credit_where_the_gang_would_not_win_without_it() -> None:
    small = [on(bid(f"s{n}", 5), f"amber-{n}") for n in range(3)]
    strong = on(bid("strong", 6), "amber-3")
    gang = bid("gang", 5.2, 4, has_waited=True)
    single = bid("single", 5.1)
    clearing = clear(given_market(*small, strong, gang, single, fabrics={"amber": 4}))
    assert winners(clearing).keys() == {"s0", "s1", "s2", "strong"}


def test_small_bids_keep_their_credit_where_the_gang_takes_another_fabric() -> None:
    """b0 and b1 do not lose to newcomers that bid 0.0001 more, because the gang takes amber."""
    small = [on(bid(f"a{n}", 5), f"amber-{n}") for n in range(2)]
    beside = [on(bid(f"b{n}", 5), f"birch-{n}") for n in range(2)]
    new = [bid(f"n{n}", 5.0001) for n in range(2)]
    gang = bid("gang", 5.1, 2, has_waited=True)
    clearing = clear(given_market(*small, *beside, *new, gang, fabrics={"amber": 2, "birch": 2}))
    assert winners(clearing).keys() == {"gang", "b0", "b1"}


def test_small_bids_give_way_in_another_fabric_where_the_gang_needs_that() -> None:
    """With its credit b0 keeps birch-0 from the newcomer, which then takes a node of the gang's."""
    small = [on(bid(f"a{n}", 5), f"amber-{n}") for n in range(2)]
    beside = on(bid("b0", 5), "birch-0")
    new = bid("new", 5.2)
    gang = bid("gang", 5.1, 2, has_waited=True)
    clearing = clear(given_market(*small, beside, new, gang, fabrics={"amber": 2, "birch": 1}))
    assert winners(clearing).keys() == {"gang", "new"}


def test_a_larger_or_better_gang_gives_no_way() -> None:
    larger = on(bid("larger", 5, 5), *(f"amber-{n}" for n in range(5)))
    gang = bid("gang", 5.2, 4, has_waited=True)
    assert winners(clear(given_market(larger, gang, fabrics={"amber": 5}))).keys() == {"larger"}
