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

A winner that keeps closed nodes keeps all its seats, in both seatings. The fallback can fail it in
one case: it has ranks on a shared open node, and the allocation packed its org's shared nodes in
another way than they are. Then `seat` names it, and `clear` clears again without its closed nodes.

Invariants: a winner has a seat for each rank, on different nodes; only winners that stay sit on
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
from typing import NamedTuple

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


class GivesUpClosed(NamedTuple):
    """A winner that cannot keep its closed nodes, because a shared open one is packed otherwise."""

    demand: str


def seat(
    state: MarketState, allocation: Allocation, prices: Prices
) -> tuple[dict[str, Seats], bool] | GivesUpClosed:
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
    followed = seat_as_allocated(winners, layout, kept)
    if isinstance(followed, GivesUpClosed):
        return followed
    return _whole(winners, followed), False


def _whole(winners: list[Winner], seats: dict[str, Seats]) -> dict[str, Seats]:
    """The same seats; asserts that every winner has one for each rank."""
    for winner in winners:
        demand = winner.demand
        assert len(seats[demand.demand]) == demand.nodes, f"{demand.demand} is not seated whole"
    return seats


def _is_seated_as_allocated(winners: list[Winner], seats: dict[str, Seats], layout: Layout) -> bool:
    """Whether every winner sits in the fabrics in which the allocation counted it."""
    for winner in winners:
        allocated = {part.fabric: len(part.levels) for part in winner.parts if part.levels}
        seated: dict[int, int] = {}
        for seat in seats[winner.demand.demand]:
            if seat.node not in layout.closed:
                fabric = layout.fabric_of[seat.node]
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
    winners: list[Winner], layout: Layout, kept: KeptRoom
) -> dict[str, Seats] | GivesUpClosed:
    """The fallback: nodes in the very fabrics of the allocation for every winner.

    What was counted is given names: each whole node, and each shared node (a token) with all that
    share it. Winners that stay come first, owners choose before their kept nodes, and those before
    other winners. Tokens are distinct over both stages of the allocation. Grows with seats.
    """
    seats: dict[str, Seats] = {}
    taken: set[str] = set()
    node_of: dict[int, str] = {}
    for winner in winners:
        if winner.stays:
            if not _names_own_tokens(winner, layout, node_of):
                return GivesUpClosed(winner.demand.demand)
            seats[winner.demand.demand] = winner.demand.seats
            taken.update(seat.node for seat in winner.demand.seats)
    others = [winner for winner in winners if not winner.stays]
    own = {winner.demand.demand: _keep_own(winner, layout, taken, node_of) for winner in others}
    empty = [
        iter([it.node for it in sorted(nodes, key=_by_time) if it.node not in taken])
        for nodes in layout.open_nodes
    ]
    owners = [it for it in others if it.demand.tier is PriorityTier.RESERVED]
    for winner in owners:
        seats[winner.demand.demand] = _name_nodes(winner, own[winner.demand.demand], node_of, empty)
    for block in kept.blocks:
        for _ in range(block.nodes):
            _take(empty[block.fabric])
    for winner in others:
        name = winner.demand.demand
        if name not in seats:
            seats[name] = _name_nodes(winner, own[name], node_of, empty)
    return seats


def _names_own_tokens(winner: Winner, layout: Layout, node_of: dict[int, str]) -> bool:
    """Whether the shared nodes counted for a winner that stays can be those it has; names them."""
    for part in winner.parts:
        mine = [
            seat.node
            for seat in winner.demand.seats
            if seat.node not in layout.closed and layout.fabric_of[seat.node] == part.fabric
        ]
        assert len(mine) == len(part.levels), "a winner stays with other seats than were counted"
        named = {node_of[token] for token in part.tokens if token in node_of}
        unnamed = [token for token in part.tokens if token not in node_of]
        rest = [node for node in mine if node not in named]
        if len(rest) != len(unnamed) and part.tokens:
            return False
        if not set(rest).isdisjoint(node_of.values()):
            return False
        node_of.update(zip(unnamed, rest, strict=False))
    return True


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
