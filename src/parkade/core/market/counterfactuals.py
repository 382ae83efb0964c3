"""Worlds without a winner: how the room would differ had somebody not been in the pass.

A world is a difference to the base pass: nodes drawn more or less by fabric, and gaps on shared
nodes. Winners of one shape in one fabric leave the same difference and share one world. As long
as a rival chooses the same in a world and in the base, the difference stands as it is, so only
other choices cost anything (`sweep`).
"""

from collections.abc import Iterator
from typing import NamedTuple

from parkade.core.market.floor_index import Cheapest
from parkade.core.market.spot import NEVER
from parkade.core.placement.room import Offer, Room, Shape, Tenant
from parkade.core.units.money import ceil_div

GapKey = tuple[int, Tenant, int, int]
Difference = dict[int | GapKey, int]
"""Nodes drawn by fabric, and open nodes by (fabric, tenant, level, free GPUs)."""


Name = str | tuple[Shape, int]
"""A winner, or a newcomer's shape and factor."""


class Asker(NamedTuple):
    """Whose price is sought: `factor` turns a limit into a key; strict askers lose every tie."""

    factor: int
    is_strict: bool
    name: Name

    def asking(self, key: int) -> int:
        """The least limit with which this one reaches a rival's key."""
        return key // self.factor + 1 if self.is_strict else ceil_div(key, self.factor)


class Entry:
    """All who would ask a world for one shape; `floor` is the least at which it fits there.

    `witness` is a fabric that offers it at that floor, while at least `need` nodes are free.
    """

    __slots__ = ("askers", "floor", "need", "shape", "witness", "world")

    def __init__(self, world: "World", shape: Shape) -> None:
        self.world: World | None = world
        self.shape = shape
        self.askers: list[Asker] = []
        self.floor = 0
        self.witness = -1
        self.need = 0


class World:
    """One difference and those for whom it is the room without them."""

    __slots__ = ("drawn", "entries", "fabrics", "gaps")

    def __init__(self, difference: Difference) -> None:
        self.drawn: dict[int, int] = {}
        self.gaps: dict[tuple[int, Tenant], dict[tuple[int, int], int]] = {}
        for key, count in difference.items():
            if isinstance(key, int):
                self.drawn[key] = count
            else:
                fabric, tenant, level, gap = key
                self.gaps.setdefault((fabric, tenant), {})[level, gap] = count
        self.fabrics = sorted({*self.drawn, *(fabric for fabric, _ in self.gaps)})
        self.entries: dict[Shape, Entry] = {}

    def difference(self) -> Difference:
        """What this world differs in."""
        found: Difference = {}
        found.update(self.drawn.items())
        for (fabric, tenant), counts in self.gaps.items():
            for (level, gap), count in counts.items():
                found[fabric, tenant, level, gap] = count
        return found

    def touches(self, fabric: int, shape: Shape) -> bool:
        """Whether this fabric's offer for the shape may differ from the base's."""
        return fabric in self.drawn or (
            shape.tenant is not None and (fabric, shape.tenant) in self.gaps
        )

    def offer(self, room: Room, fabric: int, shape: Shape) -> Offer | None:
        """As `Room.offer`, in this world."""
        shared = 0
        tenant = shape.tenant
        if tenant is not None:
            for level, gap in self._gaps(room, fabric, tenant):
                if gap >= shape.gpus:
                    shared += 1
                    if shared == shape.nodes:
                        return Offer(level, 0)
        opened = shape.nodes - shared
        free = room.free[fabric] - self.drawn.get(fabric, 0)
        if opened > free:
            return None
        ladder = room.levels[fabric]
        return Offer(ladder[len(ladder) - free + opened - 1], opened)

    def taking(self, room: Room, fabric: int, shape: Shape, nodes: int) -> Difference:
        """What seating `nodes` ranks here changes, in this world."""
        if shape.tenant is None:
            return {fabric: nodes}
        fits = [it for it in self._gaps(room, fabric, shape.tenant) if it[1] >= shape.gpus][:nodes]
        change: Difference = {}
        for level, gap in fits:
            _count(change, (fabric, shape.tenant, level, gap), -1)
        opened = nodes - len(fits)
        if opened:
            free = room.free[fabric] - self.drawn.get(fabric, 0)
            ladder = room.levels[fabric]
            position = len(ladder) - free
            fits += [(level, room.node_gpus) for level in ladder[position : position + opened]]
            change[fabric] = opened
        for level, gap in fits:
            if gap > shape.gpus:
                _count(change, (fabric, shape.tenant, level, gap - shape.gpus), 1)
        return change

    def locate(self, room: Room, cheapest: Cheapest, entry: Entry) -> None:
        """Find the least floor at which an entry's shape fits, and until when that holds.

        Grows with the fabrics in which this world or the shape's tenant is special.
        """
        entry.floor, entry.witness, entry.need = NEVER, -1, 0
        shape = entry.shape
        special = dict.fromkeys(self.fabrics)
        if shape.tenant is not None:
            special.update(dict.fromkeys(room.fabrics_of(shape.tenant)))
        for fabric in special:
            offer = self.offer(room, fabric, shape)
            if offer is not None and offer.level < entry.floor:
                entry.floor, entry.witness = offer.level, fabric
                entry.need = self._need(room, cheapest, fabric, offer)
        found = cheapest.find(shape.nodes, entry.floor, special)
        if found is not None:
            entry.floor, entry.witness = found
            offer = Offer(entry.floor, shape.nodes)
            entry.need = self._need(room, cheapest, entry.witness, offer)

    def room(self, base: Room) -> Room:
        """This world as a room of its own; grows with the fabrics."""
        twin = base.copy()
        for fabric, drawn in self.drawn.items():
            twin.free[fabric] -= drawn
        for fabric, tenant in self.gaps:
            twin.gaps[fabric, tenant] = [
                (level, gap, 0) for level, gap in self._gaps(base, fabric, tenant)
            ]
        return twin

    def _need(self, room: Room, cheapest: Cheapest, fabric: int, offer: Offer) -> int:
        """How many nodes must stay free in the base for this offer to stand."""
        if not offer.opened:
            return 0
        drawn = self.drawn.get(fabric, 0)
        end = cheapest.end(fabric, offer.level)
        return len(room.levels[fabric]) + drawn + offer.opened - end

    def _gaps(self, room: Room, fabric: int, tenant: Tenant) -> Iterator[tuple[int, int]]:
        base = room.gaps.get((fabric, tenant), ())
        changed = self.gaps.get((fabric, tenant))
        if changed is None:
            return ((level, gap) for level, gap, _ in base)
        counts = dict(changed)
        for level, gap, _ in base:
            counts[level, gap] = counts.get((level, gap), 0) + 1
        return (it for it in sorted(counts) for _ in range(counts[it]))


def shifted(difference: Difference, there: Difference, base: Difference) -> Difference:
    """The difference after a rival changed `there` in the world and `base` in the base pass."""
    found = dict(difference)
    for key, count in there.items():
        _count(found, key, count)
    for key, count in base.items():
        _count(found, key, -count)
    return found


def _count(change: Difference, key: int | GapKey, by: int) -> None:
    total = change.get(key, 0) + by
    if total:
        change[key] = total
    else:
        change.pop(key, None)
