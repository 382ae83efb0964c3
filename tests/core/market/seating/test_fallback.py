"""The seating, case by case: which nodes each winner gets, and what moves for it."""

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.market.allocation import allocate
from parkade.core.market.clear import clear
from parkade.core.market.market_state import MarketState
from parkade.core.market.seating.fallback import GivesUpClosed, seat_as_allocated
from parkade.core.market.seating.free_room import winner_of
from tests.core.market.story import (
    bid,
    chance_market,
    claim,
    given_market,
    incumbents,
    nodes_of,
    on,
    on_demand,
    reserved,
    terms,
    with_demands,
    worked_example,
)

SOON, LATER = 5, 35
FLOOR = terms(floor=1)
ONCE_IT_RUNS = incumbents(worked_example())


@dataclass(frozen=True)
class Case:
    """A market, and by hand the nodes of each winner, with a node for each rank."""

    market: MarketState
    seats: dict[str, str]


CASES = {
    "the example of the module, first clearing": Case(
        worked_example(),
        seats={"od": "amber-1", "a": "birch-0 birch-1", "b": "amber-2"},
    ),
    "the example of the module, next clearing": Case(
        with_demands(ONCE_IT_RUNS, *ONCE_IT_RUNS.demands, claim("own", "acme")),
        seats={"own": "amber-0", "od": "amber-1", "a": "birch-0 birch-1"},
    ),
    "running winners keep their seats though tighter room is free": Case(
        given_market(
            on(bid("a", 9), "amber-1"), on(bid("b", 8), "amber-2"), fabrics={"amber": 3, "birch": 1}
        ),
        seats={"a": "amber-1", "b": "amber-2"},
    ),
    "a newcomer takes the node that is free the soonest, in the allocation's fabric": Case(
        given_market(
            bid("a", 9),
            fabrics={"amber": 3},
            free_from={"amber-0": LATER, "amber-1": SOON, "amber-2": LATER},
        ),
        seats={"a": "amber-1"},
    ),
    "a newcomer leaves the allocation's fabric for a node that is free now": Case(
        given_market(
            bid("a", 9),
            fabrics={"amber": 1, "birch": 2},
            free_from={"amber-0": LATER},
        ),
        seats={"a": "birch-0"},
    ),
    "a broken gang keeps its surviving node, and its rank": Case(
        given_market(
            on(bid("gang", 9, 2), "amber-0", "amber-1"),
            fabrics={"amber": 3, "birch": 2},
            failed=("amber-0",),
        ),
        seats={"gang": "amber-2 amber-1"},
    ),
    "a broken gang moves whole where its fabric has no replacement": Case(
        given_market(
            on(bid("gang", 9, 2), "amber-0", "amber-1"),
            fabrics={"amber": 2, "birch": 2},
            failed=("amber-0",),
        ),
        seats={"gang": "birch-0 birch-1"},
    ),
    "a gang over any fabrics is healed in one of them": Case(
        given_market(
            on(bid("gang", 9, 3, any_fabric=True), "amber-0", "birch-0", "birch-1"),
            fabrics={"amber": 1, "birch": 4},
            failed=("birch-0",),
        ),
        seats={"gang": "amber-0 birch-2 birch-1"},
    ),
    "kept nodes are named before guests choose, the soonest free first": Case(
        given_market(
            bid("guest", 9),
            fabrics={"amber": 3},
            free_from={"amber-0": LATER, "amber-1": SOON},
            reservations=(reserved("acme", {"amber": 2}),),
        ),
        seats={"guest": "amber-0"},
    ),
    "an owner gets the node it kept before the rest is kept anew": Case(
        given_market(
            claim("own", "acme"),
            on(bid("guest", 9), "amber-0"),
            fabrics={"amber": 3},
            free_from={"amber-0": LATER, "amber-2": SOON},
            reservations=(reserved("acme", {"amber": 2}),),
        ),
        seats={"own": "amber-1", "guest": "amber-0"},
    ),
    "a winner whose price does not cover its floor is seated anew": Case(
        # Alone, the bid pays the 1 of birch; its own node is lent at 7.
        given_market(
            on(bid("a", 9, moves_if_cheaper=True), "amber-0"),
            fabrics={"amber": 1, "birch": 1},
            reservations=(reserved("acme", {"amber": 1}, lends_at=5),),
            on=FLOOR,
        ),
        seats={"a": "birch-0"},
    ),
    "a winner counted in a cheaper fabric stays where it runs if its price covers that floor": Case(
        # a is counted in birch and b in amber. c would win with 8, so a pays 8 x 20 / 21 = 7.62,
        # more than amber's 7: a stays there, and b takes birch.
        given_market(
            on(bid("a", 9, moves_if_cheaper=True), "amber-0"),
            bid("b", 8.5),
            bid("c", 8),
            fabrics={"amber": 1, "birch": 1},
            reservations=(reserved("acme", {"amber": 1}, lends_at=5),),
            on=FLOOR,
        ),
        seats={"a": "amber-0", "b": "birch-0"},
    ),
    "an on-demand keeps to the fabric whose calendar sold it": Case(
        given_market(
            on_demand("now", only_fabric="birch"),
            fabrics={"amber": 1, "birch": 1},
            free_from={"birch-0": LATER},
        ),
        seats={"now": "birch-0"},
    ),
    "work below a node joins the fullest node of its org": Case(
        given_market(
            on(bid("a", 9, gpus=2, org="ant"), "amber-0"),
            on(bid("b", 9, gpus=5, org="ant"), "amber-1"),
            bid("c", 9, gpus=2, org="ant"),
            fabrics={"amber": 3},
        ),
        seats={"a": "amber-0", "b": "amber-1", "c": "amber-1"},
    ),
    "a gang with a closed node keeps all its seats where it wins the rest": Case(
        given_market(
            on(bid("stays", 9, 3), "amber-0", "amber-1", "amber-2"),
            bid("weak", 4),
            fabrics={"amber": 3},
            closed=("amber-1",),
        ),
        seats={"stays": "amber-0 amber-1 amber-2"},
    ),
    "a gang that lost a node is started anew, so it leaves its closed node": Case(
        given_market(
            on(bid("heals", 9, 2), "amber-0", "amber-1"),
            fabrics={"amber": 4},
            closed=("amber-0",),
            failed=("amber-1",),
        ),
        seats={"heals": "amber-2 amber-3"},
    ),
    "a running bid gives way where the gang fits no other way": Case(
        # Cheap birch is counted for the stronger single, and dear amber whole for the gang: the
        # single may not stay on the node of amber that the gang needs.
        given_market(
            on(bid("single", 20, moves_if_cheaper=True), "amber-0"),
            bid("gang", 15, 2),
            fabrics={"amber": 2, "birch": 1},
            reservations=(reserved("acme", {"amber": 2}, lends_at=5),),
            on=FLOOR,
        ),
        seats={"single": "birch-0", "gang": "amber-0 amber-1"},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_seating_names_nodes_in_its_order(case: Case) -> None:
    clearing = clear(case.market)
    seated = {it.demand: " ".join(nodes_of(clearing, it.demand)) for it in clearing.lines}
    assert {name: nodes for name, nodes in seated.items() if nodes} == case.seats
    assert not clearing.used_fallback_seating


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_second_clearing_of_the_same_market_keeps_every_seat(case: Case) -> None:
    first = clear(case.market)
    second = clear(incumbents(case.market, first))
    winners = [line.demand for line in first.lines if line.seats]
    assert [nodes_of(second, it) for it in winners] == [nodes_of(first, it) for it in winners]


@settings(max_examples=300)
@given(st.integers(min_value=0, max_value=1 << 40), st.integers(min_value=1, max_value=3))
def test_the_fallback_seats_every_winner_where_it_was_counted(seed: int, crowd: int) -> None:
    state = chance_market(seed, crowd=crowd)
    allocation = allocate(state)
    kept = allocation.reserved.kept_room()
    winners = [
        winner_of(it, allocation.parts[it.demand], None)
        for it in allocation.ordered
        if it.demand in allocation.parts
    ]
    seats = seat_as_allocated(winners, allocation.layout, kept)
    if isinstance(seats, GivesUpClosed):
        assert any(it.demand == seats.demand and it.gpus < 8 for it in state.demands)
        return
    assert seats.keys() == allocation.parts.keys()
    open_nodes = {it.node: it.fabric for it in state.nodes if it.is_open}
    held: Counter[str] = Counter()
    for winner in winners:
        mine = seats[winner.demand.demand]
        held.update({seat.node: seat.gpus for seat in mine})
        if winner.stays:
            assert mine == winner.demand.seats
        else:
            names = allocation.layout.fabrics
            counted = {names[part.fabric]: len(part.levels) for part in winner.parts}
            assert Counter(open_nodes[seat.node] for seat in mine) == counted
    assert max(held.values(), default=0) <= state.gpus_per_node
    empty = Counter(fabric for node, fabric in open_nodes.items() if node not in held)
    wanted: Counter[str] = Counter()
    for block in kept.blocks:
        wanted[allocation.layout.fabrics[block.fabric]] += block.nodes
    assert wanted <= empty
