"""How long a clearing takes, and how that grows; decision only, nothing is stored or launched.

    python benchmarks/clearing.py [--full]
    python benchmarks/clearing.py --below

Markets are drawn from a seed: fabrics of 125 nodes, gangs of 1 to 16 nodes and one workload in ten
below a node, about 1.7 times the capacity in demand, a quarter of the nodes lent at a second floor.
`--full` adds the market of 12,544 nodes and 10,000 workloads. `--below`: processor time at 1,000
nodes with 40 % gangs below a node, 5 % replaced: there running bids lose beside which all winners
may fit (decision records 94 and 97).
"""

import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

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
from parkade.core.market.prices.critical_values import price_all
from parkade.core.market.prices.reruns import price_winner
from parkade.core.market.seating.seat import seat
from parkade.core.units.fraction import Fraction

FABRIC_NODES = 125
GPUS = 8


class Row(NamedTuple):
    """One measurement: medians in milliseconds."""

    nodes: int
    workloads: int
    market: str
    allocation_ms: float
    with_seating_ms: float
    with_prices_ms: float
    whole_clearing_ms: float
    rerun_ms: float


def draw_market(nodes: int, workloads: int, seed: int = 7, below: float = 0) -> MarketState:
    """A market in which no demand has seats."""
    chance = random.Random(seed)
    names = [(f"fabric-{n // FABRIC_NODES:03}", f"node-{n:05}") for n in range(nodes)]
    lent: dict[str, int] = {}
    for fabric, _ in names:
        lent[fabric] = lent.get(fabric, 0) + 1
    shape = tuple((fabric, count // 4) for fabric, count in sorted(lent.items()) if count >= 4)
    return MarketState(
        gpus_per_node=GPUS,
        terms=ClearingTerms(
            public_floor_micros=500_000,
            pay_as_you_go_micros=4_000_000,
            fee=Fraction(numerator=1, denominator=10),
            switching_credit=Fraction(numerator=1, denominator=20),
            supplier_account="supplier",
            operator_account="operator",
        ),
        nodes=tuple(
            NodeInPlay(node=node, fabric=fabric, gpus=GPUS, is_open=True, free_from_us=0)
            for fabric, node in names
        ),
        reservations=(
            ReservationInForce(
                reservation="lender",
                org="lender",
                account="lender",
                created_us=0,
                shape=shape,
                floor_micros=700_000,
                keep=0,
            ),
        ),
        demands=tuple(_draw_demand(chance, n, nodes / workloads, below) for n in range(workloads)),
    )


def _draw_demand(chance: random.Random, number: int, size: float, below: float = 0) -> Demand:
    sizes = (1, 1, 1, 1, 2, 2, 4, 4) if size <= 1.2 else (1, 1, 1, 2, 2, 4, 8, 16)
    nodes, gpus = chance.choice(sizes), GPUS
    if chance.random() < 0.1:
        nodes, gpus = 1, chance.choice((1, 2, 4))
    each = 1
    if below and chance.random() < below:
        nodes, gpus = chance.choice((2, 2, 3, 4)), chance.choice((1, 2, 3, 5))
        each = chance.choice((1, GPUS // gpus))
    return Demand(
        demand=f"workload-{number:05}",
        org=f"org-{chance.randrange(40):02}",
        tier=PriorityTier.SPOT,
        nodes=nodes,
        gpus=gpus,
        any_fabric=False,
        reservation=None,
        priority=0,
        limit_micros=chance.randint(400_000, 3_000_000),
        use_7_days=0,
        submitted_us=number,
        seats=(),
        ranks_per_node=each,
    )


def seated(state: MarketState) -> MarketState:
    """The market once its clearing was carried out."""
    seats = {line.demand: line.seats for line in clear(state).lines}
    demands = (msgspec.structs.replace(it, seats=seats[it.demand]) for it in state.demands)
    return msgspec.structs.replace(state, demands=tuple(demands))


def replaced(
    state: MarketState, share: float = 0.01, seed: int = 8, below: float = 0
) -> MarketState:
    """The market with this share of its workloads gone and as many newcomers."""
    chance = random.Random(seed)
    count = max(1, int(len(state.demands) * share))
    gone = set(chance.sample(range(len(state.demands)), count))
    demands = [it for at, it in enumerate(state.demands) if at not in gone]
    size = len(state.nodes) / len(state.demands)
    demands += [_draw_demand(chance, 90_000 + n, size, below) for n in range(count)]
    return msgspec.structs.replace(state, demands=tuple(demands))


def median_ms(work: Callable[[], object], repeat: int) -> float:
    """Median time of a call."""
    found = []
    for _ in range(repeat):
        before = time.perf_counter()
        work()
        found.append((time.perf_counter() - before) * 1000)
    return statistics.median(found)


def measure(state: MarketState, market: str, repeat: int = 5) -> Row:
    """Time the stages of one clearing, and estimate the re-run for each winner from a sample."""
    allocation = allocate(state)
    prices = price_all(state, allocation)
    won = [at for at, parts in enumerate(allocation.bid_parts) if parts is not None]
    sample = won[:: max(1, len(won) // 12)]
    rerun = median_ms(lambda: [price_winner(allocation, at) for at in sample], 1)
    allocating = median_ms(lambda: allocate(state), repeat)
    seating = median_ms(lambda: seat(state, allocation, prices), repeat)
    pricing = median_ms(lambda: price_all(state, allocation), repeat)
    return Row(
        nodes=len(state.nodes),
        workloads=len(state.demands),
        market=market,
        allocation_ms=allocating,
        with_seating_ms=allocating + seating,
        with_prices_ms=allocating + seating + pricing,
        whole_clearing_ms=median_ms(lambda: clear(state), repeat),
        rerun_ms=rerun / len(sample) * len(won),
    )


def rows(*, sizes: tuple[tuple[int, int], ...], repeat: int = 5) -> list[Row]:
    """Measurements of markets all new, all seated and with one in a hundred replaced."""
    found = []
    for nodes, workloads in sizes:
        new = draw_market(nodes, workloads)
        running = seated(seated(new))
        found.append(measure(new, "all new", repeat))
        found.append(measure(running, "all seated", repeat))
        found.append(measure(replaced(running), "1 % replaced", repeat))
    return found


def measure_below() -> None:
    """Print the processor time of a clearing, and of its allocation, with many gangs below a
    node."""
    for workloads in (600, 1_600):
        running = seated(seated(draw_market(1_000, workloads, below=0.4)))
        state = replaced(running, 0.05, below=0.4)
        for name, work in (("clearing", clear), ("allocation", allocate)):
            found = []
            for _ in range(5):
                before = time.process_time()
                work(state)
                found.append((time.process_time() - before) * 1000)
            print(
                f"{workloads} workloads, {name}: {statistics.median(found):.0f} ms of a processor"
            )


GROWTH = tuple((size, size) for size in (250, 500, 1000, 2000, 4000))


def main() -> None:
    """Print the table."""
    if "--below" in sys.argv:
        measure_below()
        return
    sizes = (*GROWTH, (12_544, 10_000)) if "--full" in sys.argv else GROWTH
    print(
        f"{'nodes':>6} {'work':>6} {'market':>13} {'alloc.':>9} {'+ seating':>10} {'+ prices':>10} "
        f"{'clearing':>10} {'re-run':>10} {'ratio':>7}   (medians, ms)"
    )
    for size in sizes:
        for row in rows(sizes=(size,), repeat=5 if size[0] <= 2000 else 3):
            priced = row.with_prices_ms - row.with_seating_ms
            print(
                f"{row.nodes:>6} {row.workloads:>6} {row.market:>13} {row.allocation_ms:>9.1f} "
                f"{row.with_seating_ms:>10.1f} {row.with_prices_ms:>10.1f} "
                f"{row.whole_clearing_ms:>10.1f} {row.rerun_ms:>10.0f} "
                f"{row.rerun_ms / priced:>6.0f}x"
            )


if __name__ == "__main__":
    main()
