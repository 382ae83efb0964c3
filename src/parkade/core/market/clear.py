"""The clearing of one market: one pass decides who wins and what it pays, one seating where.

No price depends on the seating. The settled seating, in which runners keep their seats, is used
unless it does not hold or the pass repeated on it would choose other winners; then the pass's own
fabrics are.
"""

import msgspec

from parkade.core.market.allocation import Pass, run_pass
from parkade.core.market.critical_values import Prices, price_all
from parkade.core.market.layout import Ground, is_too_large, shape_of
from parkade.core.market.market_state import (
    Book,
    Change,
    Clearing,
    Demand,
    Lent,
    Line,
    Right,
    WaitReason,
)
from parkade.core.market.revenue_shares import Settlement
from parkade.core.market.seating import seat_as_passed
from parkade.core.market.spot import NEVER, least_floor
from parkade.core.market.stable_seating import Seats, Winner, leaves_room, seat_settled
from parkade.core.market.supply import guest_floor


def clear(book: Book) -> Clearing:
    """Who wins, where it sits, what it pays, who earns it, and what others would have to bid.

    The order of the book's demands and nodes is irrelevant. Asserts on a book that contradicts
    itself: a node held beyond its GPUs, or a closed one by somebody who does not stay put.
    """
    passed = run_pass(book)
    prices = price_all(book, passed)
    seats, is_settled = seat(book, passed, prices)
    settlement = Settlement(book, passed.supply.offered)
    lines = []
    for demand in passed.ordered:
        if demand.demand in passed.parts:
            line = _won(demand, seats[demand.demand], book, passed, prices, settlement)
        else:
            line = _lost(demand, passed, prices)
        lines.append(line)
    return Clearing(
        lines=tuple(lines),
        lent=_lent(book, passed),
        ladder=prices.ladder,
        used_pass_fabrics=not is_settled,
    )


def seat(book: Book, passed: Pass, prices: Prices) -> tuple[dict[str, Seats], bool]:
    """Seats of all winners, and whether the settled seating held."""
    winners = [
        Winner(demand, passed.parts[demand.demand], prices.paid_micros(demand.demand))
        for demand in passed.ordered
        if demand.demand in passed.parts
    ]
    ground = passed.ground
    idle = passed.rights.idle_room()
    ladders = passed.supply.ladders
    beyond = _highest_floor(book)
    seats = seat_settled(winners, ground, idle, ladders, beyond)
    if seats is not None and (
        _stands_as_passed(winners, seats, ground) or _is_repeatable(book, passed, seats)
    ):
        return seats, True
    return seat_as_passed(winners, ground, passed.pinned, idle), False


def _highest_floor(book: Book) -> int:
    floors = [
        guest_floor(room.floor_micros, book.terms.fee)
        for room in book.reservations
        if room.floor_micros is not None
    ]
    return max([book.terms.public_floor_micros, *floors])


def _stands_as_passed(winners: list[Winner], seats: dict[str, Seats], ground: Ground) -> bool:
    """Whether the seating uses the very fabrics of the pass."""
    for winner in winners:
        passed = {part.fabric: len(part.levels) for part in winner.parts}
        seated: dict[int, int] = {}
        for seat in seats[winner.demand.demand]:
            fabric = ground.fabric_of.get(seat.node)
            if fabric is not None:
                seated[fabric] = seated.get(fabric, 0) + 1
        if passed != seated:
            return False
    return True


def _is_repeatable(book: Book, passed: Pass, seats: dict[str, Seats]) -> bool:
    """Whether the pass repeated with these seats would choose so again, and move nobody.

    The same winners, as much idle room of each reservation, and that in fabrics which let it stay
    empty beside these seats.
    """
    demands = tuple(
        msgspec.structs.replace(demand, seats=seats.get(demand.demand, ()))
        for demand in book.demands
    )
    again = run_pass(msgspec.structs.replace(book, demands=demands))
    idle = again.rights.idle_room()
    return (
        again.parts.keys() == passed.parts.keys()
        and idle.totals() == passed.rights.idle_room().totals()
        and leaves_room(book.demands, seats, passed.ground, idle)
    )


def _won(
    demand: Demand,
    seats: Seats,
    book: Book,
    passed: Pass,
    prices: Prices,
    settlement: Settlement,
) -> Line:
    parts = passed.parts[demand.demand]
    drawn = tuple(level for part in parts for level in part.levels)
    is_spot = demand.right is Right.SPOT
    highest = max(drawn, default=0) if is_spot else 0
    price, rival = 0, None
    if demand.right is Right.ON_DEMAND:
        price = book.terms.pay_as_you_go_micros
    elif is_spot:
        price, rival = prices.paid[demand.demand]
    floors = drawn + (highest,) * (len(seats) - len(drawn))
    return Line(
        demand=demand.demand,
        change=_change(demand, seats, passed.ground),
        seats=seats,
        fabric=passed.ground.fabrics[parts[0].fabric] if parts else None,
        price_micros=price,
        floor_micros=highest,
        price_set_by=rival,
        shares=settlement.shares(demand.right, price, demand.gpus, floors, rival),
        reason=None,
        price_to_win_micros=None,
    )


def _change(demand: Demand, seats: Seats, ground: Ground) -> Change:
    """What this is, seen from the seats it has."""
    if not demand.seats:
        return Change.START
    now = {seat.node for seat in seats}
    before = {seat.node for seat in demand.seats}
    if demand.stays_put or now == before:
        return Change.KEEP
    surviving = {node for node in before if node in ground.fabric_of}
    is_healed = surviving and surviving != before and surviving <= now
    return Change.HEAL if is_healed else Change.MOVE


def _lost(demand: Demand, passed: Pass, prices: Prices) -> Line:
    reason = passed.rights.lost.get(demand.demand)
    if reason is None and is_too_large(demand, passed.ground):
        reason = WaitReason.TOO_LARGE
    elif reason is None:
        reason = _why_outbid(demand, passed)
    return Line(
        demand=demand.demand,
        change=Change.PREEMPT if demand.seats else Change.WAIT,
        seats=(),
        fabric=None,
        price_micros=0,
        floor_micros=0,
        price_set_by=None,
        shares=(),
        reason=reason,
        price_to_win_micros=prices.to_win.get(demand.demand),
    )


def _why_outbid(demand: Demand, passed: Pass) -> WaitReason:
    """Would it have had room, and at a floor within its limit, if it had been alone in spot?"""
    assert demand.limit_micros is not None
    floor = least_floor(passed.start, shape_of(demand, passed.ground))
    if floor >= NEVER:
        return WaitReason.NO_ROOM
    return WaitReason.BELOW_FLOOR if floor > demand.limit_micros else WaitReason.OUTBID


def _lent(book: Book, passed: Pass) -> tuple[Lent, ...]:
    """Nodes of each reservation; what spot drew of a floor counts pro rata of its offers."""
    drawn: dict[int, int] = {}
    for ladder, free in zip(passed.supply.ladders, passed.room.free, strict=True):
        for level in ladder[: len(ladder) - free]:
            drawn[level] = drawn.get(level, 0) + 1
    lent: dict[str, int] = {}
    for level, count in drawn.items():
        offers = sorted(
            (source, nodes)
            for (floor, source), nodes in passed.supply.offered.items()
            if floor == level
        )
        total = sum(nodes for _, nodes in offers)
        before = 0
        for source, nodes in offers:
            lent[source] = (before + nodes) * count // total - before * count // total
            before += nodes
    offered = {source: nodes for (_, source), nodes in passed.supply.offered.items()}
    holdings = passed.rights.holdings
    return tuple(
        Lent(
            reservation=room.reservation,
            used=holdings[room.reservation].used,
            kept=sum(holdings[room.reservation].kept.values()),
            offered=offered.get(room.reservation, 0),
            lent=lent.get(room.reservation, 0),
        )
        for room in sorted(book.reservations, key=lambda it: it.reservation)
    )
