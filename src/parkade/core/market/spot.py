"""The spot tier of the allocation: each bid in turn takes the cheapest room that holds it whole.

Among the fabrics where its gang fits at floors within its limit a bid takes its own first, then the
one with the cheapest highest floor, then the one where fewest nodes are opened, then the tightest.
A bid that moves for a lower floor (`moves_if_cheaper`) takes the cheapest highest floor first, and
its own fabric only breaks ties. An elastic bid takes the fabric that gives it most (`sizes`). A
gang that may use any fabrics stays where it stands if all of it
fits there within its limit; else it draws the least highest floor that any placement of it could
have, in one fabric if one holds it, else in few. A bid that does not fit is skipped.

The one surprising rule: which fabric a bid takes never decides whether it wins, only which floors
it draws, so both kinds have the same critical value (decision record 45). A bid that stays can gain
by a lie only what it could have had by moving for a lower floor.
"""

from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush
from itertools import chain, groupby, pairwise
from typing import NamedTuple

from parkade.core.market.fabrics_by_offer import FabricsByOffer
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
from parkade.core.market.sizes import Sizes, choose_size, sizes_of
from parkade.core.placement.room import Offer, Room, Shape, divide

FITS_NOWHERE = 1 << 100
"""A floor that no limit reaches: the shape fits nowhere."""

Preference = tuple[bool, int, bool, int, int, int]
"""Leaves its own though it need not, stays in one that it is to leave, or is not in the one that it
is to take; highest floor; is not its own; nodes opened; nodes left; fabric: the least is taken."""

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
    """Whether a lower floor elsewhere comes before its own fabric. Never beside `mates`: it would
    take another node in the name of all."""

    leaves: int
    """The fabric that it takes only where no other holds it, though it runs there, so that a gang
    that has waited fits; set by the allocation. -1: none is such."""

    shared_node: str
    """The open node that it shares with `mates`; empty where it stands alone."""

    mates: Mates

    sizes: Sizes | None = None
    """How many nodes it may have; None: those of its shape. Else the shape is its least."""

    goes_to: int = -1
    """The fabric that it takes before all others, a newcomer, so that running work keeps its nodes
    elsewhere; set by the allocation. -1: none is such."""

    array: str = ""
    """That it is a member of; empty where it is none."""

    priority: int = 0
    """Among the bids of its org."""


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
        demand.moves_if_cheaper and not sharing[1],
        -1,
        *sharing,
        sizes_of(demand, layout) if demand.most_nodes else None,
        array=demand.array or "",
        priority=demand.priority,
    )


def bids_of(
    demands: Iterable[Demand],
    layout: Layout,
    terms: ClearingTerms,
    sharing: Mapping[str, tuple[str, Mates]],
) -> list[Bid]:
    """Spot demands in numbers. Newcomers of one kind have these in common, and are many."""
    known: dict[tuple[int, int, int, bool, str, int | None], tuple[Shape, int, int]] = {}
    found: list[Bid] = []
    for it in demands:
        if it.seats or it.most_nodes:
            found.append(bid_of(it, layout, terms, sharing.get(it.demand, ("", ()))))
            continue
        limit, org = it.limit_micros, it.org
        assert limit is not None, "a spot demand without a limit"
        kind = (it.nodes, it.gpus, it.ranks_per_node, it.any_fabric, org, limit)
        numbers = known.get(kind)
        if numbers is None:
            key, factor = key_of(it, terms), factor_of(it, terms)
            numbers = known[kind] = (shape_of(it, layout), key, factor)
        shape, key, factor = numbers
        name, cheaper, array = it.demand, it.moves_if_cheaper, it.array or ""
        own: dict[int, int] = {}
        bid = Bid(
            name, org, shape, limit, key, factor, own, cheaper, -1, "", (), None, -1, array,
            it.priority,
        )  # fmt: skip
        found.append(bid)
    return found


def allocate_spot(
    room: Room, bids: list[Bid], bounds: Mapping[str, int] | None = None
) -> list[tuple[Bid, Parts | None]]:
    """The bids in the order of their turns, and what each takes, None where it loses.

    `bounds`: the highest floor that these bids may draw; the turns end with the first of them that
    loses or draws a higher one.

    Changes `room`. Bids come in priority order; those of equal key go round by org: the org whose
    bids have taken the fewest GPUs so far is next. Grows with the winners, and with fabrics for
    each that shares nodes, keeps closed ones, or may use any fabrics.
    Rooms only shrink and floors only rise, so the least floor at which a shape was last seen to fit
    is a bound for all bids of that shape later: after the first of a shape is refused, the others
    cost one look.
    """
    assert all(a.key >= b.key for a, b in pairwise(bids)), "bids are not in priority order"
    bound: dict[Shape, int] = {}
    lowest_floor = min((levels[0] for levels in room.levels if levels), default=FITS_NOWHERE)
    by_offer = FabricsByOffer(room)
    found: list[tuple[Bid, Parts | None]] = []
    taken_by: dict[str, int] = {}
    for bid in _round_by_org(bids, taken_by):
        division = None
        if bound.get(bid.shape, 0) <= bid.limit:
            division = choose(room, bid, lowest_floor, by_offer)
            if division is None:
                bound[bid.shape] = least_floor(room, bid.shape)
        if division is None:
            found.append((bid, None))
            if bounds is not None and bid.name in bounds:
                return found
            continue
        taken = tuple(room.take(fabric, bid.shape, nodes) for fabric, nodes in division)
        for fabric, _ in division:
            by_offer.opened(fabric)
        assert max(floors_drawn(bid.shape, taken)) <= bid.limit, "a floor above the limit"
        nodes = bid.shape.nodes if bid.sizes is None else len(taken[0].levels)
        taken_by[bid.org] = taken_by.get(bid.org, 0) + nodes * bid.shape.gpus
        found.append((bid, taken))
        most = FITS_NOWHERE if bounds is None else bounds.get(bid.name, FITS_NOWHERE)
        if max(floors_drawn(bid.shape, taken)) > most:
            return found
    assert len(found) == len(bids), "a bid has no turn, or two"
    return found


def are_equals(bid: Bid, other: Bid) -> bool:
    """Whether two bids go round by org: they have one key, both run or none does, and they take
    their turns apart."""
    takers = (bid.shared_node or bid.name, other.shared_node or other.name)
    return _are_of_one_rank(bid, other) and takers[0] != takers[1]


def _round_by_org(bids: list[Bid], taken_by: dict[str, int]) -> Iterator[Bid]:
    """The bids in the order of their turns; reads `taken_by`, GPUs by org, before each turn.

    Bids of one key, all running or all newcomers, go round by org; the jobs of a shared node take
    one turn after the other. Of orgs that hold as much the first stays first: it used less in the
    last days, or is older. Grows with N log N of the bids.
    """
    begin = 0
    for end in range(1, len(bids) + 1):
        if end < len(bids) and _are_of_one_rank(bids[begin], bids[end]):
            continue
        if end == begin + 1:
            yield bids[begin]
        else:
            yield from _equals_round_by_org(bids[begin:end], taken_by)
        begin = end


def _are_of_one_rank(bid: Bid, other: Bid) -> bool:
    return bid.key == other.key and bool(bid.own) == bool(other.own)


def _equals_round_by_org(equals: list[Bid], taken_by: dict[str, int]) -> Iterator[Bid]:
    """As `_round_by_org`, for bids of one key."""
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


def choose(
    room: Room, bid: Bid, lowest_floor: int, by_offer: FabricsByOffer | None = None
) -> Division | None:
    """The fabrics that a bid takes in its turn; None where it loses.

    `lowest_floor` is a lower bound of every floor left: a bid that has its own fabric at a floor
    for which it does not leave need not look at others. `by_offer`: an index of the room, if there
    is one. Grows with fabrics, but for a gang of whole nodes with an index.
    """
    shape = bid.shape
    if shape.any_fabric:
        return _choose_any(room, bid)
    if bid.sizes is not None:
        found = choose_size(bid.sizes, bid.own, bid.limit, room.levels, room.free)
        return None if found is None else [found]
    stays_at = min(bid.limit, lowest_floor) if bid.moves_if_cheaper else bid.limit
    for fabric in bid.own if bid.leaves < 0 else ():
        offer = room.offer(fabric, shape)
        if offer is not None and offer.level <= stays_at and len(bid.own) == 1:
            return [(fabric, shape.open_ranks(fabric))]
    if by_offer is not None and shape.tenant is None and shape.held is None:
        best = best_for_whole_nodes(room, bid, by_offer, ())
    else:
        best = min(
            (preference_in(room, bid, it) for it in range(len(room.free))), default=NO_FABRIC
        )
    return None if best is NO_FABRIC else [(best[-1], shape.open_ranks(best[-1]))]


def best_for_whole_nodes(
    room: Room, bid: Bid, by_offer: FabricsByOffer, without: Container[int]
) -> Preference:
    """The preference that comes first of all fabrics but these, for a gang of whole nodes that
    keeps no closed ones. Grows with its own fabrics and those that do not count."""
    nodes = bid.shape.nodes
    alone = {*bid.own, bid.goes_to} - {-1}
    own = (preference_in(room, bid, fabric) for fabric in alone if fabric not in without)
    best = min(own, default=NO_FABRIC)
    for level, free, fabric in by_offer.of(nodes):
        if level > bid.limit:
            break
        if fabric not in alone and fabric not in without:
            return min(best, preference_of(bid, fabric, Offer(level, nodes), free))
    return best


def preference_in(room: Room, bid: Bid, fabric: int) -> Preference:
    """How a bid ranks what this fabric offers now; NO_FABRIC where it is nothing within its
    limit."""
    offer = room.offer(fabric, bid.shape)
    if offer is None or offer.level > bid.limit:
        return NO_FABRIC
    return preference_of(bid, fabric, offer, room.free[fabric])


def preference_of(bid: Bid, fabric: int, offer: Offer, free: int) -> Preference:
    """How a bid ranks a fabric's offer, of which `free` nodes are free."""
    is_foreign = fabric not in bid.own
    leaves = is_foreign and not bid.moves_if_cheaper
    if bid.leaves >= 0:
        leaves = fabric == bid.leaves
    elif bid.goes_to >= 0:
        leaves = fabric != bid.goes_to
    return leaves, offer.level, is_foreign, offer.opened, free - offer.opened, fabric


def least_floor(room: Room, shape: Shape) -> int:
    """The least highest floor of any placement of the shape; FITS_NOWHERE if none holds it."""
    if shape.any_fabric:
        slots = [room.slots(fabric, shape) for fabric in range(len(room.free))]
        levels = sorted(chain.from_iterable(slots))
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
