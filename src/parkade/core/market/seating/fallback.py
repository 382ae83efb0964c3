"""The fall-back seating: every winner in the very fabrics in which the allocation counted it.

What was counted is there, so it fits, but for one case (`GivesUpClosed`). It moves every winner
that sits in another fabric, needed or not, and is used only where no repair of the seating holds or
moves fewer GPUs (`seat`).
"""

from collections import Counter
from collections.abc import Container
from typing import NamedTuple

from parkade.core.market.entitlement import KeptRoom
from parkade.core.market.layout import Layout
from parkade.core.market.market_state import PriorityTier
from parkade.core.market.running_seats import is_counted_by_name
from parkade.core.market.seating.free_room import Seats, Winner, empty_open_nodes, in_rank_order
from parkade.core.placement.nodes import OpenNodes
from parkade.core.placement.room import Shape

WHOLE = Shape(1, 1, None, any_fabric=False)
"""One rank that takes a node whole, however many GPUs it has."""


class GivesUpClosed(NamedTuple):
    """A winner that cannot keep its closed nodes, because a shared open one is packed otherwise."""

    demand: str


def seat_as_allocated(
    winners: list[Winner],
    layout: Layout,
    kept: KeptRoom,
    counted_by_name: Container[str] = (),
) -> dict[str, Seats] | GivesUpClosed:
    """Nodes in the very fabrics of the allocation for every winner.

    What was counted is given names: each whole node, and each shared node (a token) with all that
    share it. Winners that stay come first, owners choose before their kept nodes, and those before
    other winners. Tokens are distinct over both stages of the allocation. `counted_by_name`: the
    bids that are counted on their very nodes. Grows with seats.
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
    # Those that are counted on their very nodes name these before others that share them.
    by_name = sorted(
        others,
        key=lambda it: (
            it.demand.demand not in counted_by_name and not is_counted_by_name(it.demand, layout)
        ),
    )
    own = {winner.demand.demand: _keep_own(winner, layout, taken, node_of) for winner in by_name}
    empty = empty_open_nodes(layout)
    for node in sorted(taken - layout.closed):
        empty.seat(node, WHOLE)
    owners = [it for it in others if it.demand.tier is PriorityTier.RESERVED]
    for winner in owners:
        seats[winner.demand.demand] = _name_nodes(winner, own[winner.demand.demand], node_of, empty)
    for block in kept.blocks:
        _take(empty, block.fabric, block.nodes, block.org)
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
        ranks_on, ranks_of = Counter(mine), Counter(part.tokens)
        if any(ranks_on[node_of[it]] != ranks_of[it] for it in ranks_of if it in node_of):
            return False
        named = {node_of[token] for token in ranks_of if token in node_of}
        unnamed = sorted((it for it in ranks_of if it not in node_of), key=lambda it: ranks_of[it])
        rest = sorted((it for it in ranks_on if it not in named), key=lambda it: ranks_on[it])
        if part.tokens and [ranks_of[it] for it in unnamed] != [ranks_on[it] for it in rest]:
            return False
        if not set(rest).isdisjoint(node_of.values()):
            return False
        node_of.update(zip(unnamed, rest, strict=False))
    return True


def _name_nodes(
    winner: Winner,
    own: list[list[str]],
    node_of: dict[int, str],
    empty: OpenNodes,
) -> Seats:
    """Seats of one winner: own nodes first, then those of each fabric that are ready soonest."""
    found: list[str] = []
    org = winner.demand.org
    for part, kept in zip(winner.parts, own, strict=True):
        if part.tokens:
            unnamed = [token for token in dict.fromkeys(part.tokens) if token not in node_of]
            opened = _take(empty, part.fabric, len(unnamed), org)
            node_of.update(zip(unnamed, opened, strict=True))
            found.extend(node_of[token] for token in part.tokens)
            continue
        found.extend(kept)
        found.extend(_take(empty, part.fabric, len(part.levels) - len(kept), org))
    return in_rank_order(winner.demand, found)


def _keep_own(
    winner: Winner, layout: Layout, taken: set[str], node_of: dict[int, str]
) -> list[list[str]]:
    """For each part the own whole nodes that are kept; own shared nodes name their tokens."""
    kept = []
    for part in winner.parts:
        own = dict.fromkeys(
            seat.node
            for seat in winner.demand.seats
            if layout.fabric_of.get(seat.node) == part.fabric
            and seat.node not in layout.closed
            and seat.node not in taken
        )
        mine = list(own)[: len(part.levels)]
        kept.append([] if part.tokens else mine)
        if part.tokens:
            unnamed = [token for token in dict.fromkeys(part.tokens) if token not in node_of]
            mine = mine[: len(unnamed)]
            node_of.update(zip(unnamed, mine, strict=False))
        taken.update(mine)
    return kept


def _take(empty: OpenNodes, fabric: int, nodes: int, org: str) -> list[str]:
    """The next nodes of a fabric for this org; there are so many, because they were counted."""
    if not nodes:
        return []
    found = empty.choose(fabric, WHOLE, nodes, set(), org)
    assert found is not None, "a fabric has fewer nodes than were counted"
    for node in found:
        empty.seat(node, WHOLE)
    return found
