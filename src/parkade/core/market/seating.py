"""The seating: where the winners of an allocation sit. No price depends on it.

Theory of operation
-------------------
The allocation counted room and named no node. A seating gives names, among the winners only, and
has one aim: a demand that runs stays where it is. Two seatings are tried:

1. The *stable seating* (`stable_seating`): running winners keep their seats, wherever the
   allocation counted them; winners without seats then choose in priority order.
2. It is accepted if every winner sits in the fabrics in which it was counted, or if it is
   *repeatable*: the allocation run again with these seats has the same winners and keeps as many
   nodes idle for each reservation, and those fit beside these seats. So a second clearing of an
   unchanged market moves no demand (where several floors bind, a third).
3. Else the *fallback*: the fabrics of the allocation. Inside each, demands keep own nodes where
   they can. What was counted is there, so it always fits.

Invariants: a winner has a seat for each rank, on different nodes; only pinned demands sit on
closed nodes; in a stable seating a price covers the floors that its seats draw.

Example: the winners of the example in `allocation`, then the next clearing, in which acme asks for
`own`, 1 node.

| turn | first clearing | turn | next clearing |
|---|---|---|---|
| kept block | amber-0 | od, a | keep amber-1; birch-0 and birch-1 |
| od | amber-1 | own | amber-0: acme kept it, so there is no wait |
| a | birch-0, birch-1 | kept block | amber-2, which b must leave |
| b | amber-2 | b | lost: preempted, price to win 10.000001 |

Were amber-1 to fail under a gang on amber-0 and amber-1, the gang would keep amber-0 and be healed
with amber-2; with no node left in amber it would move whole to another fabric. `test_seating.py`
computes this. Decision record 3 has the reasons.
"""

from collections.abc import Iterator

import msgspec

from parkade.core.market.allocation import Allocation, allocate
from parkade.core.market.critical_values import Prices
from parkade.core.market.entitlement import KeptRoom
from parkade.core.market.layout import Layout
from parkade.core.market.market_state import MarketState, NodeInPlay, PriorityTier
from parkade.core.market.stable_seating import (
    Seats,
    Winner,
    in_rank_order,
    leaves_room,
    seat_stably,
)
from parkade.core.market.supply import highest_floor


def seat(
    state: MarketState, allocation: Allocation, prices: Prices
) -> tuple[dict[str, Seats], bool]:
    """Seats of all winners, and whether the stable seating held.

    Grows with seats, winners x fabrics, and one more allocation where the stable seating departs
    from the allocation's fabrics.
    """
    winners = [
        Winner(demand, allocation.parts[demand.demand], prices.paid_micros(demand.demand))
        for demand in allocation.ordered
        if demand.demand in allocation.parts
    ]
    layout = allocation.layout
    kept = allocation.reserved.kept_room()
    floors = allocation.supply.floors
    floor_beyond = highest_floor(state)
    seats = seat_stably(winners, layout, kept, floors, floor_beyond)
    if seats is not None and (
        _is_seated_as_allocated(winners, seats, layout) or _is_repeatable(state, allocation, seats)
    ):
        return _whole(winners, seats), True
    seats = seat_as_allocated(winners, layout, allocation.pinned_nodes, kept)
    return _whole(winners, seats), False


def _whole(winners: list[Winner], seats: dict[str, Seats]) -> dict[str, Seats]:
    """The same seats; asserts that every winner has one for each rank."""
    for winner in winners:
        demand = winner.demand
        is_whole = demand.is_pinned or len(seats[demand.demand]) == demand.nodes
        assert is_whole, f"{demand.demand} is not seated whole"
    return seats


def _is_seated_as_allocated(winners: list[Winner], seats: dict[str, Seats], layout: Layout) -> bool:
    """Whether every winner sits in the fabrics in which the allocation counted it."""
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
    """Whether the allocation repeated with these seats would choose so again, and move no demand.

    That is: the same winners, as many kept nodes of each reservation, and those in fabrics where
    they fit beside these seats.
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
    """The fallback: nodes in the very fabrics of the allocation for every winner.

    What was counted is given names: each whole node, and each shared node (a token) with all that
    share it. Owners choose before their kept nodes, and those before other winners.
    `pinned_nodes`: the node of each token that a pinned demand holds. Tokens are distinct over both
    stages of the allocation. Grows with seats.
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
            _take(empty[block.fabric])
    for winner in others:
        seats[winner.demand.demand] = _name_nodes(winner, own[winner.demand.demand], node_of, empty)
    return seats


def _name_nodes(
    winner: Winner,
    own: list[list[str]],
    node_of: dict[int, str],
    empty: list[Iterator[str]],
) -> Seats:
    """Seats of one winner: own nodes first, then the soonest free of each fabric."""
    found: list[str] = []
    for part, kept in zip(winner.parts, own, strict=True):
        if part.tokens:
            found.extend(
                _node_of_token(token, node_of, empty[part.fabric]) for token in part.tokens
            )
            continue
        found.extend(kept)
        found.extend(_take(empty[part.fabric]) for _ in range(len(part.levels) - len(kept)))
    return in_rank_order(winner.demand, found)


def _by_time(node: NodeInPlay) -> tuple[int, str]:
    """The order in which nodes are taken: the soonest free, then by name."""
    return node.free_from_us, node.node


def _keep_own(
    winner: Winner, layout: Layout, taken: set[str], node_of: dict[int, str]
) -> list[list[str]]:
    """For each part the own whole nodes that are kept; own shared nodes name their tokens."""
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
    """The node of a shared node's token; the first to ask opens one."""
    if token not in node_of:
        node_of[token] = _take(empty)
    return node_of[token]


def _take(empty: Iterator[str]) -> str:
    """The next node of a fabric; there is one, because it was counted."""
    node = next(empty, None)
    assert node is not None, "a fabric has fewer nodes than were counted"
    return node
