"""The allocation: who wins, by counting the room of each fabric. No node is named.

Theory of operation
-------------------
The nodes of one fabric are alike, so a fabric is one number of free nodes beside the floor of each
(`placement.room.Room`). All demands take one turn each, in priority order:

1. The reserved stage (`reserved`): owners' demands, what they keep idle, then on-demand. Floors do
   not matter here.
2. What stage 1 left is the supply of spot: a stack of floors in each fabric (`supply`).
3. Spot bids take their turns on it (`spot`): a bid takes the cheapest fabric that holds its whole
   gang at floors within its limit. A bid that does not fit is skipped and the next one tries, so no
   node idles for the sake of the order.

Room is made of open nodes only; a closed node has left it as if it had failed. A gang of n ranks,
c of them on closed nodes (`placement.room.Held`), asks for n - c where it stands and for n
elsewhere. If it wins where it stands, it keeps all its seats; if it loses, it leaves them all. So a
closed node is never a reason for which others do without open ones.

Nothing else decides who has seats: reclaim, preemption, moving and healing are the difference
between this allocation and the seats that demands have now.

**Large gangs are not starved by small ones.** Where a gang that has waited (`has_waited`) lost, all
turns are taken once more without the credit of the running bids that are smaller and bid less. If
the gang wins, they are taken again without the credit of those of them only that stand in the
fabrics that it took, so that no other is replaced for a trifle. The last allocation in which the
gang wins stands, so no node idles for the gang; prices are its own.

Before that it is tried whether idle GPUs would hold the gang were they not scattered
(`consolidation`): a little running work below a node then takes another fabric, at no higher floor,
and no winner loses.

**A bid that fits beside does not displace.** The allocation packs work below a node anew, so it may
count a node for a bid that in fact fits into free GPUs, and a running bid then loses for nothing.
Where a running bid lost so, it is tried to count it, and the running work with which it shares
nodes, on the very nodes where they stand (`beside`): *pinned*, before the first turn. That stands
if no winner loses or draws a higher floor by it.

The same holds for a newcomer that is counted in a fabric in which running work then finds too few
nodes, although it fits into idle nodes of another: it takes those first (`stepping_aside`).

**Alike bids of an org do not move each other**: at last they exchange turns (`alike`).

Invariants: what is taken in a fabric never exceeds its nodes; a demand wins whole or not at all; a
demand takes its turn once, on room that only shrinks; the order of the input does not matter.

Example: amber has 3 nodes, birch 2. Reservation acme has 2 nodes of amber, keeps 1 and lends at
floor 5; the fee is 2/7 and the public floor 1. There come od (on-demand, 1 node) and three bids: a
(2 nodes, limit 10), b (1 node, 8), c (1 node, 6).

| turn | takes | left in amber | left in birch |
|---|---|---|---|
| acme keeps | 1 node of amber | 2 | 2 |
| acme lends | (supply, not room) | 2, of which 1 lent | 2 |
| od | 1 node of amber: as tight as birch, and first by name | 1 | 2 |
| supply | | floors [7] = 5 / (1 - 2/7) | floors [1, 1] |
| a, limit 10 | 2 nodes of birch at 1: the only fabric that holds it | [7] | [] |
| b, limit 8 | 1 node of amber at 7 | [] | [] |
| c, limit 6 | nothing: outbid | [] | [] |

`critical_values` and `seating` go on with this example, and `test_allocation.py` computes it.
Decision records: 3 (counting instead of naming), 6 (ties between fabrics), 13 (names), 43 (closed
nodes), 44 (equal prices, work below a node, gangs that have waited), 94 (what fits beside), 97
(stepping aside).
"""

from itertools import pairwise
from typing import NamedTuple

from msgspec import structs

from parkade.core.market.alike import exchanged
from parkade.core.market.beside import lost_nodes, pins_to_try, take_pinned
from parkade.core.market.consolidation import consolidations
from parkade.core.market.layout import Layout, Parts, build_layout, check_seats, floors_drawn
from parkade.core.market.market_state import (
    ClearingTerms,
    Demand,
    MarketState,
    PriorityTier,
)
from parkade.core.market.priority import in_priority_order, key_of, mates_of
from parkade.core.market.protected import Protected, take_protected
from parkade.core.market.reserved import allocate_reserved
from parkade.core.market.reserved_room import ReservedStage
from parkade.core.market.spot import Bid, allocate_spot, are_equals, bids_of
from parkade.core.market.stepping_aside import MOST_ASIDE, asides
from parkade.core.market.supply import Supply, stack_supply
from parkade.core.placement.room import Room


class Allocation(NamedTuple):
    """The outcome of all turns."""

    layout: Layout

    ordered: tuple[Demand, ...]
    """All demands, in priority order; those of equal price as they took their turns."""

    reserved: ReservedStage
    supply: Supply

    protected: Protected
    """Running bids that no other pushes out, counted first of spot; not among `bids`."""

    start: Room
    """Spot's room before the first bid took its turn."""

    room: Room
    """Spot's room after the last bid."""

    bids: list[Bid]
    """The spot demands, strongest first."""

    bid_parts: list[Parts | None]
    """What each bid took; None where it lost."""

    parts: dict[str, Parts]
    """What each winner of any tier took, by demand."""

    sized: dict[str, Demand]
    """Elastic winners as gangs of what they took; of their seats, in order of rank, as many."""

    pinned: list[tuple[Bid, Parts]]
    """Running bids that are counted where they stand, before the first turn; not among `bids`."""

    plain: "Allocation | None" = None
    """The same market with no bid pinned and none stepping aside; None where this is it. Whoever
    wins there wins here, with as many nodes and at no higher floor."""


def allocate(state: MarketState, layout: Layout | None = None) -> Allocation:
    """Give every demand its turn; anew where a gang has waited too long and then wins, and where a
    running bid lost nodes beside which the winners fit.

    `layout`: that of the state's nodes, where it is known already.

    Costs three allocations at most (the last two only few turns where a gang that has waited loses
    either way), and the turns of spot `MOST_CONSOLIDATIONS` times more where idle GPUs are
    scattered, `MOST_PINNINGS` and `MOST_ASIDE` where running bids lost nodes.
    """
    found = _step_aside(_pin_beside(_allocate_for_waiting(state, layout or build_layout(state))))
    return _exchange(found)


def _allocate_for_waiting(state: MarketState, layout: Layout) -> Allocation:
    """Every demand in its turn; anew where a gang has waited and then wins."""
    allocation = _allocate(state, layout)
    gang = _first_that_has_waited(allocation)
    if gang is None:
        return allocation
    consolidated = _consolidate(allocation, gang)
    if consolidated is not None:
        return consolidated
    if not _may_win(gang, allocation, state.terms):
        return allocation
    everywhere = _allocate(_giving_way(state, gang, None), allocation.layout, allocation)
    if gang.name not in everywhere.parts:
        return allocation
    won = {everywhere.layout.fabrics[part.fabric] for part in everywhere.parts[gang.name]}
    there = _allocate(_giving_way(state, gang, won), allocation.layout, allocation)
    return there if gang.name in there.parts else everywhere


def _consolidate(allocation: Allocation, gang: Bid) -> Allocation | None:
    """The same allocation with work below a node in other fabrics, so that the gang wins and no
    winner loses or draws a higher floor; None where no set of such work is found.

    Costs at most `MOST_CONSOLIDATIONS` times the turns of spot.
    """
    answered = list(zip(allocation.bids, allocation.bid_parts, strict=True))
    answered[:0] = allocation.protected.counted
    bounds = _floors_of_winners(allocation) | {gang.name: gang.limit}
    for scattered in consolidations(
        allocation.ordered, allocation.layout, answered, allocation.room, gang.shape
    ):
        bids = [
            it._replace(leaves=scattered.fabric) if it.name in scattered.jobs else it
            for it in allocation.bids
        ]
        tried = _turns_anew(allocation, allocation.start, bids, [], bounds)
        if tried is not None and _no_worse(allocation, tried):
            return tried
    return None


def _pin_beside(plain: Allocation) -> Allocation:
    """The same allocation, or one in which running bids that lost stay beside all its winners.

    Costs at most `MOST_PINNINGS` times the turns of spot.
    """
    best = plain
    answered = list(zip(plain.bids, plain.bid_parts, strict=True))
    bounds = _floors_of_winners(plain)
    for loser, names in pins_to_try(plain.ordered, plain.layout, answered, plain.start.free):
        if not lost_nodes(loser, best.parts.get(loser.name)):
            continue
        tried = _with_pins(plain, names | {bid.name for bid, _ in best.pinned}, bounds)
        if tried is None or lost_nodes(loser, tried.parts.get(loser.name)):
            continue
        if _no_worse(best, tried):
            best = tried
    return best


def _step_aside(allocation: Allocation) -> Allocation:
    """The same allocation, or one in which newcomers take idle nodes of another fabric, so that
    running bids do not lose theirs. Costs at most `MOST_ASIDE` times the turns of spot."""
    best, tried = allocation, set[str]()
    while not best.pinned and len(tried) < MOST_ASIDE:
        found = (it for it in asides(best.bids, best.bid_parts, best.room))
        aside = next((it for it in found if it.loser.name not in tried), None)
        if aside is None:
            break
        tried.add(aside.loser.name)
        bids = [it._replace(goes_to=aside.goes_to.get(it.name, it.goes_to)) for it in best.bids]
        other = _turns_anew(best, best.start, bids, [], _floors_of_winners(best))
        if other is None or lost_nodes(aside.loser, other.parts.get(aside.loser.name)):
            continue
        if _no_worse(best, other):
            best = other._replace(plain=allocation)
    return best


def _exchange(allocation: Allocation) -> Allocation:
    """The same room and turns, in which alike bids of an org stay where they can."""
    plain = None if allocation.plain is None else _exchange(allocation.plain)
    bids = exchanged(allocation.bids, allocation.bid_parts)
    if bids is None:
        return allocation._replace(plain=plain)
    names = {bid.name for bid in bids}
    parts = {name: taken for name, taken in allocation.parts.items() if name not in names}
    answered = zip(bids, allocation.bid_parts, strict=True)
    parts |= {bid.name: taken for bid, taken in answered if taken is not None}
    ordered = _in_order_of_turns(allocation.ordered, [bid.name for bid in bids])
    return allocation._replace(bids=bids, parts=parts, ordered=ordered, plain=plain)


def _floors_of_winners(allocation: Allocation) -> dict[str, int]:
    """The highest floor that each winner among the bids draws."""
    answered = zip(allocation.bids, allocation.bid_parts, strict=True)
    return {bid.name: max(floors_drawn(bid.shape, it)) for bid, it in answered if it is not None}


def _with_pins(
    plain: Allocation, pins: frozenset[str], bounds: dict[str, int]
) -> Allocation | None:
    """The same turns after these running bids were counted where they stand; None where these do
    not fit there within their limits, and as `_turns_anew`."""
    start = plain.start.copy()
    demands = {demand.demand: demand for demand in plain.ordered}
    running = [it for it in plain.bids if it.name in pins]
    named = plain.protected.named.copy()
    pinned = take_pinned(start, running, demands, plain.layout, named)
    if pinned is None:
        return None
    bids = [it for it in plain.bids if it.name not in pins]
    found = _turns_anew(plain, start, bids, pinned, bounds)
    return None if found is None else found._replace(plain=plain)


def _turns_anew(
    before: Allocation,
    start: Room,
    bids: list[Bid],
    pinned: list[tuple[Bid, Parts]],
    bounds: dict[str, int],
) -> Allocation | None:
    """The same allocation with the turns of these bids from this room; None where one of `bounds`
    loses in its turn, or draws a higher floor than that."""
    room = start.copy()
    answered = allocate_spot(room, bids, bounds)
    if len(answered) < len(bids):
        return None
    demands = {demand.demand: demand for demand in before.ordered}
    parts = dict(before.reserved.parts)
    first = (*before.protected.counted, *pinned)
    parts |= {bid.name: taken for bid, taken in (*first, *answered) if taken is not None}
    spot = [demands[bid.name] for bid, _ in (*first, *answered)]
    return before._replace(
        ordered=_in_order_of_turns(before.ordered, [bid.name for bid, _ in answered]),
        start=start,
        room=room,
        bids=[bid for bid, _ in answered],
        bid_parts=[taken for _, taken in answered],
        parts=parts,
        sized=_sized(spot, parts),
        pinned=pinned,
    )


def _no_worse(before: Allocation, after: Allocation) -> bool:
    """Whether every winner wins again with as many nodes, and no bid draws a higher floor."""
    for name, demand in before.sized.items():
        if name not in after.sized or after.sized[name].nodes < demand.nodes:
            return False
    answered = (*before.pinned, *zip(before.bids, before.bid_parts, strict=True))
    return all(
        (now := after.parts.get(bid.name)) is not None
        and max(floors_drawn(bid.shape, now)) <= max(floors_drawn(bid.shape, parts))
        for bid, parts in answered
        if parts is not None
    )


def _first_that_has_waited(allocation: Allocation) -> Bid | None:
    """The strongest bid that lost, of those for which smaller running ones give way."""
    waited = {it.demand for it in allocation.ordered if it.has_waited}
    if not waited:
        return None
    answered = zip(allocation.bids, allocation.bid_parts, strict=True)
    return next((it for it, parts in answered if parts is None and it.name in waited), None)


def _may_win(gang: Bid, allocation: Allocation, terms: ClearingTerms) -> bool:
    """False where the gang surely loses again once all of them give way.

    Without their credit they take their turns after the gang, and those that stay before it take
    theirs in the same order, unless equal ones go round by org: that is not told here.
    """
    bids = allocation.bids
    end = next(at for at, bid in enumerate(bids) if bid.name == gang.name)
    in_the_way = [_gives_way(bid, gang, terms) for bid in bids[:end]]
    if True not in in_the_way:
        return False
    first = in_the_way.index(True)
    if any(are_equals(*it) for it in pairwise(bids[max(0, first - 1) : end + 2])):
        return True
    room = allocation.start.copy()
    for bid, parts in zip(bids[:first], allocation.bid_parts[:first], strict=True):
        for part in parts or ():
            room.take(part.fabric, bid.shape, len(part.levels))
    staying = [bids[at] for at in range(first, end) if not in_the_way[at]]
    return allocate_spot(room, [*staying, gang])[-1][1] is not None


def _gives_way(bid: Bid, gang: Bid, terms: ClearingTerms) -> bool:
    """Whether a bid that comes before the gang comes after it without its credit."""
    credit = terms.switching_credit
    without_credit = bid.key // (credit.denominator + credit.numerator) * credit.denominator
    is_smaller = bid.shape.nodes * bid.shape.gpus < gang.shape.nodes * gang.shape.gpus
    return bool(bid.own) and is_smaller and without_credit < gang.key


def _giving_way(state: MarketState, gang: Bid, fabrics: set[str] | None) -> MarketState:
    """The state in which running bids that are smaller than the gang and bid less have no credit.

    `fabrics`: only those give way that have a seat there; None: all. A shared node gives way whole,
    or not at all.
    """
    sharing = mates_of(state)
    size = gang.shape.nodes * gang.shape.gpus
    there = {it.node for it in state.nodes if fabrics is None or it.fabric in fabrics}
    demands = []
    for demand in state.demands:
        is_smaller = demand.nodes * demand.gpus < size
        is_there = any(seat.node in there for seat in demand.seats)
        if demand.tier is PriorityTier.SPOT and is_smaller and is_there:
            plain = structs.replace(demand, gives_way=True)
            _, mates = sharing.get(demand.demand, ("", ()))
            demand = plain if key_of(plain, state.terms, mates) < gang.key else demand
        demands.append(demand)
    return structs.replace(state, demands=tuple(demands))


def _allocate(state: MarketState, layout: Layout, before: Allocation | None = None) -> Allocation:
    """Give every demand its turn.

    `before`: an allocation of the same state but for the credit of some bids, so that its first
    stage and its supply are the same.

    Grows with N log N of the demands, and with fabrics x the demands that do not stay where they
    are. Asserts on a state that contradicts itself.
    """
    sharing = mates_of(state)
    ordered = in_priority_order(state, sharing)
    possible = tuple(demand for demand in ordered if demand.gpus <= layout.node_gpus)
    if before is None:
        check_seats(ordered, layout)
        reserved = allocate_reserved(state, layout, possible)
        supply = stack_supply(state, reserved)
    else:
        reserved, supply = before.reserved, before.supply
    spot = [demand for demand in possible if demand.tier is PriorityTier.SPOT]
    start = Room(supply.floors, state.gpus_per_node)
    start.tokens = reserved.room.tokens
    parts = dict(reserved.parts)
    bids = bids_of(spot, layout, state.terms, sharing)
    protected = take_protected(start, bids, {it.demand: it for it in spot}, layout)
    names = protected.names
    room = start.copy()
    answered = allocate_spot(room, [it for it in bids if it.name not in names])
    taken_by = (*protected.counted, *answered)
    parts |= {bid.name: taken for bid, taken in taken_by if taken is not None}
    assert all(left >= 0 for left in room.free), "more nodes were taken than a fabric has"
    return Allocation(
        layout,
        _in_order_of_turns(ordered, [bid.name for bid, _ in answered]),
        reserved,
        supply,
        protected,
        start,
        room,
        [bid for bid, _ in answered],
        [taken for _, taken in answered],
        parts,
        _sized(spot, parts),
        [],
    )


def _sized(spot: list[Demand], parts: dict[str, Parts]) -> dict[str, Demand]:
    found = {}
    for demand in spot:
        if demand.most_nodes and (taken := parts.get(demand.demand)) is not None:
            nodes = sum(len(part.levels) for part in taken)
            found[demand.demand] = structs.replace(
                demand, nodes=nodes, most_nodes=0, grows_by=0, seats=demand.seats[:nodes]
            )
    return found


def _in_order_of_turns(ordered: tuple[Demand, ...], spot: list[str]) -> tuple[Demand, ...]:
    """The same demands, those of equal price as they took their turns."""
    demands = {demand.demand: demand for demand in ordered}
    in_turn = iter(spot)
    names = set(spot)
    return tuple(demands[next(in_turn)] if it.demand in names else it for it in ordered)
