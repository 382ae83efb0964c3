"""Seats in the very fabrics of the pass, for where the settled seating does not hold.

What the pass counted is given names: each whole node, and each shared node (a token) with all who
share it, so it always fits. Inside a fabric own nodes are kept where they can be; owners choose
before the idle room that is kept for them, and that before everybody else.
"""

from collections.abc import Iterator

from parkade.core.market.layout import Ground
from parkade.core.market.market_state import NodeInPlay, Right
from parkade.core.market.reserved import Idle
from parkade.core.market.stable_seating import Seats, Winner, ranked


def seat_as_passed(
    winners: list[Winner], ground: Ground, pinned: dict[int, str], idle: Idle
) -> dict[str, Seats]:
    """Name the nodes of every winner; `pinned` are those of tokens of who stays put.

    Tokens of all winners must be distinct over the stages of the pass. Grows with seats.
    """
    seats: dict[str, Seats] = {}
    taken: set[str] = set(pinned.values())
    moving = []
    for winner in winners:
        if winner.demand.stays_put:
            seats[winner.demand.demand] = winner.demand.seats
            taken.update(seat.node for seat in winner.demand.seats)
        else:
            moving.append(winner)
    node_of = dict(pinned)
    own = {winner.demand.demand: _keep_own(winner, ground, taken, node_of) for winner in moving}
    empty = [
        iter([it.node for it in sorted(nodes, key=_by_time) if it.node not in taken])
        for nodes in ground.open_nodes
    ]
    owners = [it for it in moving if it.demand.right is Right.RESERVED]
    others = [it for it in moving if it.demand.right is not Right.RESERVED]
    for winner in owners:
        seats[winner.demand.demand] = _follow(winner, own[winner.demand.demand], node_of, empty)
    for block in idle.blocks:
        for _ in range(block.nodes):
            next(empty[block.fabric])
    for winner in others:
        seats[winner.demand.demand] = _follow(winner, own[winner.demand.demand], node_of, empty)
    return seats


def _follow(
    winner: Winner,
    own: list[list[str]],
    node_of: dict[int, str],
    empty: list[Iterator[str]],
) -> Seats:
    found: list[str] = []
    for part, kept in zip(winner.parts, own, strict=True):
        if part.tokens:
            found.extend(_name(token, node_of, empty[part.fabric]) for token in part.tokens)
            continue
        found.extend(kept)
        found.extend(next(empty[part.fabric]) for _ in range(len(part.levels) - len(kept)))
    return ranked(winner.demand, found)


def _by_time(node: NodeInPlay) -> tuple[int, str]:
    return node.free_from_us, node.node


def _keep_own(
    winner: Winner, ground: Ground, taken: set[str], node_of: dict[int, str]
) -> list[list[str]]:
    """For each part the own whole nodes that are kept; own shared ones name their tokens."""
    kept = []
    for part in winner.parts:
        mine = [
            seat.node
            for seat in winner.demand.seats
            if ground.fabric_of.get(seat.node) == part.fabric
            and seat.node not in ground.closed
            and seat.node not in taken
        ][: len(part.levels)]
        kept.append([] if part.tokens else mine)
        if part.tokens:
            unnamed = [token for token in part.tokens if token not in node_of]
            mine = mine[: len(unnamed)]
            node_of.update(zip(unnamed, mine, strict=False))
        taken.update(mine)
    return kept


def _name(token: int, node_of: dict[int, str], empty: Iterator[str]) -> str:
    if token not in node_of:
        node_of[token] = next(empty)
    return node_of[token]
