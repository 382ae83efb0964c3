"""Where whole nodes are to be had at each floor, kept up while a pass draws them.

Floors are few and rooms only shrink, so for each floor a heap of fabrics by the nodes they still
offer at or under it answers 'is there a fabric for n more' without looking at all fabrics. An
outdated top is corrected when it is read.
"""

from bisect import bisect_right
from heapq import heapify, heapreplace

from parkade.core.placement.room import Room


class FloorIndex:
    """Reads `room` as it changes; rooms must never grow."""

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
        """(floor, fabric) with that many nodes at the least floor under `below`, if any."""
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
        drawn = len(self._room.levels[fabric]) - self._room.free[fabric]
        return self._ends[at][fabric] - drawn

    def _top(self, at: int) -> tuple[int, int]:
        heap = self._heaps[at]
        while True:
            left, fabric = heap[0]
            now = self._left(at, fabric)
            if now == -left:
                return now, fabric
            heapreplace(heap, (-now, fabric))
