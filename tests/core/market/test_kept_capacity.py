"""What an owner keeps: room that stays empty, is free when it asks, and is its own."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.market.allocation import allocate
from parkade.core.market.clear import clear
from parkade.core.market.market_state import MarketState, PriorityTier
from parkade.core.market.outcome import Change, Clearing
from tests.core.market.story import (
    bid,
    chance_market,
    changes,
    claim,
    given_market,
    incumbents,
    line_of,
    nodes_of,
    on,
    reserved,
    with_demands,
)

LATER = 35
KEEPS_ONE = reserved("acme", {"amber": 2}, lends_at=5, keep=1)


def with_runners_to_be_stopped(state: MarketState) -> MarketState:
    """Nodes that are held now are free only after a notice; all others are free."""
    held = {seat.node for demand in state.demands for seat in demand.seats}
    nodes = tuple(
        msgspec.structs.replace(it, free_from_us=LATER if it.node in held else 0)
        for it in state.nodes
    )
    return msgspec.structs.replace(state, nodes=nodes)


def is_free_now(state: MarketState, clearing: Clearing, name: str) -> bool:
    times = {node.node: node.free_from_us for node in state.nodes}
    nodes = nodes_of(clearing, name)
    return bool(nodes) and all(times[node] == 0 for node in nodes)


def test_a_kept_node_is_its_owners_at_once_though_a_guest_fills_the_rest_of_the_fabric() -> None:
    state = with_runners_to_be_stopped(
        given_market(
            on(bid("single", 9), "birch-2"),
            on(bid("weak", 10, 2), "birch-0", "birch-1"),
            on(bid("strong", 11, 2), "amber-0", "amber-1"),
            claim("owner", "acme"),
            fabrics={"amber": 3, "birch": 3},
            reservations=(KEEPS_ONE,),
        )
    )
    clearing = clear(state)
    assert nodes_of(clearing, "owner") == ("amber-2",)
    assert changes(clearing) == {
        "owner": Change.START,
        "strong": Change.KEEP,
        "single": Change.KEEP,
        "weak": Change.PREEMPT,
    }
    assert not clearing.used_fallback_seating
    assert clearing.reservations[0].kept == 1
    again = clear(incumbents(state, clearing))
    assert set(changes(again).values()) <= {Change.KEEP, Change.WAIT}


def test_guests_leave_the_nodes_that_are_free_now_to_the_owner_that_keeps_them() -> None:
    state = given_market(
        bid("guest", 9),
        fabrics={"amber": 2},
        free_from={"amber-1": LATER},
        reservations=(KEEPS_ONE,),
    )
    assert nodes_of(clear(state), "guest") == ("amber-1",)


def test_an_owner_that_keeps_nothing_does_not_take_what_another_keeps() -> None:
    state = with_runners_to_be_stopped(
        given_market(
            on(bid("guest", 9), "amber-0"),
            claim("needy", "bare"),
            fabrics={"amber": 2},
            reservations=(
                reserved("bare", {"amber": 1}, lends_at=5),
                reserved("careful", {"amber": 1}, lends_at=5, keep=1),
            ),
        )
    )
    clearing = clear(state)
    assert nodes_of(clearing, "needy") == ("amber-0",)
    assert line_of(clearing, "guest").change is Change.PREEMPT


def test_kept_room_is_named_whole_in_another_fabric_where_its_own_is_full() -> None:
    state = with_runners_to_be_stopped(
        given_market(
            on(bid("one", 9), "amber-0"),
            on(bid("two", 9), "amber-1"),
            bid("new", 8),
            fabrics={"amber": 2, "birch": 3},
            reservations=(reserved("acme", {"amber": 2}),),
        )
    )
    clearing = clear(state)
    assert changes(clearing) == {"one": Change.KEEP, "two": Change.KEEP, "new": Change.START}
    assert clearing.reservations[0].kept == 2
    assert not clearing.used_fallback_seating


@settings(max_examples=300)
@given(st.integers(min_value=0, max_value=1 << 40), st.integers(min_value=1, max_value=2))
def test_nodes_kept_empty_in_one_fabric_come_without_a_wait(seed: int, crowd: int) -> None:
    state = incumbents(incumbents(chance_market(seed, crowd=crowd)))
    asked = [it for it in state.demands if it.tier is not PriorityTier.RESERVED or it.seats]
    state = with_runners_to_be_stopped(with_demands(state, *asked))
    if set(changes(clear(state)).values()) & {Change.START, Change.MOVE, Change.HEAL}:
        return
    held = {seat.node for demand in state.demands for seat in demand.seats}
    empty = [it.fabric for it in state.nodes if it.is_open and it.node not in held]
    idle = allocate(state).reserved.kept_room()
    for block in idle.blocks:
        most = min(block.nodes, idle.without_wait[block.reservation])
        for nodes in range(1, most + 1):
            if max(map(empty.count, empty), default=0) >= nodes:
                asks = claim("asks", block.reservation, nodes)
                clearing = clear(with_demands(state, *state.demands, asks))
                assert is_free_now(state, clearing, "asks")


def test_an_owner_takes_the_fabric_whose_nodes_need_no_turnaround() -> None:
    state = given_market(
        claim("owner", "acme"),
        fabrics={"amber": 1, "birch": 1},
        reservations=(reserved("acme", {"amber": 1, "birch": 1}, lends_at=5),),
    )
    amber, birch = state.nodes
    left = msgspec.structs.replace(amber, last_org="guest", clean_from_us=LATER)
    assert nodes_of(clear(msgspec.structs.replace(state, nodes=(left, birch))), "owner") == (
        "birch-0",
    )
    own = msgspec.structs.replace(left, last_org="org-acme")
    assert nodes_of(clear(msgspec.structs.replace(state, nodes=(own, birch))), "owner") == (
        "amber-0",
    )


def test_what_stays_empty_for_an_owner_is_what_is_clean_for_it() -> None:
    state = given_market(
        bid("guest", 9),
        fabrics={"amber": 2},
        reservations=(KEEPS_ONE,),
    )
    left, clean = state.nodes
    left = msgspec.structs.replace(left, last_org="other", clean_from_us=LATER)
    clearing = clear(msgspec.structs.replace(state, nodes=(left, clean)))
    assert nodes_of(clearing, "guest") == ("amber-0",)
