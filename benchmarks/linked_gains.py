"""What lies gain a bid in one clearing of small random markets that bids link, from a seed.

    python benchmarks/linked_gains.py [MARKETS]

Two or three markets of one fabric, more demand than nodes, half of the bids with a list, the market
in which the run is worth most first. A run is worth its limit in each market that it names; the
gain is what a lie changes of worth less price, where it wins. Lies: another limit in all its
markets, one market fewer, and its markets in another order. A bid of one market that names a
second, in which the run is worth as much, does not lie: it is told beside. docs/market.md has the
figures.
"""

import random
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator

from msgspec.structs import replace

from parkade.core.fleet.seat import Seat
from parkade.core.market.clear import clear
from parkade.core.market.linked import clear_linked
from parkade.core.market.market_state import (
    ClearingTerms,
    Demand,
    MarketState,
    NodeInPlay,
    PriorityTier,
)
from parkade.core.market.outcome import Clearing
from parkade.core.units.fraction import Fraction

SEED = 210
GPUS = 8
MICROS = 1_000_000
HIGHEST = 12
TERMS = ClearingTerms(
    public_floor_micros=MICROS,
    pay_as_you_go_micros=HIGHEST * MICROS,
    fee=Fraction(numerator=2, denominator=7),
    switching_credit=Fraction(numerator=1, denominator=20),
    supplier_account="operator",
    operator_account="operator",
)

Limits = dict[str, int]
"""By market, in the order of the wishes."""


class Bidder:
    """A gang of whole nodes, with a limit in each market that it names, and where it runs."""

    def __init__(self, number: int, nodes: int, limits: Limits, seats: tuple[str, ...]) -> None:
        self.name, self.number, self.nodes = f"w{number}", number, nodes
        self.limits, self.seats = limits, seats

    def demand(self, market: str, limit: int) -> Demand:
        """What it is there; it runs in the first market alone."""
        runs = bool(self.seats) and market == next(iter(self.limits))
        seats = tuple(Seat(node=node, gpus=GPUS) for node in self.seats) if runs else ()
        return Demand(
            demand=self.name,
            org=self.name,
            tier=PriorityTier.SPOT,
            nodes=self.nodes,
            gpus=GPUS,
            any_fabric=False,
            reservation=None,
            priority=0,
            limit_micros=limit,
            use_7_days=0,
            submitted_us=self.number,
            seats=seats,
            floor_micros=MICROS if seats else 0,
        )


def drawn(chance: random.Random) -> tuple[dict[str, int], list[Bidder]]:
    """(nodes by market, those that bid)."""
    sizes = {f"m{at}": chance.randint(2, 8) for at in range(chance.choice((2, 2, 3)))}
    free = {market: [f"{market}-{at}" for at in range(size)] for market, size in sizes.items()}
    bidders = []
    for number in range(chance.randint(6, 16)):
        named = chance.sample(list(sizes), chance.choice((1, 1, 2, len(sizes))))
        nodes = chance.choice((1, 1, 1, 2, 3))
        worths = sorted((chance.randint(1, HIGHEST) * MICROS for _ in named), reverse=True)
        limits = dict(zip(named, worths, strict=True))
        seats: tuple[str, ...] = ()
        if chance.random() < 0.4 and len(free[named[0]]) >= nodes:
            seats = tuple(free[named[0]].pop() for _ in range(nodes))
        bidders.append(Bidder(number, nodes, limits, seats))
    return sizes, bidders


def cleared(sizes: dict[str, int], bids: dict[str, tuple[Bidder, Limits]]) -> dict[str, float]:
    """By `market/bid`, what winners pay for each GPU-hour."""
    states = {}
    for market, size in sizes.items():
        nodes = tuple(
            NodeInPlay(node=f"{market}-{at}", fabric="f", gpus=GPUS, is_open=True, free_from_us=0)
            for at in range(size)
        )
        demands = tuple(
            bidder.demand(market, limits[market])
            for bidder, limits in bids.values()
            if market in limits
        )
        states[market] = MarketState(
            gpus_per_node=GPUS, terms=TERMS, nodes=nodes, reservations=(), demands=demands
        )
    lists = {name: tuple(limits) for name, (_, limits) in bids.items() if len(limits) > 1}

    def one(market: str, asking: frozenset[str]) -> Clearing:
        known = states[market]
        there = tuple(it for it in known.demands if it.demand not in lists or it.demand in asking)
        return clear(replace(known, demands=there))

    found = clear_linked(tuple(sizes), lists, one)
    return {
        f"{market}/{line.demand}": line.price_micros
        for market, outcome in found.outcomes.items()
        for line in outcome.lines
        if line.seats and found.stands_in.get(line.demand, market) == market
    }


def surplus(bidder: Bidder, worth: Limits, won: dict[str, float]) -> float:
    """What its run is worth an hour less what it pays, for each of its GPUs."""
    markets = [it for it in worth if f"{it}/{bidder.name}" in won]
    assert len(markets) <= 1, f"{bidder.name} has seats in {markets}"
    return sum(worth[it] - won[f"{it}/{bidder.name}"] for it in markets)


def lies(bidder: Bidder, sizes: dict[str, int]) -> Iterator[tuple[str, Limits]]:
    """(kind, the limits that it says)."""
    true = bidder.limits
    form = "a list" if len(true) > 1 else "one market"
    for part in (0.5, 0.8, 1.25, 2):
        changed = {market: max(1, round(limit * part)) for market, limit in true.items()}
        yield f"another limit, {form}", changed
    if len(true) > 1:
        for market in true:
            if market != next(iter(true)) or not bidder.seats:
                yield "one market fewer", {it: true[it] for it in true if it != market}
        if not bidder.seats:
            yield "another order", dict(reversed(true.items()))
    elif not bidder.seats or len(sizes) > 1:
        for market in sizes:
            if market not in true:
                yield "one market more", true | {market: next(iter(true.values()))}


def main() -> None:
    """Prints a line for each kind of lie."""
    chance = random.Random(SEED)
    markets = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    told: dict[str, list[float]] = defaultdict(list)
    for _ in range(markets):
        sizes, bidders = drawn(chance)
        true = {it.name: (it, it.limits) for it in bidders}
        before = cleared(sizes, true)
        for bidder in bidders:
            worth = dict.fromkeys(sizes, max(bidder.limits.values())) | bidder.limits
            if len(bidder.limits) == 1:
                worth = dict.fromkeys(sizes, next(iter(bidder.limits.values())))
            honest = surplus(bidder, worth, before)
            for kind, said in lies(bidder, sizes):
                after = cleared(sizes, true | {bidder.name: (bidder, said)})
                gain = surplus(bidder, worth, after) - honest
                told[kind].append(gain / max(worth.values()))
    for kind, gains in sorted(told.items()):
        better = [it for it in gains if it > 1e-9]
        mean = f"{statistics.mean(better):.0%} mean, {max(better):.0%} most" if better else "none"
        rest = statistics.mean(gains)
        print(f"{kind}: {len(better):,} of {len(gains):,} gain ({mean}); all together {rest:+.1%}")


if __name__ == "__main__":
    main()
