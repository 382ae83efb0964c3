"""Counterfactuals: how the room would differ if one winner had not taken part.

A counterfactual is a difference to the base allocation: nodes drawn more or less by fabric, and
gaps on shared nodes. Winners of one shape in one fabric leave the same difference and share one
counterfactual. As long as a rival chooses the same in a counterfactual and in the base, the
difference stands as it is, so only other choices cost anything (`sweep`).

Example: a gang of 2 whole nodes won in fabric 1. Without it the room differs by {1: -2}. A rival
that took a node of fabric 0 in the base takes one of fabric 1 there: then it differs by
{1: -1, 0: -1}.
"""

from collections.abc import Iterable

import msgspec

from parkade.core.market.prices.floor_index import FloorIndex
from parkade.core.market.priority import Mates, limit_as_one
from parkade.core.market.spot import FITS_NOWHERE
from parkade.core.placement.room import Offer, Room, Shape, Tenant
from parkade.core.units.money import ceil_div

GapKey = tuple[int, Tenant, int, int]
"""Open shared nodes by (fabric, tenant, floor, free GPUs)."""

Difference = dict[int | GapKey, int]
"""Whole nodes drawn more (or less, negative) by fabric; shared nodes more or less by gap."""


Name = str | tuple[Shape, int] | tuple[str, int]
"""A winner, a newcomer's shape and factor, or a node of an elastic winner by its number."""


Kind = tuple[int, bool, Mates]
"""Factor, ties and mates of a query: how its limit comes before the keys of rivals."""


class PriceQuery(msgspec.Struct, frozen=True, gc=False):
    """A bid whose price is sought."""

    factor: int
    """What one micro-unit of its limit counts in its key."""

    loses_ties: bool
    """True for a newcomer, which is told a price that wins whatever the ties."""

    name: Name

    gpus: int = 0
    """Of a job that shares a node with `mates`."""

    mates: Mates = ()

    @property
    def kind(self) -> Kind:
        """What queries of one shape have in common that have the same answer."""
        return self.factor, self.loses_ties, self.mates

    def limit_to_reach(self, key: int) -> int:
        """The least limit with which this bid comes before a rival of this key."""
        if self.mates:
            value = ceil_div(key * self.gpus, self.factor)
            return limit_as_one(value, self.gpus, self.mates)
        return key // self.factor + 1 if self.loses_ties else ceil_div(key, self.factor)


class ShapeFit:
    """Where a shape fits in a counterfactual, for the queries that wait for it there.

    `queries`: by their kind, because a turn decides all of a kind alike, and kinds are few.
    `floor`: the least at which it fits. `fabric`: one that offers it at that floor, as long as at
    least `nodes_needed` nodes are free there in the base; 0: always. `counterfactual`: None once
    the fit is outdated.
    """

    __slots__ = ("counterfactual", "fabric", "floor", "nodes_needed", "queries", "shape")

    def __init__(self, counterfactual: "Counterfactual", shape: Shape) -> None:
        self.counterfactual: Counterfactual | None = counterfactual
        self.shape = shape
        self.queries: dict[Kind, list[PriceQuery]] = {}
        self.floor = 0
        self.fabric = -1
        self.nodes_needed = 0

    def let_wait(self, kind: Kind, queries: Iterable[PriceQuery]) -> None:
        """Let queries of one kind wait for this shape."""
        self.queries.setdefault(kind, []).extend(queries)


class Counterfactual:
    """One difference to the base, and the fits of the shapes that wait in it.

    `drawn[f]`: nodes drawn more in fabric f. `gaps`: by (fabric, tenant), shared nodes more by
    (floor, free GPUs). `fabrics`: those that differ, ascending. `array`: whose waiting members take
    no turn in it; empty: none.
    """

    __slots__ = ("array", "drawn", "fabrics", "fits", "gaps")

    def __init__(self, difference: Difference, array: str = "") -> None:
        self.array = array
        self.drawn: dict[int, int] = {}
        self.gaps: dict[tuple[int, Tenant], dict[tuple[int, int], int]] = {}
        for key, count in difference.items():
            if isinstance(key, int):
                self.drawn[key] = count
            else:
                fabric, tenant, level, gap = key
                self.gaps.setdefault((fabric, tenant), {})[level, gap] = count
        self.fabrics = sorted({*self.drawn, *(fabric for fabric, _ in self.gaps)})
        self.fits: dict[Shape, ShapeFit] = {}

    def difference(self) -> Difference:
        """As one value, for comparing and merging."""
        found: Difference = {}
        found.update(self.drawn.items())
        for (fabric, tenant), counts in self.gaps.items():
            for (level, gap), count in counts.items():
                found[fabric, tenant, level, gap] = count
        return found

    def differs_at(self, fabric: int, shape: Shape) -> bool:
        """Whether this fabric's offer for the shape may differ from the base's."""
        return fabric in self.drawn or (
            shape.tenant is not None and (fabric, shape.tenant) in self.gaps
        )

    def offer(self, room: Room, fabric: int, shape: Shape) -> Offer | None:
        """As `Room.offer`, in this counterfactual."""
        if shape.held is not None:
            return self._offer_to_holder(room, fabric, shape)
        shared = 0
        tenant = shape.tenant
        if tenant is not None:
            for level, gap in self._gaps(room, fabric, tenant):
                if gap >= shape.gpus:
                    shared += shape.ranks_in(gap)
                    if shared >= shape.nodes:
                        return Offer(level, 0)
        opened = shape.nodes_for(shape.nodes - shared)
        free = room.free[fabric] - self.drawn.get(fabric, 0)
        assert free >= 0, "a counterfactual draws more nodes than a fabric has"
        if opened > free:
            return None
        levels = room.levels[fabric]
        return Offer(levels[len(levels) - free + opened - 1], opened)

    def _offer_to_holder(self, room: Room, fabric: int, shape: Shape) -> Offer | None:
        """As `offer`: where it holds closed nodes, only the rest of the gang needs room."""
        assert shape.held is not None, "a gang without closed nodes"
        ranks = shape.open_ranks(fabric)
        if not ranks:
            return Offer(shape.held.level, 0)
        rest = self.offer(room, fabric, shape._replace(nodes=ranks, held=None))
        if rest is None or ranks == shape.nodes:
            return rest
        return Offer(max(rest.level, shape.held.level), rest.opened)

    def change_of_taking(self, room: Room, fabric: int, shape: Shape, nodes: int) -> Difference:
        """What taking open nodes for `nodes` ranks in this fabric changes; they must fit."""
        if shape.tenant is None or not nodes:
            return {fabric: nodes} if nodes else {}
        change: Difference = {}
        missing, left = nodes, []
        for level, gap in self._gaps(room, fabric, shape.tenant):
            ranks = min(missing, shape.ranks_in(gap))
            if ranks:
                count_in(change, (fabric, shape.tenant, level, gap), -1)
                left.append((level, gap - ranks * shape.gpus))
                missing -= ranks
        opened = shape.nodes_for(missing)
        if opened:
            free = room.free[fabric] - self.drawn.get(fabric, 0)
            assert opened <= free, "a rival takes more nodes than a fabric has"
            levels = room.levels[fabric]
            position = len(levels) - free
            for level in levels[position : position + opened]:
                ranks = min(missing, shape.ranks_per_node)
                left.append((level, room.node_gpus - ranks * shape.gpus))
                missing -= ranks
            change[fabric] = opened
        for level, gap in left:
            if gap:
                count_in(change, (fabric, shape.tenant, level, gap), 1)
        return change

    def refit(self, room: Room, floor_index: FloorIndex, fit: ShapeFit) -> None:
        """Find the least floor at which the shape fits now, and until when that holds.

        Grows with the fabrics in which this counterfactual differs or the tenant has open nodes.
        """
        fit.floor, fit.fabric, fit.nodes_needed = FITS_NOWHERE, -1, 0
        shape = fit.shape
        if shape.within >= 0:
            offer = self.offer(room, shape.within, shape)
            if offer is not None:
                fit.floor, fit.fabric = offer.level, shape.within
                fit.nodes_needed = self._nodes_needed(room, floor_index, shape.within, offer)
            return
        special = dict.fromkeys(self.fabrics)
        if shape.tenant is not None:
            special.update(dict.fromkeys(room.fabrics_of(shape.tenant)))
        if shape.held is not None:
            special[shape.held.rest[0][0]] = None
        for fabric in special:
            offer = self.offer(room, fabric, shape)
            if offer is not None and offer.level < fit.floor:
                fit.floor, fit.fabric = offer.level, fabric
                fit.nodes_needed = self._nodes_needed(room, floor_index, fabric, offer)
        opened = shape.nodes_for(shape.nodes)
        found = floor_index.find(opened, fit.floor, special)
        if found is not None:
            fit.floor, fit.fabric = found
            offer = Offer(fit.floor, opened)
            fit.nodes_needed = self._nodes_needed(room, floor_index, fit.fabric, offer)
        assert (fit.floor >= FITS_NOWHERE) == (fit.fabric < 0), "a shape fits in no fabric"

    def as_room(self, base: Room) -> Room:
        """As a room of its own, for a choice over all fabrics; grows with the fabrics."""
        twin = base.copy()
        for fabric, drawn in self.drawn.items():
            twin.free[fabric] -= drawn
        for fabric, tenant in self.gaps:
            twin.gaps[fabric, tenant] = [
                (level, gap, 0) for level, gap in self._gaps(base, fabric, tenant)
            ]
        return twin

    def _nodes_needed(self, room: Room, floor_index: FloorIndex, fabric: int, offer: Offer) -> int:
        """How many nodes must stay free in the base for this offer to stand; 0: it opens none."""
        if not offer.opened:
            return 0
        drawn = self.drawn.get(fabric, 0)
        end = floor_index.nodes_at_or_under(fabric, offer.level)
        needed = len(room.levels[fabric]) + drawn + offer.opened - end
        assert needed <= room.free[fabric], "an offer that does not stand now"
        return needed

    def _gaps(self, room: Room, fabric: int, tenant: Tenant) -> list[tuple[int, int]]:
        base = room.gaps.get((fabric, tenant), ())
        changed = self.gaps.get((fabric, tenant))
        if changed is None:
            return [(level, gap) for level, gap, _ in base]
        counts = dict(changed)
        for level, gap, _ in base:
            counts[level, gap] = counts.get((level, gap), 0) + 1
        return [it for it in sorted(counts) for _ in range(counts[it])]


def shifted(difference: Difference, there: Difference, base: Difference) -> Difference:
    """The difference after a rival changed `there` in the counterfactual and `base` in the base."""
    found = dict(difference)
    for key, count in there.items():
        count_in(found, key, count)
    for key, count in base.items():
        count_in(found, key, -count)
    return found


def count_in(change: Difference, key: int | GapKey, by: int) -> None:
    """Adds to a difference; what comes to nothing leaves it."""
    total = change.get(key, 0) + by
    if total:
        change[key] = total
    else:
        change.pop(key, None)
