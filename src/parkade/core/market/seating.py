"""Seats in the very fabrics of the pass, for where the settled seating does not hold.

What the pass counted is given names: each whole node, and each shared node (a token) with all who
share it, so it always fits. Inside a fabric own nodes are kept where they can be; owners choose
before the kept room that is kept for them, and that before everybody else.
"""

from collections.abc import Iterator

import msgspec

from parkade.core.market.allocation import Allocation, allocate
from parkade.core.market.critical_values import Prices
from parkade.core.market.layout import Layout
from parkade.core.market.market_state import MarketState, NodeInPlay, PriorityTier
from parkade.core.market.quota import KeptRoom
from parkade.core.market.stable_seating import (
    Seats,
    Winner,
    in_rank_order,
    leaves_room,
    seat_stably,
)
from parkade.core.market.supply import guest_floor


def seat(
    state: MarketState, allocation: Allocation, prices: Prices
) -> tuple[dict[str, Seats], bool]:
    """Seats of all winners, and whether the settled seating held."""
    winners = [
        Winner(demand, allocation.parts[demand.demand], prices.paid_micros(demand.demand))
        for demand in allocation.ordered
        if demand.demand in allocation.parts
    ]
    layout = allocation.layout
    kept = allocation.reserved.kept_room()
    floors = allocation.supply.floors
    floor_beyond = _highest_floor(state)
    seats = seat_stably(winners, layout, kept, floors, floor_beyond)
    if seats is not None and (
        _is_seated_as_allocated(winners, seats, layout) or _is_repeatable(state, allocation, seats)
    ):
        return seats, True
    return seat_as_allocated(winners, layout, allocation.pinned_nodes, kept), False


def _highest_floor(state: MarketState) -> int:
    floors = [
        guest_floor(room.floor_micros, state.terms.fee)
        for room in state.reservations
        if room.floor_micros is not None
    ]
    return max([state.terms.public_floor_micros, *floors])


def _is_seated_as_allocated(winners: list[Winner], seats: dict[str, Seats], layout: Layout) -> bool:
    """Whether the seating uses the very fabrics of the pass."""
    for winner in winners:
        allocated = {part.fabric: len(part.levels) for part in winner.parts}
        seated: dict[int, int] = {}
        for seat in seats[winner.demand.demand]:
            fabric = layout.fabric_of.get(seat.node)
            if fabric is not None:
                seated[fabric] = seated.get(fabric, 0) + 1
        if allocated != seated:
            return False
    return True


def _is_repeatable(state: MarketState, allocation: Allocation, seats: dict[str, Seats]) -> bool:
    """Whether the pass repeated with these seats would choose so again, and move nobody.

    The same winners, as much kept room of each reservation, and that in fabrics which let it stay
    empty beside these seats.
    """
    demands = tuple(
        msgspec.structs.replace(demand, seats=seats.get(demand.demand, ()))
        for demand in state.demands
    )
    again = allocate(msgspec.structs.replace(state, demands=demands))
    kept = again.reserved.kept_room()
    return (
        again.parts.keys() == allocation.parts.keys()
        and kept.totals() == allocation.reserved.kept_room().totals()
        and leaves_room(state.demands, seats, allocation.layout, kept)
    )


def seat_as_allocated(
    winners: list[Winner], layout: Layout, pinned_nodes: dict[int, str], kept: KeptRoom
) -> dict[str, Seats]:
    """Name the nodes of every winner; `pinned` are those of tokens of who stays put.

    Tokens of all winners must be distinct over the stages of the pass. Grows with seats.
    """
    seats: dict[str, Seats] = {}
    taken: set[str] = set(pinned_nodes.values())
    unpinned = []
    for winner in winners:
        if winner.demand.is_pinned:
            seats[winner.demand.demand] = winner.demand.seats
            taken.update(seat.node for seat in winner.demand.seats)
        else:
            unpinned.append(winner)
    node_of = dict(pinned_nodes)
    own = {winner.demand.demand: _keep_own(winner, layout, taken, node_of) for winner in unpinned}
    empty = [
        iter([it.node for it in sorted(nodes, key=_by_time) if it.node not in taken])
        for nodes in layout.open_nodes
    ]
    owners = [it for it in unpinned if it.demand.tier is PriorityTier.RESERVED]
    others = [it for it in unpinned if it.demand.tier is not PriorityTier.RESERVED]
    for winner in owners:
        seats[winner.demand.demand] = _name_nodes(winner, own[winner.demand.demand], node_of, empty)
    for block in kept.blocks:
        for _ in range(block.nodes):
            next(empty[block.fabric])
    for winner in others:
        seats[winner.demand.demand] = _name_nodes(winner, own[winner.demand.demand], node_of, empty)
    return seats


def _name_nodes(
    winner: Winner,
    own: list[list[str]],
    node_of: dict[int, str],
    empty: list[Iterator[str]],
) -> Seats:
    found: list[str] = []
    for part, kept in zip(winner.parts, own, strict=True):
        if part.tokens:
            found.extend(
                _node_of_token(token, node_of, empty[part.fabric]) for token in part.tokens
            )
            continue
        found.extend(kept)
        found.extend(next(empty[part.fabric]) for _ in range(len(part.levels) - len(kept)))
    return in_rank_order(winner.demand, found)


def _by_time(node: NodeInPlay) -> tuple[int, str]:
    return node.free_from_us, node.node


def _keep_own(
    winner: Winner, layout: Layout, taken: set[str], node_of: dict[int, str]
) -> list[list[str]]:
    """For each part the own whole nodes that are kept; own shared ones name their tokens."""
    kept = []
    for part in winner.parts:
        mine = [
            seat.node
            for seat in winner.demand.seats
            if layout.fabric_of.get(seat.node) == part.fabric
            and seat.node not in layout.closed
            and seat.node not in taken
        ][: len(part.levels)]
        kept.append([] if part.tokens else mine)
        if part.tokens:
            unnamed = [token for token in part.tokens if token not in node_of]
            mine = mine[: len(unnamed)]
            node_of.update(zip(unnamed, mine, strict=False))
        taken.update(mine)
    return kept


def _node_of_token(token: int, node_of: dict[int, str], empty: Iterator[str]) -> str:
    if token not in node_of:
        node_of[token] = next(empty)
    return node_of[token]
