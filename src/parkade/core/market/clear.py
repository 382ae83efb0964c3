"""The clearing of one market: who wins, what it pays, where it sits, and who earns it.

Each question has its own module and they are asked in this order, each knowing the answers
before: `allocation` (who wins), `critical_values` (prices), `seating` (where), `revenue_shares`
(who earns it). No price depends on the seating. This module puts the answers together, a line for
each demand.
"""

from collections import Counter
from itertools import groupby
from typing import NamedTuple

from msgspec import structs

from parkade.core.market.allocation import Allocation, allocate
from parkade.core.market.layout import Layout, floors_drawn, is_too_large, shape_of
from parkade.core.market.market_state import Demand, MarketState, PriorityTier
from parkade.core.market.outcome import Change, Clearing, ClearingLine, ReservationUse, WaitReason
from parkade.core.market.prices.critical_values import Prices, price_all
from parkade.core.market.remembered import (
    Memory,
    Remembered,
    are_of_one_order,
    with_instants_of,
)
from parkade.core.market.revenue_shares import RevenueShares
from parkade.core.market.seating.fallback import GivesUpClosed
from parkade.core.market.seating.free_room import Seats, with_seats
from parkade.core.market.seating.seat import Seating, seat
from parkade.core.market.spot import FITS_NOWHERE, least_floor
from parkade.core.placement.room import Room, Shape
from parkade.core.units.money import ceil_div

LeastFloors = tuple[int, int]
"""At which a shape fits where no bid is, and where those are that no bid pushes out."""

Kind = tuple[int, int, int, bool, str, int | None]
"""What bids without seats have in common that lose for the same reason."""


def clear(state: MarketState, memory: Memory | None = None) -> Clearing:
    """The outcome of one clearing; changes nothing but the memory, which changes no outcome.

    The order of the state's demands, nodes and reservations is irrelevant. Asserts on a state that
    contradicts itself: a node held beyond its GPUs. Cost: decision record 3; where the memory knows
    it, that of comparing two states.
    """
    known = None if memory is None else memory.counted_alike(state)
    if known is not None and are_of_one_order(known.state.nodes, state.nodes):
        return known.outcome
    if known is None:
        allocated = None if memory is None else memory.allocated(state)
        allocation = allocate(state) if allocated is None else allocated
        prices = price_all(state, allocation)
    else:
        allocation, prices = with_instants_of(state, known.allocation), known.prices
    outcome = _outcome(state, allocation, prices)
    if memory is not None:
        memory.keep(Remembered(state, allocation, prices, outcome), instead_of=known)
    return outcome


def winners(state: MarketState, memory: Memory) -> frozenset[str] | None:
    """What has seats after `clear`, at the cost of the allocation; None where that does not decide
    it alone: nodes are closed, or bids are pinned or step aside."""
    if not all(node.is_open for node in state.nodes):
        return None
    allocation = memory.allocated(state)
    if allocation is None:
        allocation = allocate(state)
        memory.keep_allocation(state, allocation)
    return frozenset(allocation.parts) if allocation.plain is None else None


def _outcome(state: MarketState, allocation: Allocation, prices: Prices) -> Clearing:
    """The outcome of this allocation and its prices, or, where its winners cannot all keep their
    closed nodes, of others."""
    found = _decide(state, allocation, prices)
    # Each round takes its closed nodes from one demand, so there are fewer rounds than demands.
    while isinstance(found, GivesUpClosed):
        state = _without_closed(state, found.demand)
        allocation = allocate(state)
        found = _decide(state, allocation, price_all(state, allocation))
    allocation, prices, seating = found
    revenue = RevenueShares(state, allocation.supply.offered)
    lines = []
    losers = _Losers(allocation, prices)
    is_room_awaited = False
    for demand in allocation.ordered:
        if demand.demand in allocation.parts:
            line = _won(demand, seating, state, allocation, prices, revenue)
            if is_room_awaited:
                line = structs.replace(line, follows_protected=True)
        else:
            line = losers.line(demand)
            is_awaiting = line.reason is WaitReason.PROTECTED and not demand.is_cautious
            is_room_awaited = is_room_awaited or is_awaiting
        lines.append(line)
    assert len(lines) == len(state.demands), "a demand has no outcome"
    return Clearing(
        lines=tuple(lines),
        reservations=_reservation_use(state, allocation),
        ladder=prices.ladder,
        used_fallback_seating=seating.is_fallback,
    )


class _Decided(NamedTuple):
    """The winners, their prices and their seats."""

    allocation: Allocation
    prices: Prices
    seating: Seating


def _decide(state: MarketState, allocation: Allocation, prices: Prices) -> _Decided | GivesUpClosed:
    """The seats of an allocation, beside its prices; where bids are pinned or step aside and the
    next clearing would have other winners, those of the plain one.

    Where bids are pinned or step aside this costs a repeated allocation.
    """
    seating = seat(state, allocation, prices)
    if isinstance(seating, GivesUpClosed):
        return seating
    if allocation.plain is not None:
        again = allocate(with_seats(state, seating.seats), allocation.layout)
        if again.parts.keys() != allocation.parts.keys():
            return _decide(state, allocation.plain, price_all(state, allocation.plain))
    return _Decided(allocation, prices, seating)


def _without_closed(state: MarketState, name: str) -> MarketState:
    """The state in which this demand has given up its closed nodes, as a gang that lost them."""
    closed = {node.node for node in state.nodes if not node.is_open}
    demands = tuple(
        demand
        if demand.demand != name
        else structs.replace(
            demand, seats=tuple(it for it in demand.seats if it.node not in closed)
        )
        for demand in state.demands
    )
    assert demands != state.demands, f"{name} has no closed nodes"
    return structs.replace(state, demands=demands)


def _won(
    demand: Demand,
    seating: Seating,
    state: MarketState,
    allocation: Allocation,
    prices: Prices,
    revenue: RevenueShares,
) -> ClearingLine:
    """The line of a winner."""
    if demand.most_nodes:
        return _won_elastic(demand, seating, allocation, prices, revenue)
    seats = seating.seats[demand.demand]
    floors: tuple[int, ...] = ()
    if demand.tier is not PriorityTier.RESERVED:
        # A reservation pays for its own demands, whatever floors they draw.
        shape = shape_of(demand, allocation.layout)
        floors = floors_drawn(shape, allocation.parts[demand.demand])
    is_spot = demand.tier is PriorityTier.SPOT
    highest = max(floors) if is_spot else 0
    price, set_by = 0, None
    if demand.tier is PriorityTier.ON_DEMAND:
        price = state.terms.pay_as_you_go_micros
    elif is_spot:
        price, set_by = prices.paid[demand.demand]
    assert not is_spot or demand.limit_micros is None or price <= demand.limit_micros
    return ClearingLine(
        demand=demand.demand,
        change=_change(demand, seats, allocation.layout),
        seats=seats,
        price_micros=price,
        floor_micros=highest,
        price_set_by=set_by,
        shares=revenue.shares(demand.tier, price, demand.gpus, floors, set_by),
        reason=None,
        moved=seating.moved.get(demand.demand),
        price_to_win_micros=None,
    )


def _won_elastic(
    demand: Demand,
    seating: Seating,
    allocation: Allocation,
    prices: Prices,
    revenue: RevenueShares,
) -> ClearingLine:
    """The line of an elastic winner: each of its nodes has a price, and earns its shares."""
    seats = seating.seats[demand.demand]
    (part,) = allocation.parts[demand.demand]
    nodes = prices.by_node[demand.demand]
    assert len(seats) == len(part.levels) == len(nodes), "a node without a price"
    earned: Counter[str] = Counter()
    for priced, group in groupby(zip(nodes, part.levels, strict=True), key=lambda it: it[0]):
        floors = tuple(level for _, level in group)
        earned.update(dict(revenue.shares(demand.tier, priced[0], demand.gpus, floors, priced[1])))
    change = _change(demand, seats, allocation.layout)
    node_prices = tuple(micros for micros, _ in nodes)
    return ClearingLine(
        demand=demand.demand,
        change=change,
        seats=seats,
        price_micros=ceil_div(sum(node_prices), len(node_prices)),
        floor_micros=max(part.levels),
        price_set_by=nodes[-1][1],
        shares=tuple(sorted(earned.items())),
        reason=_why_smaller(demand, len(seats), allocation),
        moved=None if change is Change.RESIZE else seating.moved.get(demand.demand),
        price_to_win_micros=None,
        node_prices=node_prices,
    )


def _why_smaller(demand: Demand, nodes: int, allocation: Allocation) -> WaitReason | None:
    """BELOW_FLOOR where an elastic bid has fewer nodes than before, and would as the only bid, as
    the floor of one more is above its limit. None else: what took them is no matter of its own."""
    if nodes >= len(demand.seats) or demand.limit_micros is None:
        return None
    shape = shape_of(demand, allocation.layout)._replace(nodes=nodes + 1, held=None)
    supply = Room(allocation.supply.floors, allocation.layout.node_gpus)
    floor = least_floor(supply, shape)
    return WaitReason.BELOW_FLOOR if demand.limit_micros < floor < FITS_NOWHERE else None


def _change(demand: Demand, seats: Seats, layout: Layout) -> Change:
    """What these seats are, seen from those that a demand has now."""
    assert len(seats) in range(demand.nodes, max(demand.nodes, demand.most_nodes) + 1) or (
        demand.most_nodes and len(seats) <= len(demand.seats)
    ), f"{demand.demand} is not seated whole"
    if not demand.seats:
        return Change.START
    if seats is demand.seats:
        return Change.KEEP
    now = Counter(seat.node for seat in seats)
    before = Counter(seat.node for seat in demand.seats)
    if now == before:
        return Change.KEEP
    surviving = Counter({it: ranks for it, ranks in before.items() if it in layout.fabric_of})
    is_whole = surviving == before
    if demand.most_nodes and is_whole and (now <= before or before <= now):
        return Change.RESIZE
    is_healed = surviving and surviving != before and surviving <= now
    return Change.HEAL if is_healed else Change.MOVE


class _Losers:
    """The lines of losers. Grows with fabrics once for each shape, and with the kinds of losers;
    there are few of both and many losers."""

    def __init__(self, allocation: Allocation, prices: Prices) -> None:
        self._allocation = allocation
        self._prices = prices
        self._floors: dict[Shape, LeastFloors] = {}
        self._whys: dict[Kind, WaitReason] = {}

    def line(self, demand: Demand) -> ClearingLine:
        """The line of one of them."""
        reason = self._allocation.reserved.refused.get(demand.demand)
        return ClearingLine(
            demand=demand.demand,
            change=Change.PREEMPT if demand.seats else Change.WAIT,
            seats=(),
            price_micros=0,
            floor_micros=0,
            price_set_by=None,
            shares=(),
            reason=self._why(demand) if reason is None else reason,
            moved=None,
            price_to_win_micros=self._prices.to_win.get(demand.demand),
        )

    def _why(self, demand: Demand) -> WaitReason:
        """As `_why_lost`, once for all newcomers of a kind."""
        if demand.seats or demand.tier is not PriorityTier.SPOT:
            return self._why_lost(demand)
        each, limit = demand.ranks_per_node, demand.limit_micros
        kind = (demand.nodes, demand.gpus, each, demand.any_fabric, demand.org, limit)
        why = self._whys.get(kind)
        if why is None:
            why = self._whys[kind] = self._why_lost(demand)
        return why

    def _why_lost(self, demand: Demand) -> WaitReason:
        """TOO_LARGE where no set of fabrics could ever hold it, NO_ROOM or BELOW_FLOOR if it would
        have lost as the only bid, PROTECTED as the only one beside those that no bid pushes out,
        else OUTBID."""
        if is_too_large(demand, self._allocation.layout):
            return WaitReason.TOO_LARGE
        assert demand.limit_micros is not None, "a spot demand without a limit"
        alone, beside_protected = self._least_floors(shape_of(demand, self._allocation.layout))
        if alone >= FITS_NOWHERE:
            return WaitReason.NO_ROOM
        if alone > demand.limit_micros:
            return WaitReason.BELOW_FLOOR
        is_protected = beside_protected > demand.limit_micros
        return WaitReason.PROTECTED if is_protected else WaitReason.OUTBID

    def _least_floors(self, shape: Shape) -> LeastFloors:
        found = self._floors.get(shape)
        if found is None:
            allocation = self._allocation
            supply = Room(allocation.supply.floors, allocation.layout.node_gpus)
            start = (allocation.plain or allocation).start
            found = self._floors[shape] = (least_floor(supply, shape), least_floor(start, shape))
        return found


def _reservation_use(state: MarketState, allocation: Allocation) -> tuple[ReservationUse, ...]:
    """How the nodes of each reservation are used.

    What spot drew at a floor counts as lent by all that offered at it, pro rata of their offers, in
    order of reservation, rounded so that the parts add up.
    """
    drawn: dict[int, int] = {}
    for floors, free in zip(allocation.supply.floors, allocation.room.free, strict=True):
        for level in floors[: len(floors) - free]:
            drawn[level] = drawn.get(level, 0) + 1
    lent: dict[str, int] = {}
    for level, count in drawn.items():
        offers = sorted(
            (source, nodes)
            for (floor, source), nodes in allocation.supply.offered.items()
            if floor == level
        )
        total = sum(nodes for _, nodes in offers)
        before = 0
        for source, nodes in offers:
            lent[source] = (before + nodes) * count // total - before * count // total
            before += nodes
    offered = {source: nodes for (_, source), nodes in allocation.supply.offered.items()}
    entitlements = allocation.reserved.entitlements
    found = tuple(
        ReservationUse(
            reservation=room.reservation,
            used=entitlements[room.reservation].used,
            kept=sum(entitlements[room.reservation].kept.values()),
            offered=offered.get(room.reservation, 0),
            lent=lent.get(room.reservation, 0),
        )
        for room in sorted(state.reservations, key=lambda it: it.reservation)
    )
    assert all(it.lent <= it.offered for it in found), "more was drawn than an owner offered"
    return found
