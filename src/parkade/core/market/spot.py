"""The spot tier of the allocation: each bid in turn takes the cheapest room that holds it whole.

Among the fabrics where its gang fits at floors within its limit a bid takes its own first, then the
one with the cheapest highest floor, then the one where fewest nodes are opened, then the tightest.
A bid that moves for a lower floor (`moves_if_cheaper`) takes the cheapest highest floor first, and
its own fabric only breaks ties. A gang that may use any fabrics stays where it stands if all of it
fits there within its limit; else it draws the least highest floor that any placement of it could
have, in one fabric if one holds it, else in few. A bid that does not fit is skipped.

The one surprising rule: which fabric a bid takes never decides whether it wins, only which floors
it draws, so both kinds have the same critical value (decision record 45). A bid that stays can gain
by a lie only what it could have had by moving for a lower floor.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from itertools import groupby, pairwise
from typing import NamedTuple

from parkade.core.market.layout import (
    Division,
    Layout,
    Parts,
    floors_drawn,
    own_fabrics,
    shape_of,
)
from parkade.core.market.market_state import ClearingTerms, Demand
from parkade.core.market.priority import Mates, factor_of, key_of
from parkade.core.placement.room import Offer, Room, Shape, divide

FITS_NOWHERE = 1 << 100
"""A floor that no limit reaches: the shape fits nowhere."""

Preference = tuple[bool, int, bool, int, int, int]
"""Leaves its own though it need not, highest floor, is not its own, nodes opened, nodes left,
fabric: the least is taken."""

NO_FABRIC: Preference = (True, FITS_NOWHERE, True, 0, 0, -1)
"""Worse than every fabric."""


class Bid(NamedTuple):
    """A spot demand in numbers."""

    name: str
    org: str
    shape: Shape

    limit: int
    """Micro-units per GPU-hour."""

    key: int
    """Its place in the priority order (`priority`): limit x factor, or that of its shared node."""

    factor: int

    own: dict[int, int]
    """Its seats in each fabric; empty for a newcomer."""

    moves_if_cheaper: bool
    """Whether a lower floor elsewhere comes before its own fabric."""

    shared_node: str
    """The open node that it shares with `mates`; empty where it stands alone."""

    mates: Mates


def bid_of(
    demand: Demand, layout: Layout, terms: ClearingTerms, sharing: tuple[str, Mates] = ("", ())
) -> Bid:
    """A spot demand in numbers; `sharing`: its node and the other jobs there (`priority`)."""
    assert demand.limit_micros is not None, "a spot demand without a limit"
    return Bid(
        demand.demand,
        demand.org,
        shape_of(demand, layout),
        demand.limit_micros,
        key_of(demand, terms, sharing[1]),
        factor_of(demand, terms),
        own_fabrics(demand, layout),
        demand.moves_if_cheaper,
        *sharing,
    )


def allocate_spot(room: Room, bids: list[Bid]) -> list[tuple[Bid, Parts | None]]:
    """The bids in the order of their turns, and what each takes, None where it loses.

    Changes `room`. Bids come in priority order; those of equal key go round by org: the org whose
    bids have taken the fewest GPUs so far is next. Grows with winners x fabrics in the worst case.
    Rooms only shrink and floors only rise, so the least floor at which a shape was last seen to fit
    is a bound for all bids of that shape later: after the first of a shape is refused, the others
    cost one look.
    """
    assert all(a.key >= b.key for a, b in pairwise(bids)), "bids are not in priority order"
    bound: dict[Shape, int] = {}
    lowest_floor = min((levels[0] for levels in room.levels if levels), default=FITS_NOWHERE)
    found: list[tuple[Bid, Parts | None]] = []
    taken_by: dict[str, int] = {}
    for bid in _round_by_org(bids, taken_by):
        if bound.get(bid.shape, 0) > bid.limit:
            found.append((bid, None))
            continue
        division = choose(room, bid, lowest_floor)
        if division is None:
            bound[bid.shape] = least_floor(room, bid.shape)
            found.append((bid, None))
            continue
        taken = tuple(room.take(fabric, bid.shape, nodes) for fabric, nodes in division)
        assert max(floors_drawn(bid.shape, taken)) <= bid.limit, "a floor above the limit"
        taken_by[bid.org] = taken_by.get(bid.org, 0) + bid.shape.nodes * bid.shape.gpus
        found.append((bid, taken))
    assert len(found) == len(bids), "a bid has no turn, or two"
    return found


def _round_by_org(bids: list[Bid], taken_by: dict[str, int]) -> Iterator[Bid]:
    """The bids in the order of their turns; reads `taken_by`, GPUs by org, before each turn.

    Bids of one key, all running or all newcomers, go round by org; the jobs of a shared node take
    one turn after the other. Of orgs that hold as much the first stays first: it used less in the
    last days, or is older. Grows with N log N of the bids.
    """
    for _, equals in groupby(bids, key=lambda it: (it.key, bool(it.own))):
        waiting: dict[str, deque[tuple[int, list[Bid]]]] = {}
        for at, (_, jobs) in enumerate(groupby(equals, key=lambda it: it.shared_node or it.name)):
            turn = list(jobs)
            waiting.setdefault(turn[0].org, deque()).append((at, turn))
        heads = [(taken_by.get(org, 0), queue[0][0], org) for org, queue in waiting.items()]
        heapify(heads)
        while heads:
            _, _, org = heappop(heads)
            yield from waiting[org].popleft()[1]
            if waiting[org]:
                heappush(heads, (taken_by.get(org, 0), waiting[org][0][0], org))


def choose(room: Room, bid: Bid, lowest_floor: int) -> Division | None:
    """The fabrics that a bid takes in its turn; None where it loses.

    `lowest_floor` is a lower bound of every floor left: a bid that has its own fabric at a floor
    for which it does not leave need not look at others. Grows with fabrics.
    """
    shape = bid.shape
    if shape.any_fabric:
        return _choose_any(room, bid)
    stays_at = min(bid.limit, lowest_floor) if bid.moves_if_cheaper else bid.limit
    for fabric in bid.own:
        offer = room.offer(fabric, shape)
        if offer is not None and offer.level <= stays_at and len(bid.own) == 1:
            return [(fabric, shape.open_ranks(fabric))]
    best = NO_FABRIC
    for fabric, free in enumerate(room.free):
        offer = room.offer(fabric, shape)
        if offer is not None and offer.level <= bid.limit:
            best = min(best, preference_of(bid, fabric, offer, free))
    return None if best is NO_FABRIC else [(best[-1], shape.open_ranks(best[-1]))]


def preference_of(bid: Bid, fabric: int, offer: Offer, free: int) -> Preference:
    """How a bid ranks a fabric's offer, of which `free` nodes are free."""
    is_foreign = fabric not in bid.own
    leaves = is_foreign and not bid.moves_if_cheaper
    return leaves, offer.level, is_foreign, offer.opened, free - offer.opened, fabric


def least_floor(room: Room, shape: Shape) -> int:
    """The least highest floor of any placement of the shape; FITS_NOWHERE if none holds it."""
    if shape.any_fabric:
        slots = [room.slots(fabric, shape) for fabric in range(len(room.free))]
        levels = sorted(level for here in slots for level in here)
        least = levels[shape.nodes - 1] if len(levels) >= shape.nodes else FITS_NOWHERE
        if shape.held is None:
            return least
        return min(least, max(shape.held.level, _highest(slots, shape.held.rest)))
    offers = (room.offer(fabric, shape) for fabric in range(len(room.free)))
    return min((offer.level for offer in offers if offer is not None), default=FITS_NOWHERE)


def _highest(slots: list[list[int]], division: Iterable[tuple[int, int]]) -> int:
    """The highest floor of a division over fabrics; FITS_NOWHERE where one has too few slots."""
    highest = 0
    for fabric, ranks in division:
        if ranks > len(slots[fabric]):
            return FITS_NOWHERE
        if ranks:
            highest = max(highest, slots[fabric][ranks - 1])
    return highest


def _choose_any(room: Room, bid: Bid) -> Division | None:
    """As `choose`, for a gang that may use any fabrics.

    A broken gang that does not move for a lower floor keeps what fits of its own within its limit.
    """
    shape = bid.shape
    slots = [room.slots(fabric, shape) for fabric in range(len(room.free))]
    least = least_floor(room, shape)
    if least > bid.limit:
        return None
    if sum(bid.own.values()) == shape.nodes:
        own = sorted(bid.own.items()) if shape.held is None else list(shape.held.rest)
        closed = 0 if shape.held is None else shape.held.level
        most = least if bid.moves_if_cheaper else bid.limit
        if max(closed, _highest(slots, own)) <= most:
            return own
    capacities = []
    for fabric, levels in enumerate(slots):
        is_own = fabric in bid.own
        most = bid.limit if is_own and not bid.moves_if_cheaper else least
        capacities.append((is_own, sum(level <= most for level in levels), fabric))
    whole = [
        (not own, room.free[fabric], fabric)
        for own, capacity, fabric in capacities
        if capacity >= shape.nodes
    ]
    if whole:
        return [(min(whole)[2], shape.nodes)]
    division = divide(capacities, shape.nodes)
    assert division is not None, "all fabrics together hold the gang at its least floor"
    return division
