"""The allocation's worked example, turn by turn, and what it asserts of its input."""

import msgspec
import pytest

from parkade.core.fleet.seat import Seat
from parkade.core.market.allocation import allocate
from parkade.core.market.counterfactual_sweep import CounterfactualSweep
from parkade.core.market.counterfactuals import PriceQuery, shifted
from parkade.core.market.floor_index import FloorIndex
from parkade.core.placement.room import Room, Shape
from tests.core.market.story import MICROS, bid, given_market, on, worked_example


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
    one, two = (Shape(nodes, 8, None, any_fabric=False) for nodes in (1, 2))
    for shape in (one, two):
        sweep.add_query({}, shape, PriceQuery(20, True, (shape, 20)))
    answered = []
    for at, (mine, parts) in enumerate(zip(allocation.bids, allocation.bid_parts, strict=True)):
        before = dict(sweep.answers)
        taken = sweep.take_turn(mine, parts)
        if parts is not None:
            without = {key: -count for key, count in taken.items()}
            sweep.add_query(without, mine.shape, PriceQuery(20, False, mine.name))
        new = {name: it for name, it in sweep.answers.items() if name not in before}
        answered.append((at, taken, new))
    assert answered == [
        (0, {1: 2}, {(two, 20): (10_000_001, "a")}),
        (1, {0: 1}, {"a": (8 * MICROS, "b"), (one, 20): (8_000_001, "b")}),
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
