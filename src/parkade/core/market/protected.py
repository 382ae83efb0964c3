"""Spot that no bid pushes out for a while: counted where it stands, before the first turn.

A market may let each workload run for `min_runtime` once it started (`Demand.protection`). Such a
workload comes after reservations, on-demand and overflow, and before all other spot. Among
themselves they come in priority order. Each is counted on the open nodes on which it runs, an
elastic one with as many as it has. So the bids that follow share what is left, and every price says
so.

It is not protected in a clearing in which its own fabric does not hold it after the rights of
others, or at a floor above its limit, and takes its turn as any bid. So a right is served as ever.

Example: amber has 3 nodes at floor 1; an owner claims one of them. p runs on 2 nodes with limit 2
and is protected; q, a newcomer of 2 nodes, bids 9. p is counted first and keeps its nodes; q finds
none. Were the owner to claim 2, the room left would be 1 node: neither p nor q fits.

The one surprising rule: it draws the lowest floors of its fabric, although others bid more.
Decision record 176.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import structs

from parkade.core.market.layout import Layout, Parts, shape_of
from parkade.core.market.market_state import Demand
from parkade.core.market.running_seats import (
    NamedNodes,
    is_on_open_nodes,
    standing_fabrics,
)
from parkade.core.market.spot import Bid
from parkade.core.placement.room import Room


class Protected(NamedTuple):
    """Bids that are counted where they stand, and the shared nodes on which they stand."""

    counted: tuple[tuple[Bid, Parts], ...]
    """In priority order."""

    named: NamedNodes

    @property
    def names(self) -> frozenset[str]:
        """Their names."""
        return frozenset(bid.name for bid, _ in self.counted)


def take_protected(
    room: Room, bids: Sequence[Bid], demands: Mapping[str, Demand], layout: Layout
) -> Protected:
    """Counts those of the bids that are protected and fit where they stand, and changes `room`;
    `bids` come in priority order. Grows with their seats."""
    named = NamedNodes()
    found = []
    for bid in bids:
        demand = demands[bid.name]
        if demand.protection is not None:
            parts = _take(as_it_stands(demand), bid, room, layout, named)
            if parts is not None:
                found.append((bid, parts))
    return Protected(tuple(found), named)


def as_it_stands(demand: Demand) -> Demand:
    """An elastic demand as a gang of the nodes that it has; another as it is."""
    if not demand.most_nodes:
        return demand
    return structs.replace(demand, nodes=len(demand.seats), most_nodes=0, grows_by=0)


def _take(demand: Demand, bid: Bid, room: Room, layout: Layout, named: NamedNodes) -> Parts | None:
    """What it takes where it stands; None where that is not free, or its limit too low."""
    if not is_on_open_nodes(demand, layout):
        return None
    shape = shape_of(demand, layout)
    if shape.tenant is not None:
        standing = named.standing(demand, shape, layout, room, room.free)
        if standing is None or named.highest_floor(standing, shape, room) > bid.limit:
            return None
        return named.take(standing, shape, room)
    nodes = sorted((standing_fabrics(demand, layout) or {}).items())
    for fabric, count in nodes:
        free, levels = room.free[fabric], room.levels[fabric]
        if count > free or levels[len(levels) - free + count - 1] > bid.limit:
            return None
    return tuple(room.take(fabric, shape, count) for fabric, count in nodes)
