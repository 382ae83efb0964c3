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
    Ground,
    Parts,
    is_too_large,
    own_fabrics,
    seat_who_stays,
    shape_of,
)
from parkade.core.market.market_state import Book, Demand, ReservedRoom, Right, WaitReason
from parkade.core.placement.room import Room, Shape, spread


class Holding:
    """What is left of one reservation during a pass, in nodes.

    `entitled[f]`: of its shape in fabric f; `left`: of its whole shape; `kept[f]`: idle and not
    lent; `offered[f]`: lent; `stayed`: nodes on which its demands stay put.
    """

    __slots__ = ("entitled", "kept", "left", "offered", "stayed", "terms", "used")

    def __init__(self, terms: ReservedRoom, ground: Ground) -> None:
        self.terms = terms
        self.left = sum(nodes for _, nodes in terms.shape)
        self.used = 0
        self.entitled = {
            ground.number[name]: nodes for name, nodes in terms.shape if name in ground.number
        }
        self.kept: dict[int, int] = {}
        self.offered: dict[int, int] = {}
        self.stayed: set[str] = set()

    def spend(self, fabric: int, nodes: int) -> None:
        """Use `nodes` of the right in this fabric."""
        self.entitled[fabric] = max(0, self.entitled.get(fabric, 0) - nodes)
        self.left = max(0, self.left - nodes)
        self.used += nodes


class Block(NamedTuple):
    """Nodes of a reservation that stay empty, side by side in one fabric; the pass counts here."""

    reservation: str
    fabric: int
    nodes: int


class Idle(NamedTuple):
    """Idle room that is not lent; `at_once`: nodes by reservation that come without any wait."""

    blocks: tuple[Block, ...]
    at_once: dict[str, int]

    def totals(self) -> dict[str, int]:
        """Idle nodes of each reservation."""
        found: dict[str, int] = {}
        for block in self.blocks:
            found[block.reservation] = found.get(block.reservation, 0) + block.nodes
        return found


class Rights:
    """Outcome of this stage, and the room it leaves to spot."""

    __slots__ = ("holdings", "idle", "lost", "parts", "room", "tokens")

    def __init__(self, room: Room, holdings: dict[str, Holding], idle: list[int]) -> None:
        self.room = room
        self.idle = idle
        self.holdings = holdings
        self.parts: dict[str, Parts] = {}
        self.lost: dict[str, WaitReason] = {}
        self.tokens: dict[str, int] = {}

    def idle_room(self) -> Idle:
        """What stays empty for its owners, the oldest reservation first."""
        blocks = tuple(
            Block(name, fabric, nodes)
            for name, holding in self.holdings.items()
            for fabric, nodes in sorted(holding.kept.items())
        )
        terms = [holding.terms for holding in self.holdings.values()]
        return Idle(
            blocks,
            {
                it.reservation: it.keep
                if it.floor_micros is not None
                else sum(nodes for _, nodes in it.shape)
                for it in terms
            },
        )


def exercise(book: Book, ground: Ground, ordered: tuple[Demand, ...]) -> Rights:
    """Give reservations and on-demand their room; cost grows with their demands x fabrics."""
    room = _open_room(book, ground, ordered)
    rights = Rights(room, _holdings(book, ground), _idle_now(ground, ordered))
    for demand in ordered:
        if demand.stays_put and demand.right is not Right.SPOT:
            _stay(demand, ground, rights)
    reserved = [it for it in ordered if it.right is Right.RESERVED and not it.stays_put]
    at_home = [it for it in reserved if _seat_in_own_fabrics(it, ground, rights, at_home=True)]
    settled = {it.demand for it in at_home}
    overflowing = [
        it
        for it in reserved
        if it.demand not in settled and not _seat_in_own_fabrics(it, ground, rights, at_home=False)
    ]
    for name, holding in rights.holdings.items():
        elsewhere = sum(it.nodes for it in overflowing if it.reservation == name)
        _keep_idle(holding, rights.room, elsewhere)
    for demand in overflowing:
        _overflow(demand, ground, rights)
    for holding in rights.holdings.values():
        _keep_idle(holding, rights.room, 0)
        _offer_rest(holding)
    for demand in ordered:
        if demand.right is Right.ON_DEMAND and not demand.stays_put:
            shape = shape_of(demand, ground)
            if not _seat(demand, shape, ground, rights, _sold_room(demand, ground, rights)):
                too_large = is_too_large(demand, ground)
                reason = WaitReason.TOO_LARGE if too_large else WaitReason.NO_ROOM
                rights.lost[demand.demand] = reason
    return rights


def _sold_room(demand: Demand, ground: Ground, rights: Rights) -> list[int]:
    """Nodes it may open in each fabric: -1, so not even a gap, where its window was not sold."""
    return [
        free if demand.only_fabric in (None, name) else -1
        for name, free in zip(ground.fabrics, rights.room.free, strict=True)
    ]


def _open_room(book: Book, ground: Ground, ordered: tuple[Demand, ...]) -> Room:
    """Open nodes, less those on which a spot demand stays put."""
    taken = {
        seat.node
        for demand in ordered
        if demand.stays_put and demand.right is Right.SPOT
        for seat in demand.seats
    }
    sizes = [sum(it.node not in taken for it in nodes) for nodes in ground.open_nodes]
    return Room([[0] * size for size in sizes], book.gpus_per_node)


def _idle_now(ground: Ground, ordered: tuple[Demand, ...]) -> list[int]:
    """Open nodes of each fabric on which nobody sits and from which nobody is leaving."""
    held = {seat.node for demand in ordered for seat in demand.seats}
    return [
        sum(it.free_from_us <= 0 and it.node not in held for it in nodes)
        for nodes in ground.open_nodes
    ]


def _holdings(book: Book, ground: Ground) -> dict[str, Holding]:
    older = sorted(book.reservations, key=lambda it: (it.created_us, it.reservation))
    return {terms.reservation: Holding(terms, ground) for terms in older}


def _stay(demand: Demand, ground: Ground, rights: Rights) -> None:
    parts = seat_who_stays(rights.room, ground, demand, rights.tokens, count_closed=False)
    rights.parts[demand.demand] = parts
    holding = rights.holdings.get(demand.reservation or "")
    if demand.right is Right.RESERVED and holding is not None:
        for seat in demand.seats:
            fabric = ground.fabric_of.get(seat.node)
            if fabric is not None and seat.node not in holding.stayed:
                holding.stayed.add(seat.node)
                holding.spend(fabric, 1)


def _seat_in_own_fabrics(demand: Demand, ground: Ground, rights: Rights, *, at_home: bool) -> bool:
    """Whether the demand found room of its own reservation's shape.

    `at_home` seats only who stands there already, so that others do not push it out.
    """
    holding = rights.holdings.get(demand.reservation or "")
    if holding is None:
        rights.lost[demand.demand] = WaitReason.RESERVATION_FULL
        return True
    own = own_fabrics(demand, ground)
    limits = [
        -1 if at_home and fabric not in own else min(holding.entitled.get(fabric, 0), holding.left)
        for fabric in range(len(ground.fabrics))
    ]
    shape = shape_of(demand, ground)
    return _seat(demand, shape, ground, rights, limits, holding=holding)


def _seat(
    demand: Demand,
    shape: Shape,
    ground: Ground,
    rights: Rights,
    limits: list[int],
    *,
    holding: Holding | None = None,
) -> bool:
    """Seat a demand where it opens at most `limits[f]` nodes, and spend them of its right."""
    room = rights.room
    own = own_fabrics(demand, ground)
    stands = shape.any_fabric and sum(own.values()) == shape.nodes
    best: tuple[bool, bool, int, int, int] | None = None
    for fabric, limit in enumerate(limits):
        offer = room.offer(fabric, shape)
        if offer is not None and offer.opened <= limit:
            waits = rights.idle[fabric] < offer.opened
            rank = (fabric not in own, waits, offer.opened, limit - offer.opened, fabric)
            best = rank if best is None else min(best, rank)
    if stands and all(_fits(room, shape, *it, limits) for it in own.items()):
        shares = sorted(own.items())
    elif best is not None:
        shares = [(best[4], shape.nodes)]
    elif shape.any_fabric:
        capacities = []
        for fabric, limit in enumerate(limits):
            shared = len(room.slots(fabric, shape)) - room.free[fabric]
            most = 0 if limit < 0 else shared + min(limit, room.free[fabric])
            capacities.append((fabric in own, most, fabric))
        found = spread(capacities, shape.nodes)
        if found is None:
            return False
        shares = found
    else:
        return False
    opened = [_opened(room, shape, fabric, nodes) for fabric, nodes in shares]
    if holding is not None and sum(opened) > holding.left:
        return False
    rights.parts[demand.demand] = tuple(room.take(fabric, shape, nodes) for fabric, nodes in shares)
    for (fabric, _), nodes in zip(shares, opened, strict=True):
        if fabric not in own:
            rights.idle[fabric] -= nodes
        if holding is not None:
            holding.spend(fabric, nodes)
    return True


def _fits(room: Room, shape: Shape, fabric: int, nodes: int, limits: list[int]) -> bool:
    offer = room.offer(fabric, shape._replace(nodes=nodes))
    return offer is not None and offer.opened <= limits[fabric]


def _opened(room: Room, shape: Shape, fabric: int, nodes: int) -> int:
    offer = room.offer(fabric, shape._replace(nodes=nodes))
    assert offer is not None
    return offer.opened


def _keep_idle(holding: Holding, room: Room, elsewhere: int) -> None:
    """Take idle room that is not lent out of the room of all others, besides what is kept.

    `elsewhere`: nodes of this right that its demands may yet use outside its own fabrics.
    """
    idle = {
        fabric: min(nodes - holding.kept.get(fabric, 0), room.free[fabric])
        for fabric, nodes in holding.entitled.items()
    }
    idle = {fabric: nodes for fabric, nodes in idle.items() if nodes > 0}
    terms = holding.terms
    kept = sum(holding.kept.values())
    wanted = min(sum(idle.values()), holding.left - elsewhere - kept)
    if terms.floor_micros is not None:
        wanted = min(wanted, terms.keep - kept)
    for fabric, nodes in sorted(idle.items(), key=lambda it: (it[1], it[0])):
        taken = min(nodes, wanted)
        if taken > 0:
            room.open(fabric, taken)
            holding.kept[fabric] = holding.kept.get(fabric, 0) + taken
            wanted -= taken


def _overflow(demand: Demand, ground: Ground, rights: Rights) -> None:
    """Seat a demand that found no room in its own fabrics wherever its whole shape fits."""
    holding = rights.holdings[demand.reservation or ""]
    room = rights.room
    shape = shape_of(demand, ground)
    if shape.tenant is None and holding.left < shape.nodes:
        rights.lost[demand.demand] = WaitReason.RESERVATION_FULL
        return
    kept = holding.kept
    for fabric, nodes in kept.items():
        room.free[fabric] += nodes
    holding.kept = {}
    limits = [min(free, holding.left) for free in room.free]
    seated = _seat(demand, shape, ground, rights, limits, holding=holding)
    if not seated:
        full = holding.left < shape.nodes
        reason = WaitReason.RESERVATION_FULL if full else WaitReason.NO_ROOM
        if is_too_large(demand, ground):
            reason = WaitReason.TOO_LARGE
        rights.lost[demand.demand] = reason
    allowed = min(sum(kept.values()), holding.left)
    for fabric, nodes in sorted(kept.items(), key=lambda it: (-it[1], it[0])):
        again = min(nodes, room.free[fabric], allowed)
        if again:
            room.free[fabric] -= again
            holding.kept[fabric] = again
            allowed -= again


def _offer_rest(holding: Holding) -> None:
    """Lend what is neither used nor kept; never more than is left of the right."""
    if holding.terms.floor_micros is None:
        return
    left = holding.left - sum(holding.kept.values())
    rest = {
        fabric: nodes - holding.kept.get(fabric, 0) for fabric, nodes in holding.entitled.items()
    }
    for fabric, nodes in sorted(rest.items(), key=lambda it: (-it[1], it[0])):
        offered = min(nodes, left)
        if offered > 0:
            holding.offered[fabric] = offered
            left -= offered
