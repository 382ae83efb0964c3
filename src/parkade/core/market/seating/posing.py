"""What all tries of one clearing's seating share, made of the market and its allocation.

A winner draws floors in the order in which the allocation lets it: bids that it counted where they
stand before all others (`Allocation.protected`, then `pinned`), and these in priority order. In
another order a winner that stays would draw a dearer floor than was counted for it, and no seating
would hold.
"""

from parkade.core.market.allocation import Allocation
from parkade.core.market.layout import Layout, shape_of
from parkade.core.market.market_state import MarketState, PriorityTier
from parkade.core.market.seating.free_room import Winner, empty_open_nodes, fabrics_counted
from parkade.core.market.seating.giving_way import Key
from parkade.core.market.seating.standing import Problem
from parkade.core.market.supply import highest_floor
from parkade.core.placement.room import Shape


def pose(state: MarketState, allocation: Allocation, winners: list[Winner]) -> Problem:
    """What all tries share; grows with seats."""
    layout, kept = allocation.layout, allocation.reserved.kept_room()
    shapes: dict[Key, Shape] = {}
    place: dict[Key, int] = {}
    for at, block in enumerate(kept.blocks):
        place[at] = at
        shapes[at] = Shape(block.nodes, layout.node_gpus, None, any_fabric=False)
    for at, winner in enumerate(winners):
        place[winner.demand.demand] = at
        shapes[winner.demand.demand] = shape_of(winner.demand, layout)
    by_name = {it.demand.demand: it for it in winners}
    in_turn = by_turn(allocation, winners)
    counted = {it.demand.demand: fabrics_counted(it) for it in winners}
    return Problem(
        state,
        allocation,
        winners,
        in_turn,
        by_name,
        empty_open_nodes(layout),
        layout,
        kept,
        allocation.supply.floors,
        highest_floor(state),
        counted,
        shapes,
        place,
        {it.demand.demand: at for at, it in enumerate(in_turn)},
        frozenset(
            it.demand.demand
            for it in winners
            if it.demand.tier is PriorityTier.RESERVED
            and it.demand.demand not in allocation.reserved.overflowed
        ),
        allocation.protected.names,
        frozenset(
            it.demand.demand for it in winners if _must_move(it, counted[it.demand.demand], layout)
        ),
        {},
        {},
        set(),
    )


def by_turn(allocation: Allocation, winners: list[Winner]) -> list[Winner]:
    """Winners in the order in which an allocation lets them draw floors."""
    protected = {bid.name: -2 for bid, _ in allocation.protected.counted}
    first = protected | {bid.name: -1 for bid, _ in allocation.pinned}
    return sorted(winners, key=lambda it: first.get(it.demand.demand, 0))


def _must_move(winner: Winner, counted: dict[int, int], layout: Layout) -> bool:
    """Whether it stands in some fabric on more open nodes than the allocation counted there; never
    so for one of one fabric that stands in two, which is broken."""
    if winner.stays or not winner.demand.seats:
        return False
    stands: dict[int, int] = {}
    for seat in winner.demand.seats:
        fabric = layout.fabric_of.get(seat.node)
        if fabric is not None and seat.node not in layout.closed:
            stands[fabric] = stands.get(fabric, 0) + 1
    if len(stands) > 1 and not winner.demand.any_fabric:
        return False
    return any(nodes > counted.get(fabric, 0) for fabric, nodes in stands.items())
