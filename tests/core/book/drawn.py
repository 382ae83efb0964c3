"""Books drawn by chance, and what a matched one is worth and promises, from its orders alone.

Nothing here uses how a book is solved.
"""

import itertools
import random
from collections import defaultdict
from collections.abc import Iterator

from parkade.core.book.orders import Batch, Buy, Order, Sell, Step
from parkade.core.book.outcome import Matched


def draw_batch(
    chance: random.Random,
    *,
    slots: int,
    orders: int,
    nodes: int,
    whole_share: float = 0.5,
    by_slot_share: float = 0.5,
    steps: int = 2,
    prices: int = 12,
) -> Batch:
    """Limits are few whole numbers, so that there are ties; slots have 1 to 3 hours."""
    lengths = [chance.randint(1, 3) for _ in range(slots)]
    return Batch(
        boundaries=(7, *(7 + sum(lengths[: slot + 1]) for slot in range(slots))),
        orders=tuple(
            _draw_order(chance, number, slots, nodes, whole_share, by_slot_share, prices)
            for number in range(orders)
        ),
        asks=tuple(
            Step(slot=slot, nodes=chance.randint(1, nodes), price_micros=price)
            for slot in range(slots)
            for price in sorted(chance.randint(1, prices) for _ in range(chance.randint(0, steps)))
        ),
        bids=tuple(
            Step(slot=slot, nodes=chance.randint(1, nodes), price_micros=0)
            for slot in range(slots)
            if steps and chance.random() < 0.3
        ),
    )


def _draw_order(
    chance: random.Random,
    number: int,
    slots: int,
    nodes: int,
    whole_share: float,
    by_slot_share: float,
    prices: int,
) -> Order:
    start = chance.randrange(slots)
    end = chance.randint(start + 1, slots)
    wanted, limit = chance.randint(1, nodes), chance.randint(1, prices)
    name, org = f"o{number}", f"org-{number}"
    if chance.random() < 0.55:
        return Buy(
            order=name, org=org, start=start, end=end, nodes=wanted, limit_micros=limit,
            is_whole=chance.random() < whole_share,
        )  # fmt: skip
    return Sell(
        order=name, org=org, start=start, end=end, nodes=wanted, limit_micros=limit,
        is_by_slot=chance.random() < by_slot_share,
    )  # fmt: skip


def needed_of_operator(batch: Batch, matched: Matched) -> list[int]:
    """Nodes that orders buy of each slot, less those that they sell."""
    found = [0] * batch.slots
    buys = {order.order for order in batch.orders if isinstance(order, Buy)}
    for fill in matched.fills:
        for slot in range(fill.start, fill.end):
            found[slot] += fill.nodes if fill.order in buys else -fill.nodes
    return found


def operator_worth(batch: Batch, slot: int, nodes: int) -> int | None:
    """The greatest benefit of the operator from giving so many nodes of a slot (fewer than 0: it
    takes them); None: it has not as many."""
    hours = batch.hours(slot, slot + 1)
    asks = sorted(it.price_micros for it in batch.asks if it.slot == slot for _ in range(it.nodes))
    if nodes > len(asks):
        return None
    bids = sorted(
        (it.price_micros for it in batch.bids if it.slot == slot for _ in range(it.nodes)),
        reverse=True,
    )
    best: int | None = None
    for given in range(max(nodes, 0), len(asks) + 1):
        worth = hours * (sum(bids[: given - nodes]) - sum(asks[:given]))
        best = worth if best is None else max(best, worth)
    return best


def worth(batch: Batch, matched: Matched) -> int:
    """The benefit of all fills: limits of buyers less those of sellers, the operator's too."""
    orders = {order.order: order for order in batch.orders}
    total = 0
    for fill in matched.fills:
        order = orders[fill.order]
        value = order.limit_micros * batch.hours(fill.start, fill.end) * fill.nodes
        total += value if isinstance(order, Buy) else -value
    for slot, nodes in enumerate(needed_of_operator(batch, matched)):
        own = operator_worth(batch, slot, nodes)
        assert own is not None
        total += own
    return total


def best_worth(batch: Batch) -> int:
    """The greatest benefit of any fills, by trying all of them."""
    options: list[list[tuple[tuple[int, int, int], ...]]] = []
    for order in batch.orders:
        if isinstance(order, Buy) and order.is_whole:
            options.append([((order.start, order.end, nodes),) for nodes in (0, order.nodes)])
        elif isinstance(order, Buy) or not order.is_by_slot:
            options.append([((order.start, order.end, nodes),) for nodes in range(order.nodes + 1)])
        else:
            each = [
                [(slot, slot + 1, nodes) for nodes in range(order.nodes + 1)]
                for slot in range(order.start, order.end)
            ]
            options.append(list(itertools.product(*each)))
    cache: dict[tuple[int, int], int | None] = {}
    best = 0
    for chosen in itertools.product(*options):
        total = 0
        needed: dict[int, int] = defaultdict(int)
        for order, pieces in zip(batch.orders, chosen, strict=True):
            sign = 1 if isinstance(order, Buy) else -1
            for start, end, nodes in pieces:
                total += sign * nodes * order.limit_micros * batch.hours(start, end)
                for slot in range(start, end):
                    needed[slot] += sign * nodes
        for slot in range(batch.slots):
            key = slot, needed[slot]
            if key not in cache:
                cache[key] = operator_worth(batch, *key)
            own = cache[key]
            if own is None:
                break
            total += own
        else:
            best = max(best, total)
    return best


def supporting_span(batch: Batch, matched: Matched) -> list[list[int | None]]:
    """By pairs of boundaries (c, d): the most by which the price of d may exceed that of c, so that
    every order says yes to its fill; None: there is no such bound. Floyd and Warshall."""
    size = len(batch.boundaries)
    most: list[list[int | None]] = [
        [0 if a == b else None for b in range(size)] for a in range(size)
    ]

    def bound(start: int, end: int, by: int) -> None:
        known = most[start][end]
        most[start][end] = by if known is None else min(known, by)

    for start, end, limit, is_buy, nodes, filled in _interests(batch, matched):
        if filled > 0:
            bound(*((start, end, limit) if is_buy else (end, start, -limit)))
        if filled < nodes:
            bound(*((end, start, -limit) if is_buy else (start, end, limit)))
    for slot in range(batch.slots):
        bound(slot + 1, slot, 0)
    for middle, start, end in itertools.product(range(size), repeat=3):
        first, second = most[start][middle], most[middle][end]
        if first is not None and second is not None:
            bound(start, end, first + second)
    return most


def _interests(batch: Batch, matched: Matched) -> Iterator[tuple[int, int, int, bool, int, int]]:
    """(start, end, limit of the window, buys, nodes, filled) of each order and step."""
    left_out = set(matched.left_out)
    for order in batch.orders:
        fills = [fill for fill in matched.fills if fill.order == order.order]
        if isinstance(order, Sell) and order.is_by_slot:
            for slot in range(order.start, order.end):
                filled = sum(it.nodes for it in fills if it.start <= slot < it.end)
                limit = order.limit_micros * batch.hours(slot, slot + 1)
                yield slot, slot + 1, limit, False, order.nodes, filled
        elif order.order not in left_out:
            filled = sum(fill.nodes for fill in fills)
            limit = order.limit_micros * batch.hours(order.start, order.end)
            yield order.start, order.end, limit, isinstance(order, Buy), order.nodes, filled
    for slot, given in enumerate(needed_of_operator(batch, matched)):
        hours = batch.hours(slot, slot + 1)
        bids = sorted((it for it in batch.bids if it.slot == slot), key=lambda it: -it.price_micros)
        asks = sorted((it for it in batch.asks if it.slot == slot), key=lambda it: it.price_micros)
        best = operator_worth(batch, slot, given)
        count = sum(it.nodes for it in asks)
        sold = next(
            n
            for n in range(max(given, 0), count + 1)
            if hours * (_first(bids, n - given) - _first(asks, n)) == best
        )
        for steps, left, is_buy in ((asks, sold, False), (bids, sold - given, True)):
            for step in steps:
                filled = min(left, step.nodes)
                left -= filled
                yield slot, slot + 1, step.price_micros * hours, is_buy, step.nodes, filled
        if sold - given > sum(it.nodes for it in bids):
            yield slot, slot + 1, 0, True, 2, 1


def _first(steps: list[Step], nodes: int) -> int:
    """What the first nodes of some steps come to; beyond the last they are worth nothing."""
    prices = [step.price_micros for step in steps for _ in range(step.nodes)]
    return sum(prices[:nodes])
