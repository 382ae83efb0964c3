"""Which free nodes a winner takes: seats kept, a broken gang healed, a newcomer seated whole.

It looks at nodes that no other winner holds in the seating being made; who gives way where there
are none is decided in `giving_way`.

The one surprising rule: of fabrics that a price covers, one that is free now comes before the one
that the allocation counted, because the allocation knows no time.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import structs

from parkade.core.fleet.seat import Seat
from parkade.core.market.entitlement import KeptBlock
from parkade.core.market.layout import Layout, Parts, own_fabrics
from parkade.core.market.market_state import Demand, MarketState, PriorityTier
from parkade.core.market.supply import DrawnFloors
from parkade.core.placement.nodes import OpenNode, OpenNodes
from parkade.core.placement.room import Shape, divide

Seats = tuple[Seat, ...]
"""In order of rank."""


class Winner(msgspec.Struct, frozen=True, gc=False):
    """A winner of the allocation."""

    demand: Demand

    parts: Parts
    """What the allocation counted for it."""

    price: int | None
    """Micro-units per GPU-hour; None where no floor bears on it (reserved, on-demand)."""

    stays: bool
    """Whether it keeps closed nodes, and so all its seats."""

    by_node: tuple[int, ...] = ()
    """What each node of an elastic winner costs, never falling; empty: all cost its price."""

    def covers(self, floors: list[int]) -> bool:
        """Whether what it pays for its nodes covers the floors that they draw."""
        if not self.by_node:
            return self.price is None or max(floors, default=0) <= self.price
        return all(
            floor <= price for floor, price in zip(sorted(floors), self.by_node, strict=True)
        )


def winner_of(
    demand: Demand,
    parts: Parts,
    price: int | None,
    by_node: tuple[tuple[int, str | None], ...] = (),
) -> Winner:
    """A winner; it stays where room was counted for some of its ranks only."""
    stays = sum(len(it.levels) for it in parts) < demand.nodes
    return Winner(demand, parts, price, stays, tuple(micros for micros, _ in by_node))


class Choice(NamedTuple):
    """Free nodes for a gang, and whether its price falls short of the floor that it draws there."""

    nodes: list[str]
    is_dear: bool


def may_use(winner: Winner, layout: Layout, fabric: int) -> bool:
    """Whether it may stand in this fabric; where it was counted it may."""
    demand, name = winner.demand, layout.fabrics[fabric]
    if demand.overflows_to is not None and name not in demand.overflows_to:
        return any(part.fabric == fabric for part in winner.parts)
    return demand.only_fabric in (None, name)


def empty_open_nodes(layout: Layout) -> OpenNodes:
    """All open nodes of a market, empty."""
    named = (
        OpenNode(
            max(it.free_from_us, it.clean_from_us), it.node, fabric, it.free_from_us, it.last_org
        )
        for fabric, nodes in enumerate(layout.open_nodes)
        for it in nodes
    )
    return OpenNodes(named, len(layout.fabrics), layout.node_gpus)


def with_seats(state: MarketState, seats: Mapping[str, Seats]) -> MarketState:
    """The market in which the demands have these seats, and the others none; what has other seats
    than before does not grow for a while."""
    demands = tuple(
        it
        if it.seats is (now := seats.get(it.demand, ()))
        else structs.replace(it, seats=now, grows_by=0)
        for it in state.demands
    )
    return structs.replace(state, demands=demands)


def in_rank_order(demand: Demand, nodes: Sequence[str]) -> Seats:
    """Seats on these nodes, one for each rank, in order of rank: a rank whose node is among them
    keeps it."""
    left = Counter(nodes)
    assert max(left.values()) <= demand.ranks_per_node, f"{demand.demand} has ranks too close"
    places: list[str | None] = [None] * len(nodes)
    for rank, seat in enumerate(demand.seats[: len(nodes)]):
        if left[seat.node]:
            places[rank] = seat.node
            left[seat.node] -= 1
    rest = iter(sorted(left.elements()))
    return tuple(Seat(node=place or next(rest), gpus=demand.gpus) for place in places)


def fabrics_counted(winner: Winner) -> dict[int, int]:
    """How many ranks of a winner the allocation counted on open nodes of each fabric."""
    return {part.fabric: len(part.levels) for part in winner.parts if part.levels}


def own_nodes_free(demand: Demand, shape: Shape, nodes: OpenNodes) -> list[str]:
    """The own node of each rank that can keep it."""
    if shape.ranks_per_node == 1:
        return [seat.node for seat in demand.seats if nodes.can_seat(seat.node, shape)]
    found: list[str] = []
    for seat in demand.seats:
        before = found.count(seat.node)
        if nodes.can_seat(seat.node, shape, before + 1):
            found.append(seat.node)
    return found


def surviving(demand: Demand, shape: Shape, layout: Layout, nodes: OpenNodes) -> list[str]:
    """The own node of each rank that keeps it; none if a gang of one fabric would stand in two."""
    return staying(demand, layout, own_nodes_free(demand, shape, nodes))


def staying(demand: Demand, layout: Layout, found: list[str]) -> list[str]:
    """Which of its own free nodes it keeps; see `surviving`."""
    if len(found) > 1 and not demand.any_fabric:
        fabrics = {layout.fabric_of[node] for node in found}
        if len(fabrics) > 1:
            return []
    return found[: demand.nodes]


def heal(
    demand: Demand, shape: Shape, kept: Sequence[str], layout: Layout, nodes: OpenNodes
) -> list[str] | None:
    """Replacements in one of the gang's own fabrics for the seats it lost; None: it cannot heal."""
    without = set(kept) if shape.ranks_per_node == 1 else set()
    missing = demand.nodes - len(kept)
    assert missing > 0, f"{demand.demand} lost no seat"
    if not kept:
        return None
    for fabric in sorted({layout.fabric_of[node] for node in kept}):
        found = nodes.choose(fabric, shape, missing, without, demand.org)
        if found is not None:
            return found
    return None


def choose_free(
    winner: Winner, shape: Shape, layout: Layout, nodes: OpenNodes, floors: DrawnFloors
) -> Choice | None:
    """Nodes for a whole gang: by floors its price covers, then the wait, then the fabric.

    Of fabrics alike, the allocation's comes first, then its own, then the tightest. An owner leaves
    the allocation's fabric only for one that is free now, because others are counted on its room.
    Grows with fabrics.
    """
    allocated = {part.fabric for part in winner.parts}
    own, org = own_fabrics(winner.demand, layout), winner.demand.org
    is_owner = winner.demand.tier is PriorityTier.RESERVED
    best: tuple[tuple[bool, bool, bool, int, bool, bool, int, int], list[str]] | None = None
    for fabric in [
        *sorted(allocated),
        *(it for it in range(len(layout.fabrics)) if it not in allocated),
    ]:
        if not may_use(winner, layout, fabric):
            continue
        found = nodes.choose(fabric, shape, shape.nodes, set(), org)
        if found is None:
            continue
        is_dear = winner.price is not None and floors.highest(fabric, found) > winner.price
        wait = nodes.ready_for_us(found, org)
        foreign = fabric not in allocated
        tightness = nodes.empty(fabric)
        # Below a node it may share nodes where it was counted, and would open more elsewhere.
        is_late = is_owner and wait > 0 and shape.tenant is None
        order = (wait, foreign, fabric not in own, tightness, fabric)
        rank = (is_dear, is_late, is_owner and foreign, *order)
        if best is None or rank < best[0]:
            best = (rank, found)
        if (is_dear, wait, foreign) == (False, 0, False) and len(allocated) == 1:
            break
    if best is not None:
        return Choice(best[1], best[0][0])
    found = _spread(allocated, shape, nodes, org) if shape.any_fabric else None
    return None if found is None else Choice(found, False)


def find_block(block: KeptBlock, layout: Layout, nodes: OpenNodes) -> list[str] | None:
    """Free nodes for a kept block: in its own fabric, else whole where it is soonest free."""
    assert block.nodes > 0, "a kept block of no nodes"
    shape = Shape(block.nodes, layout.node_gpus, None, any_fabric=False)
    found = nodes.choose(block.fabric, shape, block.nodes, set(), block.org)
    if found is not None:
        return found
    elsewhere = [
        (nodes.ready_for_us(names, block.org), nodes.empty(fabric), fabric, names)
        for fabric in range(len(layout.fabrics))
        if (names := nodes.choose(fabric, shape, block.nodes, set(), block.org)) is not None
    ]
    return min(elsewhere)[3] if elsewhere else None


def _spread(allocated: Iterable[int], shape: Shape, nodes: OpenNodes, org: str) -> list[str] | None:
    """Nodes for a gang over few fabrics, the allocation's first; None where all are too small."""
    counted = set(allocated)
    capacities = []
    for fabric in range(nodes.fabrics):
        most = shape.nodes
        # A gang's ranks at most: each step asks for one rank less.
        while most and nodes.choose(fabric, shape, most, set(), org) is None:
            most -= 1
        capacities.append((fabric in counted, most, fabric))
    division = divide(capacities, shape.nodes)
    if division is None:
        return None
    found: list[str] = []
    for fabric, count in division:
        found.extend(nodes.choose(fabric, shape, count, set(), org) or [])
    assert len(found) == shape.nodes, "a fabric holds fewer ranks than it said"
    return found
