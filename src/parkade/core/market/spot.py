"""The spot part of the pass: each bid in turn takes the cheapest room that holds it whole.

Among the fabrics where its gang fits at floors within its limit a bid takes the one with the
cheapest highest floor, then its own, then the one where fewest nodes are opened, then the tightest.
A gang that may use any fabrics is given the least highest floor any placement of it could have; at
that floor it stays where it stands, or takes one fabric if one holds it, else few. Who does not fit
is skipped.

The one surprising rule: own fabrics only break ties. Were they counted any cheaper, a runner could
be led to a cheaper fabric by telling a lower limit.
"""

from typing import NamedTuple

from parkade.core.market.layout import Ground, Parts, own_fabrics, shape_of
from parkade.core.market.market_state import Demand, Terms
from parkade.core.market.priority import factor_of, key_of
from parkade.core.placement.room import Offer, Room, Shape, spread

NEVER = 1 << 100
"""A floor nobody's limit reaches: the shape fits nowhere."""

Shares = list[tuple[int, int]]
Rank = tuple[int, bool, int, int, int]
"""Highest floor, is not its own, nodes opened, nodes left, fabric: the least is taken."""

NOWHERE: Rank = (NEVER, True, 0, 0, -1)


class Bid(NamedTuple):
    """A spot demand as the pass sees it; `own` counts its seats by fabric."""

    name: str
    org: str
    shape: Shape
    limit: int
    key: int
    factor: int
    own: dict[int, int]


def bid_of(demand: Demand, ground: Ground, terms: Terms) -> Bid:
    """A spot demand in numbers."""
    assert demand.limit_micros is not None
    return Bid(
        demand.demand,
        demand.org,
        shape_of(demand, ground),
        demand.limit_micros,
        key_of(demand, terms),
        factor_of(demand, terms),
        own_fabrics(demand, ground),
    )


def spot_pass(room: Room, bids: list[Bid]) -> list[Parts | None]:
    """Who wins and where, in the order given; changes `room`.

    Grows with winners x fabrics in the worst case. Rooms only shrink and floors only rise, so the
    least floor at which a shape was last seen to fit is a bound for all who ask for it later:
    after the first of a shape is refused, the others cost one look.
    """
    bound: dict[Shape, int] = {}
    cheapest = min((ladder[0] for ladder in room.levels if ladder), default=NEVER)
    outcome: list[Parts | None] = []
    for bid in bids:
        if bound.get(bid.shape, 0) > bid.limit:
            outcome.append(None)
            continue
        shares = choose(room, bid, cheapest)
        if shares is None:
            bound[bid.shape] = least_floor(room, bid.shape)
            outcome.append(None)
            continue
        outcome.append(tuple(room.take(fabric, bid.shape, nodes) for fabric, nodes in shares))
    return outcome


def choose(room: Room, bid: Bid, cheapest: int) -> Shares | None:
    """The fabrics a bid takes in its turn; `cheapest` is a lower bound of every floor left."""
    shape = bid.shape
    if shape.any_fabric:
        return _choose_any(room, bid)
    for fabric in bid.own:
        offer = room.offer(fabric, shape)
        if offer is not None and offer.level <= min(bid.limit, cheapest) and len(bid.own) == 1:
            return [(fabric, shape.nodes)]
    best = NOWHERE
    for fabric, free in enumerate(room.free):
        offer = room.offer(fabric, shape)
        if offer is not None and offer.level <= bid.limit:
            best = min(best, rank_of(bid, fabric, offer, free))
    return None if best is NOWHERE else [(best[4], shape.nodes)]


def rank_of(bid: Bid, fabric: int, offer: Offer, free: int) -> Rank:
    """How a bid likes a fabric's offer."""
    return offer.level, fabric not in bid.own, offer.opened, free - offer.opened, fabric


def least_floor(room: Room, shape: Shape) -> int:
    """The least highest floor any placement of the shape would draw now; NEVER if none holds it."""
    if shape.any_fabric:
        slots = sorted(
            level for fabric in range(len(room.free)) for level in room.slots(fabric, shape)
        )
        return slots[shape.nodes - 1] if len(slots) >= shape.nodes else NEVER
    offers = (room.offer(fabric, shape) for fabric in range(len(room.free)))
    return min((offer.level for offer in offers if offer is not None), default=NEVER)


def _choose_any(room: Room, bid: Bid) -> Shares | None:
    shape = bid.shape
    slots = [room.slots(fabric, shape) for fabric in range(len(room.free))]
    least = least_floor(room, shape)
    if least > bid.limit:
        return None
    if sum(bid.own.values()) == shape.nodes and all(
        len(slots[fabric]) >= nodes for fabric, nodes in bid.own.items()
    ):
        highest = max(slots[fabric][nodes - 1] for fabric, nodes in bid.own.items())
        if highest <= least:
            return sorted(bid.own.items())
    capacities = [
        (fabric in bid.own, sum(level <= least for level in levels), fabric)
        for fabric, levels in enumerate(slots)
    ]
    whole = [
        (not own, room.free[fabric], fabric)
        for own, capacity, fabric in capacities
        if capacity >= shape.nodes
    ]
    if whole:
        return [(min(whole)[2], shape.nodes)]
    return spread(capacities, shape.nodes)
