"""The allocation: every demand's turn in priority order, by count of room and without node names.

Pinned demands take their seats first, wherever they are; then reservations and on-demand
(`reserved`); what they leave is stacked by floors (`supply`), and spot takes its turns on it
(`spot`).
"""

from typing import NamedTuple

from parkade.core.market.layout import Layout, Parts, build_layout, take_pinned_seats
from parkade.core.market.market_state import Demand, MarketState, PriorityTier
from parkade.core.market.priority import in_priority_order
from parkade.core.market.reserved import ReservedStage, allocate_reserved
from parkade.core.market.spot import Bid, allocate_spot, bid_of
from parkade.core.market.supply import Supply, stack_supply
from parkade.core.placement.room import Room


class Allocation(NamedTuple):
    """One pass over a state: `start` is spot's room before the first bid, `room` what is left.

    `bids` are those that took a turn, with their `bid_parts`; `parts` holds every winner's.
    """

    layout: Layout
    ordered: tuple[Demand, ...]
    reserved: ReservedStage
    supply: Supply
    start: Room
    room: Room
    bids: list[Bid]
    bid_parts: list[Parts | None]
    parts: dict[str, Parts]
    pinned_nodes: dict[int, str]


def allocate(state: MarketState) -> Allocation:
    """All turns; grows with N log N of the demands, and those that do not stay x fabrics."""
    layout = build_layout(state)
    ordered = in_priority_order(state)
    _check_seats(ordered, layout)
    possible = tuple(demand for demand in ordered if demand.gpus <= layout.node_gpus)
    reserved = allocate_reserved(state, layout, possible)
    supply = stack_supply(state, layout, reserved)
    spot = [demand for demand in possible if demand.tier is PriorityTier.SPOT]
    pinned = [demand for demand in spot if demand.is_pinned]
    tokens: dict[str, int] = {}
    start = Room(supply.floors, state.gpus_per_node)
    start.tokens = reserved.room.tokens
    parts = dict(reserved.parts)
    for demand in pinned:
        parts[demand.demand] = take_pinned_seats(start, layout, demand, tokens, count_closed=True)
    for node, token in tokens.items():
        if node in layout.closed:
            start.close(token)
    bids = [bid_of(demand, layout, state.terms) for demand in spot if not demand.is_pinned]
    room = start.copy()
    bid_parts = allocate_spot(room, bids)
    for bid, taken in zip(bids, bid_parts, strict=True):
        if taken is not None:
            parts[bid.name] = taken
    pinned_nodes = {token: node for node, token in (reserved.tokens | tokens).items()}
    return Allocation(
        layout, ordered, reserved, supply, start, room, bids, bid_parts, parts, pinned_nodes
    )


def _check_seats(ordered: tuple[Demand, ...], layout: Layout) -> None:
    """What must be true of a state: no node held beyond its GPUs, closed ones by who stays only."""
    held: dict[str, int] = {}
    for demand in ordered:
        assert demand.nodes > 0 and demand.gpus > 0, f"{demand.demand} asks for nothing"
        for seat in demand.seats:
            held[seat.node] = held.get(seat.node, 0) + seat.gpus
            assert demand.is_pinned or seat.node not in layout.closed, (
                f"{demand.demand} sits on closed {seat.node} and does not stay put"
            )
    for node, gpus in held.items():
        assert gpus <= layout.node_gpus, f"{node} is held beyond its GPUs"
