"""What three known misreports gain in one clearing of small random markets, from a seed.

    python benchmarks/market_gains.py [MARKETS]

Splitting: a gang of whole nodes bids as singles at the same limit per GPU-hour instead. A lender
that also bids: an org that lends its whole reservation adds one bid of its own, at each of several
limits, and keeps what earns it most; its surplus is what it is paid, and for its own bid what the
run is worth to it (half of the highest limit) less what it pays. Pushing out together: an org with
two or three runs of one node, worth no more than half of the highest limit each, bids the highest
for all of them. docs/market.md has the figures.
"""

import random
import statistics
import sys

from msgspec.structs import replace

from parkade.core.market.clear import clear
from parkade.core.market.market_state import (
    ClearingTerms,
    Demand,
    MarketState,
    NodeInPlay,
    PriorityTier,
    ReservationInForce,
)
from parkade.core.market.outcome import Clearing
from parkade.core.units.fraction import Fraction

SEED = 6
GPUS = 8
MICROS = 1_000_000
HIGHEST = 12
LENDER = "lender"


def bid(name: str, org: str, nodes: int, limit: int) -> Demand:
    """A newcomer's bid for whole nodes, micro-units per GPU-hour."""
    return Demand(
        demand=name,
        org=org,
        tier=PriorityTier.SPOT,
        nodes=nodes,
        gpus=GPUS,
        any_fabric=False,
        reservation=None,
        priority=0,
        limit_micros=limit,
        use_7_days=0,
        submitted_us=int(name[1:].partition("_")[0]),
        seats=(),
    )


def market(chance: random.Random) -> MarketState:
    """Two fabrics, more demand than nodes, and a lender of a third of them."""
    sizes = {fabric: chance.randint(3, 8) for fabric in ("a", "b")}
    nodes = tuple(
        NodeInPlay(node=f"{fabric}{number}", fabric=fabric, gpus=GPUS, is_open=True, free_from_us=0)
        for fabric, count in sizes.items()
        for number in range(count)
    )
    lent = ReservationInForce(
        reservation="r",
        org=LENDER,
        account="org/lender",
        created_us=0,
        shape=(("a", max(1, sizes["a"] // 2)),),
        floor_micros=chance.randint(1, 6) * MICROS,
        keep=0,
    )
    demands = tuple(
        bid(f"d{number}", f"o{number}", chance.choice((1, 1, 2, 4)), chance.randint(1, 120) * 10**5)
        for number in range(1, chance.randint(6, 16))
    )
    terms = ClearingTerms(
        public_floor_micros=MICROS,
        pay_as_you_go_micros=HIGHEST * MICROS,
        fee=Fraction(numerator=2, denominator=7),
        switching_credit=Fraction(numerator=1, denominator=20),
        supplier_account="operator",
        operator_account="operator",
    )
    return MarketState(
        gpus_per_node=GPUS, terms=terms, nodes=nodes, reservations=(lent,), demands=demands
    )


def paid(outcome: Clearing, prefix: str) -> int | None:
    """What the demands of a name, or its parts, pay per hour; None where not all of them won."""
    parts = [line for line in outcome.lines if line.demand.partition("_")[0] == prefix]
    if not all(line.seats for line in parts):
        return None
    return sum(line.price_micros * GPUS * len(line.seats) for line in parts)


def splitting(chance: random.Random, markets: int) -> str:
    """What gangs that bid as singles pay of what they paid, and how often they win."""
    shares, whole_wins, split_wins = [], 0, 0
    for _ in range(markets):
        state = market(chance)
        gangs = [demand for demand in state.demands if demand.nodes > 1]
        if not gangs:
            continue
        gang = chance.choice(gangs)
        singles = tuple(
            replace(gang, demand=f"{gang.demand}_{part}", nodes=1) for part in range(gang.nodes)
        )
        others = tuple(demand for demand in state.demands if demand is not gang)
        whole = paid(clear(state), gang.demand)
        split = paid(clear(replace(state, demands=(*others, *singles))), gang.demand)
        whole_wins += whole is not None
        split_wins += split is not None
        if whole and split is not None:
            shares.append(split / whole)
    mean = sum(shares) / len(shares)
    return (
        f"splitting: pays {mean:.0%} on average ({len(shares)} gangs that win both ways);"
        f" as a gang {whole_wins} win, split {split_wins}"
    )


def surplus(state: MarketState, own: Demand | None, worth: int) -> float:
    """What the lender has per hour: what it is paid, and its own run's worth less its price."""
    demands = state.demands if own is None else (*state.demands, own)
    outcome = clear(replace(state, demands=demands))
    earned = sum(
        micros for line in outcome.lines for account, micros in line.shares if "lender" in account
    )
    if own is None:
        return earned
    line = next(line for line in outcome.lines if line.demand == own.demand)
    return earned + ((worth - line.price_micros) * GPUS if line.seats else 0)


def lending(chance: random.Random, markets: int) -> str:
    """How often a lender gains by another limit than what its run is worth, and how much."""
    gains = []
    for _ in range(markets):
        state = market(chance)
        worth = HIGHEST * MICROS // 2
        honest = surplus(state, bid("d99", LENDER, 1, worth), worth)
        limits = [chance.randint(1, HIGHEST * 10) * 10**5 for _ in range(12)]
        best = max(surplus(state, bid("d99", LENDER, 1, limit), worth) for limit in limits)
        if best > honest * (1 + 1e-9) and honest > 0:
            gains.append(best / honest - 1)
    middle = statistics.median(gains) if gains else 0.0
    return (
        f"a lender that also bids gains in {len(gains)} of {markets} markets,"
        f" in the middle one of them {middle:.0%}"
    )


def together(chance: random.Random, markets: int) -> str:
    """How often bids that push others out together gain by lying, and how much of what they are
    worth: by running at the floor where a gang stood, or otherwise."""
    gains: list[float] = []
    by_gang = 0
    lost = total = 0.0
    for _ in range(markets):
        state = market(chance)
        worths = [chance.randint(1, HIGHEST * 5) * 10**5 for _ in range(chance.choice((2, 2, 3)))]
        honest, before = _surplus_of(state, worths, worths)
        lied, after = _surplus_of(state, worths, [HIGHEST * MICROS] * len(worths))
        total += sum(worths) * GPUS
        lost += lied - honest
        if lied > honest:
            gains.append((lied - honest) / (sum(worths) * GPUS))
            winners = {line.demand for line in before.lines if line.seats}
            gone = [it for it in after.lines if it.demand in winners and not it.seats]
            by_gang += any(_nodes(state, it.demand) > 1 for it in gone)
    return (
        f"bids that lie together gain in {len(gains)} of {markets} markets, {by_gang} of these by"
        f" pushing out a gang: {statistics.mean(gains):.0%} of what they are worth on average,"
        f" {max(gains):.0%} at most; all lies together {lost / total:+.0%}"
    )


def _surplus_of(state: MarketState, worths: list[int], limits: list[int]) -> tuple[float, Clearing]:
    """What the runs of one org are worth an hour less what they pay, of those that win."""
    own = {f"d9{number}": worth for number, worth in enumerate(worths)}
    bids = tuple(bid(name, "pair", 1, limit) for name, limit in zip(own, limits, strict=True))
    outcome = clear(replace(state, demands=(*state.demands, *bids)))
    won = [line for line in outcome.lines if line.demand in own and line.seats]
    return sum((own[it.demand] - it.price_micros) * GPUS for it in won), outcome


def _nodes(state: MarketState, name: str) -> int:
    return next((it.nodes for it in state.demands if it.demand == name), 1)


def main() -> None:
    """Prints the figures."""
    markets = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    print(splitting(random.Random(SEED), markets))
    print(lending(random.Random(SEED + 1), markets))
    print(together(random.Random(SEED + 2), markets))


if __name__ == "__main__":
    main()
