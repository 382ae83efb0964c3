"""Which fabric has n whole nodes at the least floor, kept up while an allocation draws nodes.

Floors are few and room only shrinks, so for each floor a heap of fabrics by the nodes they still
offer at or under it answers 'is there a fabric for n more' without looking at all fabrics. An
outdated top is corrected when it is read.

Example: floors amber [7], birch [1, 1]. At floor 1 the heap has birch with 2 nodes on top, at
floor 7 birch with 2 before amber with 1. Two nodes are found at floor 1 in birch; once one of
birch is drawn, they are found nowhere.
"""

from bisect import bisect_right
from heapq import heapify, heapreplace

from parkade.core.placement.room import Room


class FloorIndex:
    """An index of a room, which must never grow.

    For each place `at` of the ascending `_levels` (all floors of the market): `_ends[at][f]` is how
    many nodes of fabric f stand at or under it, drawn or not, and `_heaps[at]` the heap.
    """

    __slots__ = ("_ends", "_heaps", "_levels", "_room")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._levels = sorted({level for levels in room.levels for level in levels})
        self._ends = [
            [bisect_right(levels, level) for levels in room.levels] for level in self._levels
        ]
        self._heaps = [
            [(-self._left(at, fabric), fabric) for fabric in range(len(room.levels))]
            for at in range(len(self._levels))
        ]
        for heap in self._heaps:
            heapify(heap)

    def find(self, nodes: int, below: int, avoid: dict[int, None]) -> tuple[int, int] | None:
        """(floor, fabric) with that many nodes at the least floor under `below`, if any.

        Fabrics in `avoid` do not count. Grows with floors, and with fabrics where one of `avoid`
        is on top.
        """
        assert nodes > 0, "a gang of no nodes fits everywhere"
        for at, level in enumerate(self._levels):
            if level >= below:
                return None
            left, fabric = self._top(at)
            if left < nodes:
                continue
            if fabric not in avoid:
                return level, fabric
            for other in range(len(self._room.free)):
                if other not in avoid and self._left(at, other) >= nodes:
                    return level, other
        return None

    def nodes_at_or_under(self, fabric: int, level: int) -> int:
        """How many nodes of a fabric's levels are at or under this floor."""
        return bisect_right(self._room.levels[fabric], level)

    def _left(self, at: int, fabric: int) -> int:
        """Free nodes of a fabric at or under this floor; negative where dearer ones are drawn."""
        drawn = len(self._room.levels[fabric]) - self._room.free[fabric]
        return self._ends[at][fabric] - drawn

    def _top(self, at: int) -> tuple[int, int]:
        """(nodes, fabric) of the fabric with most nodes at or under this floor."""
        heap = self._heaps[at]
        while True:
            left, fabric = heap[0]
            now = self._left(at, fabric)
            assert now <= -left, "a room grew under its index"
            if now == -left:
                return now, fabric
            heapreplace(heap, (-now, fabric))
