"""A book of windows: benefit beside the optimum, what lies gain, and how long it takes.

    python benchmarks/book.py [--books 20] [--first 0]     benefit and blocks that are left out
    python benchmarks/book.py --lies                       what a lie gains
    python benchmarks/run.py --only book                   how long it takes

Chance books: three of five orders buy, windows are a tenth of the grid on average, gangs have up to
32 nodes, limits scatter by a quarter around a price that is greater by day, and the operator sells
128 nodes an hour in four steps. The optimum is HiGHS's, which knows no prices: a mixed-integer
program of the fills.

A lie is another limit (80 to 115 %), half the nodes, or all or nothing in place of parts and the
other way round. It gains what the liar's fills are worth by its true limit, less what they cost,
beyond that of the truth. Fewer nodes are worth nothing to an order that wants all or none.
"""

import argparse
import math
import random
import statistics
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from msgspec import structs

from benchmarks.figures import Figure, Kind, repeated_ms
from parkade.core.book.building import Built
from parkade.core.book.certificate import check_certificate
from parkade.core.book.matching import match
from parkade.core.book.orders import Batch, Buy, Order, Sell, Step
from parkade.core.book.outcome import Matched
from tests.core.book.drawn import worth

MICROS = 1_000_000
ROOM = 128
MOST_NODES = 32


def draw_book(
    chance: random.Random,
    slots: int,
    orders: int,
    *,
    whole: float = 0.5,
    by_slot: float = 1.0,
    most_nodes: int = MOST_NODES,
    room: int = ROOM,
) -> Batch:
    """A book of hours; `whole` and `by_slot` are shares of its buys and of its sells."""
    asks = tuple(
        Step(slot=slot, nodes=room // 4, price_micros=(90 + 15 * step) * MICROS // 10)
        for slot in range(slots)
        for step in range(4 if room else 0)
    )
    drawn = tuple(
        _draw_order(chance, number, slots, whole, by_slot, most_nodes) for number in range(orders)
    )
    return Batch(boundaries=tuple(range(slots + 1)), orders=drawn, asks=asks, bids=())


def _draw_order(
    chance: random.Random, number: int, slots: int, whole: float, by_slot: float, most_nodes: int
) -> Order:
    start = chance.randrange(slots)
    end = min(slots, start + 1 + int(chance.expovariate(10 / slots)))
    by_day = 1 + 0.2 * math.sin(start * math.pi / 12)
    limit = max(1, int(chance.gauss(10, 2.5) * by_day * MICROS))
    nodes, name = chance.randint(1, most_nodes), f"o{number}"
    if chance.random() < 0.6:
        return Buy(
            order=name, org=name, start=start, end=end, nodes=nodes, limit_micros=limit,
            is_whole=chance.random() < whole,
        )  # fmt: skip
    return Sell(
        order=name, org=name, start=start, end=end, nodes=nodes, limit_micros=limit,
        is_by_slot=chance.random() < by_slot,
    )  # fmt: skip


def optimum(batch: Batch) -> float:
    """The greatest benefit of any fills, by a mixed-integer program."""
    import highspy

    solver = highspy.Highs()
    solver.silent()
    infinite = highspy.kHighsInf
    balance: list[list[object]] = [[] for _ in range(batch.slots)]
    for order in batch.orders:
        sign = 1 if isinstance(order, Buy) else -1
        is_whole = isinstance(order, Buy) and order.is_whole
        windows = [(order.start, order.end)]
        if isinstance(order, Sell) and order.is_by_slot:
            windows = [(slot, slot + 1) for slot in range(order.start, order.end)]
        for start, end in windows:
            worth_each = sign * order.limit_micros * batch.hours(start, end) / MICROS
            count = order.nodes if is_whole else 1
            filled = solver.addVariable(
                lb=0,
                ub=1 if is_whole else order.nodes,
                obj=worth_each * count,
                type=highspy.HighsVarType.kInteger
                if is_whole
                else highspy.HighsVarType.kContinuous,
            )
            for slot in range(start, end):
                balance[slot].append(filled * (sign * count))
    for sign, steps in ((-1, batch.asks), (1, batch.bids)):
        for step in steps:
            worth_each = sign * step.price_micros * batch.hours(step.slot, step.slot + 1) / MICROS
            filled = solver.addVariable(lb=0, ub=step.nodes, obj=worth_each)
            balance[step.slot].append(filled * sign)
    for terms in balance:
        if terms:
            solver.addConstr(-infinite <= solver.qsum(terms) <= 0)
    solver.setMaximize()
    solver.setOptionValue("time_limit", 60.0)
    solver.setOptionValue("mip_rel_gap", 1e-6)
    solver.run()
    return float(solver.getInfo().objective_function_value)


CASES: dict[str, tuple[int, int, dict[str, Any]]] = {
    "all divisible": (168, 200, {"whole": 0.0}),
    "half whole, sells by the hour": (168, 200, {}),
    "half whole, sells of windows": (168, 200, {"by_slot": 0.0}),
    "all whole, sells by the hour": (168, 200, {"whole": 1.0}),
    "all whole, at most 8 nodes": (168, 200, {"whole": 1.0, "most_nodes": 8}),
    "half whole, 672 hours": (672, 500, {}),
    "12 orders without an operator, half whole": (24, 12, {"room": 0, "most_nodes": 6}),
    "the same, all whole": (24, 12, {"room": 0, "most_nodes": 6, "whole": 1.0}),
}


def print_benefit(books: int, first: int) -> None:
    """A line for each kind of book."""
    print("| books of hours x orders | benefit, least to mean, of the optimum | left out inside |")
    print("|---|---|---|")
    for name, (slots, orders, knobs) in CASES.items():
        ratios: list[float] = []
        inside = blocks = 0
        for seed in range(first, first + (books if slots < 500 else max(1, books // 5))):
            batch = draw_book(random.Random(seed), slots, orders, **knobs)
            found = match(batch)
            best = optimum(batch)
            ratios.append(worth(batch, found) / MICROS / best if best > 0 else 1.0)
            blocks += sum(isinstance(it, Buy) and it.is_whole for it in batch.orders)
            inside += len(left_out_inside(batch, found))
        share = f"{min(ratios):.4f} – {statistics.fmean(ratios):.4f}"
        print(f"| {slots} x {orders}, {name} | {share} | {inside} of {blocks} |", flush=True)


def left_out_inside(batch: Batch, found: Matched) -> list[str]:
    """Blocks that trade nothing although their limits are above the prices."""
    return [
        order.order
        for order in batch.orders
        if order.order in set(found.left_out)
        and batch.limit_of(order) > found.price_of(order.start, order.end)
    ]


def lies_of(order: Order) -> Iterator[Order]:
    """Seven of them."""
    for percent in (80, 90, 95, 105, 115):
        yield structs.replace(order, limit_micros=max(1, order.limit_micros * percent // 100))
    yield structs.replace(order, nodes=max(1, order.nodes // 2))
    match order:
        case Buy():
            yield structs.replace(order, is_whole=not order.is_whole)
        case Sell():
            yield structs.replace(order, is_by_slot=not order.is_by_slot)


def surplus(batch: Batch, found: Matched, order: Order) -> int:
    """What an order's fills are worth by its limit, less what they cost."""
    sign = 1 if isinstance(order, Buy) else -1
    total = 0
    for fill in found.fills:
        if fill.order == order.order:
            value = order.limit_micros * batch.hours(fill.start, fill.end)
            total += sign * fill.nodes * (value - found.price_of(fill.start, fill.end))
    return total


def best_lie(batch: Batch, found: Matched, place: int) -> float:
    """The most that a lie of one order gains, as a part of what the order is worth; an order of
    less than its nodes is worth nothing to one that wants all or none."""
    order = batch.orders[place]
    honest, best = surplus(batch, found, order), 0
    for lie in lies_of(order):
        changed = structs.replace(
            batch, orders=(*batch.orders[:place], lie, *batch.orders[place + 1 :])
        )
        answered = match(changed)
        nodes = sum(it.nodes for it in answered.fills if it.order == order.order)
        if isinstance(order, Buy) and order.is_whole and nodes < order.nodes:
            cost = batch.limit_of(order) * nodes - surplus(batch, answered, order)
            best = max(best, -cost - honest)
            continue
        best = max(best, surplus(batch, answered, order) - honest)
    return best / (batch.limit_of(order) * order.nodes)


def print_lies() -> None:
    """A line for each size of book."""
    print("| orders | traders that a lie serves | mean gain over all | greatest |")
    print("|---|---|---|---|")
    for orders, books in ((20, 12), (60, 4), (150, 1)):
        gains = []
        for seed in range(books):
            batch = draw_book(random.Random(seed), 48, orders, by_slot=0.5)
            found = match(batch)
            gains += [best_lie(batch, found, place) for place in range(orders)]
        served = sum(gain > 0 for gain in gains) / len(gains)
        mean = statistics.fmean(gains)
        print(f"| {orders} | {served:.1%} | {mean:.2%} | {max(gains):.1%} |", flush=True)


def figures(*, quick: bool) -> list[Figure]:
    """How long a batch takes."""
    found = []
    sizes = ((24, 20),) if quick else ((168, 200), (672, 500), (826, 1000))
    for slots, orders in sizes:
        batch = draw_book(random.Random(1), slots, orders)
        matched = match(batch)
        repeat = 1 if quick or orders > 500 else 3
        size = f"{slots}x{orders}"
        found += [
            _figure(f"book.match_{size}", repeated_ms(partial(match, batch), repeat), "a batch"),
            _figure(
                f"book.check_{size}",
                repeated_ms(partial(check_certificate, batch, matched), repeat),
                "its certificate",
            ),
            _figure(f"book.one_more_{size}", _one_more_ms(batch), "one order more in it"),
        ]
    return found


def _one_more_ms(batch: Batch) -> tuple[float, ...]:
    """Of the last 20 orders each, put into the book of all the others."""
    built = Built(batch)
    last = list(built.arcs)[-20:]
    for place in built.arcs:
        if place not in last:
            built.network.fill(built.arcs[place], built.nodes(place))
    return tuple(
        repeated_ms(partial(built.network.fill, built.arcs[place], built.nodes(place)), 1)[0]
        for place in last
    )


def _figure(name: str, values: tuple[float, ...], what: str) -> Figure:
    return Figure(name=name, kind=Kind.DECISION, unit="ms", values=values, what=what)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--books", type=int, default=20, help="of each kind")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--lies", action="store_true", help="what lies gain")
    asked = parser.parse_args()
    if asked.lies:
        print_lies()
    else:
        print_benefit(asked.books, asked.first)


if __name__ == "__main__":
    main()
