"""The prices that support fills: the floored middle of the least and the greatest.

Theory of operation
-------------------
Fills leave each order saying what the price of its window may be: at most the limit of a buy that
trades, at least that of one that wants more; for sells the other way round. A slot's ladder says
the same of the slot's price. These are differences of two boundaries' prices with a bound, so the
prices that satisfy them all, with 0 at the first boundary, are a lattice: there is a least and a
greatest for every boundary at once, the longest and the shortest way from the first boundary
(Bellman-Ford). In whole numbers the lattice is even L-natural convex, so the middle rounded down at
every boundary satisfies them too (Murota, *Discrete Convex Analysis*, 2003, chapter 5).

Where no sell or filled buy bounds a slot from above, the greatest limit of any order there does, or
the slot's least price where the orders need more.

Example: one slot, a sell at 8 of which nothing is left, a buy at 15 that is filled and one at 9
that is not: the price is at least 9, at most 15, and so 12.
"""

from collections.abc import Iterable

from parkade.core.book.building import Built
from parkade.core.book.orders import Batch, Sell

Bounds = list[list[tuple[int, int]]]
"""By boundary: (another one, by how much its price is at least, or at most, greater)."""


def middle_prices(built: Built, out: Iterable[int]) -> tuple[int, ...]:
    """The price of each boundary; `out` are the blocks that were taken out, of which no price
    needs to take notice.

    Cost: a few passes over the orders and slots.
    """
    batch, network = built.batch, built.network
    ignored = set(out)
    windows = [
        (place, network.flow(arc)) for place, arc in built.arcs.items() if place not in ignored
    ]
    slots = [ladder.bounds() for ladder in network.ladders]
    return middle_of(batch, windows, slots)


def middle_of(
    batch: Batch, windows: list[tuple[int, int]], slots: list[tuple[int, int | None]]
) -> tuple[int, ...]:
    """The same from plain values: (place, nodes) of the orders that ladders do not hold, and the
    least and the greatest price of each slot."""
    least: Bounds = [[] for _ in batch.boundaries]
    for slot, (low, high) in enumerate(slots):
        least[slot].append((slot + 1, low))
        if high is not None:
            least[slot + 1].append((slot, -high))
    for place, nodes in windows:
        order = batch.orders[place]
        limit = batch.limit_of(order)
        at_least, at_most = nodes < order.nodes, nodes > 0
        if isinstance(order, Sell):
            at_least, at_most = at_most, at_least
        if at_least:
            least[order.start].append((order.end, limit))
        if at_most:
            least[order.end].append((order.start, -limit))
    low_prices = _longest(least)
    ceilings = _ceilings(batch)
    greatest: Bounds = [[] for _ in batch.boundaries]
    for here, bounds in enumerate(least):
        for other, by in bounds:
            greatest[other].append((here, by))
    for slot, ceiling in enumerate(ceilings):
        most = max(ceiling, low_prices[slot + 1] - low_prices[slot])
        greatest[slot].append((slot + 1, -most))
    high_prices = _longest(greatest)
    return tuple((low - high) // 2 for low, high in zip(low_prices, high_prices, strict=True))


def _longest(bounds: Bounds) -> list[int]:
    """The longest way from the first boundary to each, in passes forth and back.

    The bounds have no circle of positive length, because fills of greatest benefit have prices.
    """
    count = len(bounds)
    found: list[int | None] = [None] * count
    found[0] = 0
    changed = True
    passes = 0
    while changed:
        changed = False
        passes += 1
        assert passes <= 2 * count + 2, "the fills have no supporting prices"
        for here in range(count) if passes % 2 else range(count - 1, -1, -1):
            base = found[here]
            if base is None:
                continue
            for other, by in bounds[here]:
                known = found[other]
                if known is None or base + by > known:
                    found[other] = base + by
                    changed = True
    return [0 if price is None else price for price in found]


def _ceilings(batch: Batch) -> list[int]:
    """The greatest price that an order or a step names for each slot, per node."""
    named = [0] * batch.slots
    for step in (*batch.asks, *batch.bids):
        named[step.slot] = max(named[step.slot], step.price_micros)
    # From the dearest order on each slot is visited once: `unseen` leads to the next that was not.
    unseen = list(range(batch.slots + 1))
    for order in sorted(batch.orders, key=lambda it: -it.limit_micros):
        slot = _next(unseen, order.start)
        while slot < order.end:
            named[slot] = max(named[slot], order.limit_micros)
            unseen[slot] = slot + 1
            slot = _next(unseen, slot)
    return [named[slot] * batch.hours(slot, slot + 1) for slot in range(batch.slots)]


def _next(unseen: list[int], slot: int) -> int:
    """The first slot from this one on that no order has named, and shorter ways there."""
    found = slot
    while unseen[found] != found:
        found = unseen[found]
    while unseen[slot] != found:
        unseen[slot], slot = found, unseen[slot]
    return found
