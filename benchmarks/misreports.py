"""What a lie about the limit gains in one clearing, where the market does not claim that none does.

    python benchmarks/misreports.py [--markets 4000] [--first 0]
    python benchmarks/misreports.py --aside 4000
    make misreports

Chance markets of up to 24 nodes in up to three fabrics: running and new bids, whole nodes and parts
of one, two floors. Each spot demand names other limits, and gains what its price falls below its
limit more than with the truth. A line for each kind of bidder: how many lies were tried, how many
gain, the mean and greatest gain as a part of the limit, and the mean over all lies. "Yield" is the
allocation that is tried again for a gang that has waited; each market has one that bids up to 5 %
more than a running bid, and is cleared with the rule and without it. `--aside`: of so many markets
made for it those in which a newcomer steps aside for running work (decision record 97).
"""

import argparse
import random
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from msgspec import structs

from parkade.core.fleet.seat import Seat
from parkade.core.market.allocation import allocate
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
from parkade.core.market.priority import mates_of
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import MICROS
from tests.core.market.test_stepping_aside import stepping_market

GPUS = 8
LIES = 4
"""Other limits tried for each demand."""

TERMS = ClearingTerms(
    public_floor_micros=MICROS,
    pay_as_you_go_micros=12 * MICROS,
    fee=Fraction(numerator=1, denominator=10),
    switching_credit=Fraction(numerator=1, denominator=20),
    supplier_account="supplier",
    operator_account="operator",
)


def draw_market(chance: random.Random) -> MarketState:
    """A full market in its second clearing, with newcomers, of which one gang has waited."""
    nodes = tuple(
        NodeInPlay(node=f"{name}-{n}", fabric=name, gpus=GPUS, is_open=True, free_from_us=0)
        for name in ("amber", "birch", "cedar")[: chance.randint(1, 3)]
        for n in range(chance.randint(2, 8))
    )
    lent = ReservationInForce(
        reservation="acme",
        org="acme",
        account="org/acme",
        created_us=0,
        shape=(("amber", 2),),
        floor_micros=3 * MICROS,
        keep=0,
    )
    state = MarketState(
        gpus_per_node=GPUS,
        terms=TERMS,
        nodes=nodes,
        reservations=(lent,) if chance.random() < 0.5 else (),
        demands=tuple(_draw(chance, f"old-{n:02}") for n in range(chance.randint(4, 30))),
    )
    seats: dict[str, tuple[Seat, ...]] = {it.demand: it.seats for it in clear(state).lines}
    running = [structs.replace(it, seats=seats[it.demand]) for it in state.demands]
    new = [_draw(chance, f"new-{n:02}") for n in range(chance.randint(1, 8))]
    beside = chance.choice([it.limit_micros or 0 for it in running if it.seats])
    waiting = structs.replace(
        _draw(chance, "waits"),
        nodes=chance.randint(2, 4),
        gpus=GPUS,
        ranks_per_node=1,
        has_waited=True,
        limit_micros=round(beside * chance.uniform(1, 1.05)),
    )
    return structs.replace(state, demands=(*running, *new, waiting))


def _draw(chance: random.Random, name: str) -> Demand:
    below = chance.random() < 0.35
    gpus = chance.choice((1, 2, 4)) if below else GPUS
    return Demand(
        demand=name,
        org=f"org-{chance.randrange(4)}" if below else name,
        tier=PriorityTier.SPOT,
        nodes=chance.choice((1, 1, 2, 3) if below else (1, 1, 1, 2, 2, 4)),
        gpus=gpus,
        ranks_per_node=GPUS // gpus,
        any_fabric=False,
        reservation=None,
        priority=0,
        limit_micros=chance.randint(MICROS, 10 * MICROS),
        use_7_days=0,
        submitted_us=chance.randrange(1000),
        seats=(),
        moves_if_cheaper=chance.random() < 0.3,
    )


def kind_of(demand: Demand, state: MarketState, sharing: frozenset[str]) -> str:
    """The kind of bidder, as the table names it."""
    if demand.has_waited:
        return "the gang that has waited"
    size = "whole nodes" if demand.gpus == state.gpus_per_node else "below a node"
    if not demand.seats:
        return f"new, {size}"
    if demand.demand in sharing:
        return "running, shares a node as one bid"
    moves = "moves if cheaper" if demand.moves_if_cheaper else "moves when needed"
    return f"running, {size}, {moves}"


def gains(state: MarketState, chance: random.Random) -> Iterator[tuple[str, float]]:
    """(kind, part of the limit gained) of each lie; 0 or less where it gains nothing."""
    truthful = _surplus(state, clear(state))
    sharing = frozenset(mates_of(state))
    for demand in state.demands:
        limit = demand.limit_micros
        assert limit is not None
        for _ in range(LIES):
            told = max(0, round(limit * chance.choice((0.9, 0.97, 1.03, 1.1, chance.random() * 2))))
            lying = structs.replace(demand, limit_micros=told)
            others = tuple(lying if it is demand else it for it in state.demands)
            price = _price(clear(structs.replace(state, demands=others)), demand.demand)
            gained = (limit - price if price is not None else 0) - truthful[demand.demand]
            yield kind_of(demand, state, sharing), gained / limit


def _price(clearing: Clearing, name: str) -> int | None:
    line = next(it for it in clearing.lines if it.demand == name)
    return line.price_micros if line.seats else None


def _surplus(state: MarketState, clearing: Clearing) -> dict[str, int]:
    prices = {it.demand: it.price_micros for it in clearing.lines if it.seats}
    limits = {it.demand: it.limit_micros or 0 for it in state.demands}
    return {name: limit - prices.get(name, limit) for name, limit in limits.items()}


def measure_aside(markets: int) -> tuple[dict[str, list[float]], int]:
    """Gains by kind in those of so many markets in which a newcomer steps aside; how many."""
    found: dict[str, list[float]] = {}
    decided = 0
    for seed in range(markets):
        state = stepping_market(seed)
        if all(it.goes_to < 0 for it in allocate(state).bids):
            continue
        decided += 1
        for kind, gained in gains(state, random.Random(seed)):
            found.setdefault(kind, []).append(gained)
    return found, decided


def measure(first: int, markets: int, *, has_yield: bool) -> tuple[dict[str, list[float]], int]:
    """Gains by kind, and in how many markets the gang that has waited won by the rule."""
    found: dict[str, list[float]] = {}
    won = 0
    for seed in range(first, first + markets):
        chance = random.Random(seed)
        state = draw_market(chance)
        if not has_yield:
            plain = (structs.replace(it, has_waited=False) for it in state.demands)
            state = structs.replace(state, demands=tuple(plain))
        won += any(it.gives_way for it in allocate(state).ordered)
        for kind, gained in gains(state, chance):
            found.setdefault(kind, []).append(gained)
    return found, won


def main() -> None:
    """Print both tables, or that of newcomers that step aside."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--markets", type=int, default=600)
    parser.add_argument("--first", type=int, default=0, help="seed of the first market")
    parser.add_argument("--aside", type=int, help="so many markets made for stepping aside instead")
    options = parser.parse_args()
    if options.aside is not None:
        found, decided = measure_aside(options.aside)
        _print(found, f"stepping aside decides {decided} of {options.aside} markets")
        return
    for has_yield in (False, True):
        found, won = measure(options.first, options.markets, has_yield=has_yield)
        _print(found, f"with yield: it decides {won}" if has_yield else "no yield")


def _print(found: dict[str, list[float]], title: str) -> None:
    print(f"{title}\n{'bidder':<44}{'lies':>8}{'gain':>7}{'mean':>8}{'most':>8}{'all':>9}")
    for kind, every in sorted(found.items()):
        gaining = [it for it in every if it > 1e-6]
        mean = sum(gaining) / len(gaining) if gaining else 0
        print(
            f"{kind:<44}{len(every):>8,}{len(gaining):>7,}{mean:>8.1%}"
            f"{max(gaining, default=0):>8.1%}{sum(every) / len(every):>9.2%}"
        )


if __name__ == "__main__":
    main()
