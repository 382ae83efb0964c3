"""The room of the reserved stage, and how an owner's demand or an on-demand takes some of it.

`reserved` decides the order and the limits; here a demand takes the fabric in which it stands, then
one where enough nodes are free at this moment, then the tightest, then the first by name.

The one surprising rule: a demand that stands on closed nodes takes room for its other ranks only,
and its closed nodes count as used of its reservation, each once.
"""

from parkade.core.market.entitlement import Entitlement, KeptBlock, KeptRoom
from parkade.core.market.free_now import FreeNow
from parkade.core.market.layout import Division, Layout, Parts, own_fabrics, shape_of, stays
from parkade.core.market.market_state import Demand
from parkade.core.market.outcome import WaitReason
from parkade.core.market.running_seats import NamedNodes
from parkade.core.placement.room import Room, Shape, divide


class ReservedStage:
    """Working state of this stage, then its outcome.

    `room`: open nodes not taken yet. `named`: shared nodes that are counted as they are. `parts`:
    what each winner took. `overflowed`: those that asked beyond their own fabrics. `refused`: why
    the others lost. `asks_instants`: whether it may depend on when nodes are free.
    """

    __slots__ = (
        "asks_instants",
        "entitlements",
        "free_now",
        "named",
        "overflowed",
        "parts",
        "refused",
        "room",
        "stayed",
    )

    def __init__(self, room: Room, entitlements: dict[str, Entitlement], free_now: FreeNow) -> None:
        self.room = room
        self.free_now = free_now
        self.entitlements = entitlements
        self.named = NamedNodes()
        self.parts: dict[str, Parts] = {}
        self.overflowed: set[str] = set()
        self.stayed: set[str] = set()
        """Demands of whole open nodes that are counted in the one fabric where they stand."""

        self.refused: dict[str, WaitReason] = {}
        self.asks_instants = True

    def kept_room(self) -> KeptRoom:
        """What stays empty for its owners."""
        blocks = tuple(
            KeptBlock(name, entitlement.terms.org, fabric, nodes)
            for name, entitlement in self.entitlements.items()
            for fabric, nodes in sorted(entitlement.kept.items())
        )
        terms = [entitlement.terms for entitlement in self.entitlements.values()]
        return KeptRoom(
            blocks,
            {
                it.reservation: it.keep
                if it.floor_micros is not None
                else sum(nodes for _, nodes in it.shape)
                for it in terms
            },
        )


def take_within(
    demand: Demand,
    layout: Layout,
    stage: ReservedStage,
    limits: list[int],
    *,
    entitlement: Entitlement | None = None,
) -> bool:
    """Whether the demand found room where it opens at most `limits[f]` nodes; takes it if so.

    A limit of -1 shuts the fabric. What the demand opens counts as used of
    `entitlement`. Grows with fabrics.
    """
    assert len(limits) == len(layout.fabrics), "a limit for each fabric"
    room = stage.room
    own = own_fabrics(demand, layout)
    shape = shape_of(demand, layout)
    standing = stage.named.standing(demand, shape, layout, room, limits)
    if standing is not None:
        total = sum(it.opened for it in standing)
        if entitlement is None or total <= entitlement.left_for_next():
            stage.parts[demand.demand] = stage.named.take(standing, shape, room)
            for it in standing:
                if entitlement is not None:
                    entitlement.use(it.fabric, it.opened)
            return True
    division = _choose(stage, shape, own, limits, demand.org)
    if division is None:
        return False
    opened = [_opened(room, shape, fabric, ranks) for fabric, ranks in division]
    if entitlement is not None and sum(opened) > entitlement.left_for_next():
        return False
    parts = tuple(room.take(fabric, shape, ranks) for fabric, ranks in division)
    stage.parts[demand.demand] = parts
    for (fabric, _), nodes in zip(division, opened, strict=True):
        if fabric not in own:
            stage.free_now.take(fabric, demand.org, nodes)
        if entitlement is not None:
            entitlement.use(fabric, nodes)
    if entitlement is not None and stays(shape, parts):
        for fabric, nodes in sorted(unused_closed(demand, layout, entitlement).items()):
            entitlement.use(fabric, nodes)
        entitlement.closed_nodes.update(it.node for it in demand.seats if it.node in layout.closed)
    return True


def unused_closed(demand: Demand, layout: Layout, entitlement: Entitlement) -> dict[int, int]:
    """Closed nodes that it holds in each fabric, without those already used by its reservation."""
    if not layout.closed:
        return {}
    nodes = {it.node for it in demand.seats if it.node in layout.closed} - entitlement.closed_nodes
    found: dict[int, int] = {}
    for node in nodes:
        fabric = layout.fabric_of[node]
        found[fabric] = found.get(fabric, 0) + 1
    return found


def _choose(
    stage: ReservedStage, shape: Shape, own: dict[int, int], limits: list[int], org: str
) -> Division | None:
    """The fabrics that a demand takes; None where none hold it within the limits.

    A gang that may use any fabrics keeps its own division if all of it fits, else takes one fabric,
    else few.
    """
    room = stage.room
    if len(own) == 1 and (shape.held is None or not shape.any_fabric):
        # Most demands run: their own fabric comes before all others.
        (fabric,) = own
        offer = room.offer(fabric, shape)
        if offer is not None and offer.opened <= limits[fabric]:
            return [(fabric, shape.open_ranks(fabric))]
    stands = shape.any_fabric and sum(own.values()) == shape.nodes
    where_it_stands = sorted(own.items()) if shape.held is None else list(shape.held.rest)
    best: tuple[bool, bool, int, int, int] | None = None
    for fabric, limit in enumerate(limits):
        offer = room.offer(fabric, shape)
        if offer is not None and offer.opened <= limit:
            waits = stage.free_now.count(fabric, org) < offer.opened
            rank = (fabric not in own, waits, offer.opened, limit - offer.opened, fabric)
            best = rank if best is None else min(best, rank)
    if stands and all(_fits(room, shape, *it, limits) for it in where_it_stands):
        return where_it_stands
    if best is not None:
        return [(best[4], shape.open_ranks(best[4]))]
    if not shape.any_fabric:
        return None
    capacities = []
    for fabric, limit in enumerate(limits):
        each = shape.ranks_per_node
        shared = len(room.slots(fabric, shape)) - room.free[fabric] * each
        most = 0 if limit < 0 else shared + min(limit, room.free[fabric]) * each
        capacities.append((fabric in own, most, fabric))
    return divide(capacities, shape.nodes)


def _fits(room: Room, shape: Shape, fabric: int, ranks: int, limits: list[int]) -> bool:
    """Whether so many ranks fit on open nodes of this fabric within its limit."""
    if not ranks:
        return limits[fabric] >= 0
    offer = room.offer(fabric, shape._replace(nodes=ranks, held=None))
    return offer is not None and offer.opened <= limits[fabric]


def _opened(room: Room, shape: Shape, fabric: int, ranks: int) -> int:
    """How many nodes the ranks would open there; they must fit."""
    if not ranks:
        return 0
    offer = room.offer(fabric, shape._replace(nodes=ranks, held=None))
    assert offer is not None, "a gang was divided over fabrics that do not hold it"
    return offer.opened
