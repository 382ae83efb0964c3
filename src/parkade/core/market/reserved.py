"""Who stands before the spot market: reservations, what they keep, and on-demand.

Own fabrics come before overflow. A reservation's idle room that is not lent is a demand like any
other, after its owner's workloads and claims and before anybody's overflow. `keep` is taken from
the fabrics with the least idle room first, so that what is lent lies together.

A demand takes the fabric it stands in, then one where enough nodes are idle this very moment (so
that the seats an owner keeps come without a wait), then the tightest.

The one surprising rule: a demand that overflows gives up as much of its reservation's idle room
as it takes elsewhere, so a reservation never holds more than its shape.
"""

from typing import NamedTuple

from parkade.core.market.layout import (
    Layout,
    Parts,
    is_too_large,
    own_fabrics,
    shape_of,
    take_pinned_seats,
)
from parkade.core.market.market_state import Demand, MarketState, PriorityTier, ReservationInForce
from parkade.core.market.outcome import WaitReason
from parkade.core.placement.room import Room, Shape, spread


class ReservationQuota:
    """What is left of one reservation during a pass, in nodes.

    `left_in[f]`: of its shape in fabric f; `left`: of its whole shape; `kept[f]`: idle and not
    lent; `offered[f]`: lent; `pinned_nodes`: nodes on which its demands stay put.
    """

    __slots__ = ("kept", "left", "left_in", "offered", "pinned_nodes", "terms", "used")

    def __init__(self, terms: ReservationInForce, layout: Layout) -> None:
        self.terms = terms
        self.left = sum(nodes for _, nodes in terms.shape)
        self.used = 0
        self.left_in = {
            layout.number[name]: nodes for name, nodes in terms.shape if name in layout.number
        }
        self.kept: dict[int, int] = {}
        self.offered: dict[int, int] = {}
        self.pinned_nodes: set[str] = set()

    def use(self, fabric: int, nodes: int) -> None:
        """Use `nodes` of the right in this fabric."""
        self.left_in[fabric] = max(0, self.left_in.get(fabric, 0) - nodes)
        self.left = max(0, self.left - nodes)
        self.used += nodes


class KeptBlock(NamedTuple):
    """Nodes of a reservation that stay empty, side by side in one fabric; the pass counts here."""

    reservation: str
    fabric: int
    nodes: int


class KeptRoom(NamedTuple):
    """Idle room that is not lent; `without_wait`: nodes by reservation that come at once."""

    blocks: tuple[KeptBlock, ...]
    without_wait: dict[str, int]

    def totals(self) -> dict[str, int]:
        """Idle nodes of each reservation."""
        found: dict[str, int] = {}
        for block in self.blocks:
            found[block.reservation] = found.get(block.reservation, 0) + block.nodes
        return found


class ReservedStage:
    """Outcome of this stage, and the room it leaves to spot."""

    __slots__ = ("free_now", "parts", "quotas", "refused", "room", "tokens")

    def __init__(
        self, room: Room, quotas: dict[str, ReservationQuota], free_now: list[int]
    ) -> None:
        self.room = room
        self.free_now = free_now
        self.quotas = quotas
        self.parts: dict[str, Parts] = {}
        self.refused: dict[str, WaitReason] = {}
        self.tokens: dict[str, int] = {}

    def kept_room(self) -> KeptRoom:
        """What stays empty for its owners, the oldest reservation first."""
        blocks = tuple(
            KeptBlock(name, fabric, nodes)
            for name, quota in self.quotas.items()
            for fabric, nodes in sorted(quota.kept.items())
        )
        terms = [quota.terms for quota in self.quotas.values()]
        return KeptRoom(
            blocks,
            {
                it.reservation: it.keep
                if it.floor_micros is not None
                else sum(nodes for _, nodes in it.shape)
                for it in terms
            },
        )


def allocate_reserved(
    state: MarketState, layout: Layout, ordered: tuple[Demand, ...]
) -> ReservedStage:
    """Give reservations and on-demand their room; cost grows with their demands x fabrics."""
    room = _open_room(state, layout, ordered)
    stage = ReservedStage(room, _quotas(state, layout), _free_now(layout, ordered))
    for demand in ordered:
        if demand.is_pinned and demand.tier is not PriorityTier.SPOT:
            _take_pinned(demand, layout, stage)
    reserved = [it for it in ordered if it.tier is PriorityTier.RESERVED and not it.is_pinned]
    runs_there = [
        it for it in reserved if _allocate_in_own_fabrics(it, layout, stage, runs_there=True)
    ]
    allocated = {it.demand for it in runs_there}
    overflowing = [
        it
        for it in reserved
        if it.demand not in allocated
        and not _allocate_in_own_fabrics(it, layout, stage, runs_there=False)
    ]
    for name, quota in stage.quotas.items():
        elsewhere = sum(it.nodes for it in overflowing if it.reservation == name)
        _keep(quota, stage.room, elsewhere)
    for demand in overflowing:
        _allocate_overflow(demand, layout, stage)
    for quota in stage.quotas.values():
        _keep(quota, stage.room, 0)
        _lend_rest(quota)
    for demand in ordered:
        if demand.tier is PriorityTier.ON_DEMAND and not demand.is_pinned:
            shape = shape_of(demand, layout)
            if not _allocate(demand, shape, layout, stage, _sold_limits(demand, layout, stage)):
                too_large = is_too_large(demand, layout)
                reason = WaitReason.TOO_LARGE if too_large else WaitReason.NO_ROOM
                stage.refused[demand.demand] = reason
    return stage


def _sold_limits(demand: Demand, layout: Layout, stage: ReservedStage) -> list[int]:
    """Nodes it may open in each fabric: -1, so not even a gap, where its window was not sold."""
    return [
        free if demand.only_fabric in (None, name) else -1
        for name, free in zip(layout.fabrics, stage.room.free, strict=True)
    ]


def _open_room(state: MarketState, layout: Layout, ordered: tuple[Demand, ...]) -> Room:
    """Open nodes, less those on which a spot demand stays put."""
    taken = {
        seat.node
        for demand in ordered
        if demand.is_pinned and demand.tier is PriorityTier.SPOT
        for seat in demand.seats
    }
    sizes = [sum(it.node not in taken for it in nodes) for nodes in layout.open_nodes]
    return Room([[0] * size for size in sizes], state.gpus_per_node)


def _free_now(layout: Layout, ordered: tuple[Demand, ...]) -> list[int]:
    """Open nodes of each fabric on which nobody sits and from which nobody is leaving."""
    held = {seat.node for demand in ordered for seat in demand.seats}
    return [
        sum(it.free_from_us <= 0 and it.node not in held for it in nodes)
        for nodes in layout.open_nodes
    ]


def _quotas(state: MarketState, layout: Layout) -> dict[str, ReservationQuota]:
    older = sorted(state.reservations, key=lambda it: (it.created_us, it.reservation))
    return {terms.reservation: ReservationQuota(terms, layout) for terms in older}


def _take_pinned(demand: Demand, layout: Layout, stage: ReservedStage) -> None:
    parts = take_pinned_seats(stage.room, layout, demand, stage.tokens, count_closed=False)
    stage.parts[demand.demand] = parts
    quota = stage.quotas.get(demand.reservation or "")
    if demand.tier is PriorityTier.RESERVED and quota is not None:
        for seat in demand.seats:
            fabric = layout.fabric_of.get(seat.node)
            if fabric is not None and seat.node not in quota.pinned_nodes:
                quota.pinned_nodes.add(seat.node)
                quota.use(fabric, 1)


def _allocate_in_own_fabrics(
    demand: Demand, layout: Layout, stage: ReservedStage, *, runs_there: bool
) -> bool:
    """Whether the demand found room of its own reservation's shape.

    `runs_there` seats only who stands there already, so that others do not push it out.
    """
    quota = stage.quotas.get(demand.reservation or "")
    if quota is None:
        stage.refused[demand.demand] = WaitReason.RESERVATION_FULL
        return True
    own = own_fabrics(demand, layout)
    limits = [
        -1 if runs_there and fabric not in own else min(quota.left_in.get(fabric, 0), quota.left)
        for fabric in range(len(layout.fabrics))
    ]
    shape = shape_of(demand, layout)
    return _allocate(demand, shape, layout, stage, limits, quota=quota)


def _allocate(
    demand: Demand,
    shape: Shape,
    layout: Layout,
    stage: ReservedStage,
    limits: list[int],
    *,
    quota: ReservationQuota | None = None,
) -> bool:
    """Seat a demand where it opens at most `limits[f]` nodes, and use them of its right."""
    room = stage.room
    own = own_fabrics(demand, layout)
    stands = shape.any_fabric and sum(own.values()) == shape.nodes
    best: tuple[bool, bool, int, int, int] | None = None
    for fabric, limit in enumerate(limits):
        offer = room.offer(fabric, shape)
        if offer is not None and offer.opened <= limit:
            waits = stage.free_now[fabric] < offer.opened
            rank = (fabric not in own, waits, offer.opened, limit - offer.opened, fabric)
            best = rank if best is None else min(best, rank)
    if stands and all(_fits(room, shape, *it, limits) for it in own.items()):
        division = sorted(own.items())
    elif best is not None:
        division = [(best[4], shape.nodes)]
    elif shape.any_fabric:
        capacities = []
        for fabric, limit in enumerate(limits):
            shared = len(room.slots(fabric, shape)) - room.free[fabric]
            most = 0 if limit < 0 else shared + min(limit, room.free[fabric])
            capacities.append((fabric in own, most, fabric))
        found = spread(capacities, shape.nodes)
        if found is None:
            return False
        division = found
    else:
        return False
    opened = [_opened(room, shape, fabric, nodes) for fabric, nodes in division]
    if quota is not None and sum(opened) > quota.left:
        return False
    stage.parts[demand.demand] = tuple(
        room.take(fabric, shape, nodes) for fabric, nodes in division
    )
    for (fabric, _), nodes in zip(division, opened, strict=True):
        if fabric not in own:
            stage.free_now[fabric] -= nodes
        if quota is not None:
            quota.use(fabric, nodes)
    return True


def _fits(room: Room, shape: Shape, fabric: int, nodes: int, limits: list[int]) -> bool:
    offer = room.offer(fabric, shape._replace(nodes=nodes))
    return offer is not None and offer.opened <= limits[fabric]


def _opened(room: Room, shape: Shape, fabric: int, nodes: int) -> int:
    offer = room.offer(fabric, shape._replace(nodes=nodes))
    assert offer is not None
    return offer.opened


def _keep(quota: ReservationQuota, room: Room, elsewhere: int) -> None:
    """Take idle room that is not lent out of the room of all others, besides what is kept.

    `elsewhere`: nodes of this right that its demands may yet use outside its own fabrics.
    """
    idle = {
        fabric: min(nodes - quota.kept.get(fabric, 0), room.free[fabric])
        for fabric, nodes in quota.left_in.items()
    }
    idle = {fabric: nodes for fabric, nodes in idle.items() if nodes > 0}
    terms = quota.terms
    kept = sum(quota.kept.values())
    wanted = min(sum(idle.values()), quota.left - elsewhere - kept)
    if terms.floor_micros is not None:
        wanted = min(wanted, terms.keep - kept)
    for fabric, nodes in sorted(idle.items(), key=lambda it: (it[1], it[0])):
        taken = min(nodes, wanted)
        if taken > 0:
            room.open(fabric, taken)
            quota.kept[fabric] = quota.kept.get(fabric, 0) + taken
            wanted -= taken


def _allocate_overflow(demand: Demand, layout: Layout, stage: ReservedStage) -> None:
    """Seat a demand that found no room in its own fabrics wherever its whole shape fits."""
    quota = stage.quotas[demand.reservation or ""]
    room = stage.room
    shape = shape_of(demand, layout)
    if shape.tenant is None and quota.left < shape.nodes:
        stage.refused[demand.demand] = WaitReason.RESERVATION_FULL
        return
    kept = quota.kept
    for fabric, nodes in kept.items():
        room.free[fabric] += nodes
    quota.kept = {}
    limits = [min(free, quota.left) for free in room.free]
    is_allocated = _allocate(demand, shape, layout, stage, limits, quota=quota)
    if not is_allocated:
        full = quota.left < shape.nodes
        reason = WaitReason.RESERVATION_FULL if full else WaitReason.NO_ROOM
        if is_too_large(demand, layout):
            reason = WaitReason.TOO_LARGE
        stage.refused[demand.demand] = reason
    allowed = min(sum(kept.values()), quota.left)
    for fabric, nodes in sorted(kept.items(), key=lambda it: (-it[1], it[0])):
        again = min(nodes, room.free[fabric], allowed)
        if again:
            room.free[fabric] -= again
            quota.kept[fabric] = again
            allowed -= again


def _lend_rest(quota: ReservationQuota) -> None:
    """Lend what is neither used nor kept; never more than is left of the right."""
    if quota.terms.floor_micros is None:
        return
    left = quota.left - sum(quota.kept.values())
    rest = {fabric: nodes - quota.kept.get(fabric, 0) for fabric, nodes in quota.left_in.items()}
    for fabric, nodes in sorted(rest.items(), key=lambda it: (-it[1], it[0])):
        offered = min(nodes, left)
        if offered > 0:
            quota.offered[fabric] = offered
            left -= offered
