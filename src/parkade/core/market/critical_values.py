"""What a winner pays: the least it could have bid and still have won (its critical value).

With the winner taken out, the pass goes on below its turn. Its price is the key of the rival at
which its shape no longer fits at a floor within that price, divided by its own credit and rounded
up to a micro-unit; at least the highest floor it draws; never above its limit. Winning a tie is
not charged; who would have to bid more is told a price that wins whatever the ties.

The one surprising rule: who stays put wins at any limit, so its price is what its open nodes would
have cost it in its turn, and its limit where that is less.
"""

from collections.abc import Callable
from typing import NamedTuple

from parkade.core.market.allocation import Pass
from parkade.core.market.counterfactual_sweep import Sweep
from parkade.core.market.counterfactuals import Asker
from parkade.core.market.layout import Parts, shape_of
from parkade.core.market.market_state import Book, Demand, Right
from parkade.core.market.priority import factor_of
from parkade.core.market.spot import NEVER, Bid, choose, least_floor
from parkade.core.placement.room import Room, Shape
from parkade.core.units.money import ceil_div


class Price(NamedTuple):
    """Micro-units per GPU-hour, None where none would do, and the rival whose key set it."""

    micros: int | None
    rival: str | None


class Prices(NamedTuple):
    """`paid` by spot winner: price and rival; `to_win` by spot loser; `ladder` by gang size."""

    paid: dict[str, tuple[int, str | None]]
    to_win: dict[str, int]
    ladder: tuple[tuple[int, int | None], ...]

    def paid_micros(self, demand: str) -> int | None:
        """A spot winner's price; None for others."""
        found = self.paid.get(demand)
        return None if found is None else found[0]


def price_all(book: Book, passed: Pass) -> Prices:
    """Prices of all winners, what losers would need, and the ladder.

    One sweep; winners that may use any fabrics or stay put, and each shape of losers that may use
    any fabrics, cost a re-run of the pass each.
    """
    sweep = Sweep(passed.start)
    newcomer = book.terms.switching_credit.denominator
    sizes = _ladder_sizes(passed)
    for shape, factor in [*((shape, newcomer) for shape in sizes), *_losing(passed)]:
        if not shape.any_fabric:
            sweep.ask({}, shape, Asker(factor, True, (shape, factor)))
    reruns = []
    for at, (bid, parts) in enumerate(zip(passed.bids, passed.outcome, strict=True)):
        taken = sweep.put(bid, parts)
        if parts is None:
            continue
        if bid.shape.any_fabric:
            reruns.append(at)
            continue
        without = {key: -count for key, count in taken.items()}
        sweep.ask(without, bid.shape, Asker(bid.factor, False, bid.name))
    answers = sweep.close()
    for shape, factor in _losing(passed):
        if shape.any_fabric:
            answers[shape, factor] = price_newcomer(passed, shape, factor)
    paid: dict[str, tuple[int, str | None]] = {}
    to_win: dict[str, int] = {}
    for at in reruns:
        answers[passed.bids[at].name] = price_winner(passed, at)
    for bid, parts in zip(passed.bids, passed.outcome, strict=True):
        if parts is not None:
            paid[bid.name] = settle_price(Price(*answers[bid.name]), bid.limit, parts)
            continue
        found = answers[bid.shape, bid.factor][0]
        if found is not None:
            to_win[bid.name] = found
    for demand in passed.ordered:
        if demand.stays_put and demand.right is Right.SPOT:
            paid[demand.demand] = price_who_stays(book, passed, demand)
    ladder = tuple((shape.nodes, answers[shape, newcomer][0]) for shape in sizes)
    return Prices(paid, to_win, ladder)


def _ladder_sizes(passed: Pass) -> list[Shape]:
    largest = max(passed.ground.size, default=0)
    return [
        Shape(1 << power, passed.ground.node_gpus, None, any_fabric=False)
        for power in range(largest.bit_length())
    ]


def _losing(passed: Pass) -> list[tuple[Shape, int]]:
    """The different questions of the losers: their shapes and what their limits count."""
    return list(
        dict.fromkeys(
            (bid.shape, bid.factor)
            for bid, parts in zip(passed.bids, passed.outcome, strict=True)
            if parts is None and bid.shape.gpus <= passed.ground.node_gpus
        )
    )


def settle_price(price: Price, limit: int, parts: Parts) -> tuple[int, str | None]:
    """The critical value bounded by the floors drawn and the limit."""
    assert price.micros is not None, "a winner's shape fits without it"
    drawn = max((level for part in parts for level in part.levels), default=0)
    micros = max(price.micros, drawn)
    return min(micros, limit), price.rival if price.micros >= drawn else None


def price_by_rerun(
    room: Room,
    rivals: list[Bid],
    *,
    floor: Callable[[Room], int],
    asking: Callable[[int], int],
) -> Price:
    """Run the rest of the pass without somebody, whose least floor and price to beat are given.

    `room` is consumed. `floor(room)` is the least floor at which the shape fits; `asking(key)` the
    least limit that reaches a rival's key. Grows with rivals x fabrics.
    """
    current = floor(room)
    if current >= NEVER:
        return Price(None, None)
    for rival in rivals:
        asked = asking(rival.key)
        if current >= asked:
            break
        shares = choose(room, rival, 0)
        if shares is None:
            continue
        for fabric, nodes in shares:
            room.take(fabric, rival.shape, nodes)
        after = floor(room)
        if after > asked:
            return Price(asked, rival.name)
        current = after
    return Price(current, None)


def price_winner(passed: Pass, at: int) -> Price:
    """The critical value of one winner by re-running the pass below it."""
    room = passed.start.copy()
    for bid, parts in zip(passed.bids[:at], passed.outcome[:at], strict=True):
        for part in parts or ():
            room.take(part.fabric, bid.shape, len(part.levels))
    me = passed.bids[at]
    return price_by_rerun(
        room,
        passed.bids[at + 1 :],
        floor=lambda state: least_floor(state, me.shape),
        asking=lambda key: ceil_div(key, me.factor),
    )


def price_newcomer(passed: Pass, shape: Shape, factor: int) -> Price:
    """The least limit that wins now, whatever the ties, for somebody who is not in the pass."""
    return price_by_rerun(
        passed.start.copy(),
        passed.bids,
        floor=lambda state: least_floor(state, shape),
        asking=lambda key: key // factor + 1,
    )


def price_who_stays(book: Book, passed: Pass, demand: Demand) -> tuple[int, str | None]:
    """What the open nodes it alone holds would have cost in its turn; never above its limit."""
    assert demand.limit_micros is not None
    ground = passed.ground
    parts = passed.parts[demand.demand]
    shared = {
        seat.node
        for other in passed.ordered
        if other.stays_put and other.demand != demand.demand
        for seat in other.seats
    }
    wanted: dict[int, int] = {}
    for seat in demand.seats:
        fabric = ground.fabric_of.get(seat.node)
        if fabric is not None and seat.node not in ground.closed and seat.node not in shared:
            wanted[fabric] = wanted.get(fabric, 0) + 1
    room = passed.start.copy()
    tenant = shape_of(demand, ground).tenant
    for part in parts:
        room.free[part.fabric] += wanted.get(part.fabric, 0)
        mine = set(part.tokens) if tenant is not None else set()
        gaps = room.gaps.get((part.fabric, tenant)) if tenant is not None else None
        if gaps is not None:
            alone = {token for token in mine if passed.pinned[token] not in shared}
            gaps[:] = [entry for entry in gaps if entry[2] not in alone]
    price = price_by_rerun(
        room,
        passed.bids,
        floor=lambda state: _floor_of(state, wanted),
        asking=lambda key: ceil_div(key, factor_of(demand, book.terms)),
    )
    return settle_price(price, demand.limit_micros, parts)


def _floor_of(room: Room, wanted: dict[int, int]) -> int:
    """The highest floor of these whole nodes, NEVER where one fabric has too few."""
    highest = 0
    for fabric, nodes in wanted.items():
        free = room.free[fabric]
        if nodes > free:
            return NEVER
        ladder = room.levels[fabric]
        highest = max(highest, ladder[len(ladder) - free + nodes - 1])
    return highest
