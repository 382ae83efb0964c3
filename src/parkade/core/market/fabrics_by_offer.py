"""Fabrics by what they offer to a gang of whole nodes, kept in order while bids take their turns.

A gang of n nodes takes the fabric with the cheapest highest floor, of these the tightest
(`spot.preference_of`). Few fabrics change from one turn to the next, and few of a market's bids
look at other fabrics than their own. So for each n that is asked for there is a sorted list, in
which the fabrics that changed since it was last asked for are put in order anew.

Example: amber has floors [7], birch [1, 1]. For one node birch comes first, at 1 with 2 free, then
amber, at 7 with 1 free; for two nodes there is birch only. Once one node of birch is taken, birch
still comes first for one node, and none is left for two.
"""

from bisect import bisect_left, insort
from typing import NamedTuple

from parkade.core.placement.room import Room

WholeOffer = tuple[int, int, int]
"""Highest floor drawn by the gang, free nodes of the fabric, fabric: the least is taken."""


class _Ordered(NamedTuple):
    """The fabrics that hold a gang of one size."""

    offers: list[WholeOffer]
    """Ascending."""

    free: list[int]
    """Free nodes of each fabric, as `offers` knows them."""


class FabricsByOffer:
    """An index of a room, which must never grow.

    `_opened`: fabrics in which nodes were opened, in order. `_seen[n]`: how many of these
    `_ordered[n]` knows.
    """

    __slots__ = ("_opened", "_ordered", "_room", "_seen")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._opened: list[int] = []
        self._ordered: dict[int, _Ordered] = {}
        self._seen: dict[int, int] = {}

    def opened(self, fabric: int) -> None:
        """The room has fewer free nodes in this fabric than before."""
        self._opened.append(fabric)

    def of(self, nodes: int) -> list[WholeOffer]:
        """What the fabrics offer to a gang of so many whole nodes, the best first.

        Grows with the fabrics the first time, then with those opened since the last.
        """
        assert nodes > 0, "a gang of no nodes fits everywhere"
        ordered = self._ordered.get(nodes)
        if ordered is None:
            free = self._room.free.copy()
            offers = [self._offer(fabric, nodes, left) for fabric, left in enumerate(free)]
            ordered = _Ordered(sorted(it for it in offers if it is not None), free)
            self._ordered[nodes] = ordered
        else:
            for fabric in self._opened[self._seen[nodes] :]:
                self._update(ordered, fabric, nodes)
        self._seen[nodes] = len(self._opened)
        return ordered.offers

    def _update(self, ordered: _Ordered, fabric: int, nodes: int) -> None:
        before, now = ordered.free[fabric], self._room.free[fabric]
        assert now <= before, "a room grew under its index"
        if now == before:
            return
        ordered.free[fabric] = now
        outdated = self._offer(fabric, nodes, before)
        if outdated is not None:
            at = bisect_left(ordered.offers, outdated)
            assert ordered.offers[at] == outdated, "an offer that is not in the index"
            del ordered.offers[at]
        offer = self._offer(fabric, nodes, now)
        if offer is not None:
            insort(ordered.offers, offer)

    def _offer(self, fabric: int, nodes: int, free: int) -> WholeOffer | None:
        if nodes > free:
            return None
        levels = self._room.levels[fabric]
        return levels[len(levels) - free + nodes - 1], free, fabric
