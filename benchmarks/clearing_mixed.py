"""How long a clearing of two linked markets takes, its parts, and how that grows; decision only.

    python -m benchmarks.clearing_mixed [--full]

Each market has half of the nodes and workloads. One workload in ten is elastic, up to twice its
least, and one in ten bids in both markets. `--full` goes on to 12,500 nodes and 10,000 workloads.
Processor time; nothing is remembered from the clearing before:

    new        no workload has seats
    warm       what won has seats; then one workload in a hundred has ended, and as many are new

"who and where" is the allocations and seatings of all rounds of linked markets, "prices" the exact
prices of these rounds, and "whole" the decision with its input and its event.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec.structs import replace

from benchmarks.linked import MARKETS, OTHER, both, seat, turns
from benchmarks.town import GPUS, Town, open_pool
from parkade.core.kernel.decide import decide
from parkade.core.market import clear as clearing
from parkade.core.state import commands
from parkade.core.workloads.observed import EnginePhase

SIZES = (1_000, 2_000, 4_000)
FULL = 10_000
NODES_EACH = 1.25
REPEAT = 3


class Row(NamedTuple):
    """Medians, in milliseconds of a processor."""

    workloads: int
    state: str
    who_and_where: float
    prices: float
    whole: float


class Stopwatch:
    """The processor's seconds in one part of a clearing."""

    def __init__(self, *names: str) -> None:
        self.spent_s = 0.0
        for name in names:
            setattr(clearing, name, self._timed(getattr(clearing, name)))

    def _timed(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **named: Any) -> Any:
            before = time.process_time()
            try:
                return work(*args, **named)
            finally:
                self.spent_s += time.process_time() - before

        return timed


def town_of(workloads: int) -> Town:
    """Two markets of the mix, in which nothing has seats."""
    nodes = int(workloads * NODES_EACH) // 2
    town = Town(nodes=nodes)
    opens = open_pool(nodes)
    fabrics = tuple(
        (f"other-{fabric}", tuple(f"other-{node}" for node in named))
        for fabric, named in opens.supply.fabrics
    )
    town.do(replace(opens, pool=OTHER, supply=replace(opens.supply, market=OTHER, fabrics=fabrics)))
    submit(town, range(workloads))
    return town


def submit(town: Town, numbers: range) -> None:
    """So many workloads of the mix."""
    for number in numbers:
        command, first = town.submission(), MARKETS[number % 2]
        spec = command.spec
        if number // 2 % 10 == 0:
            town.do(replace(command, spec=replace(spec, choices=both(command, first))))
            continue
        if number // 2 % 10 == 1 and spec.gpus == GPUS:
            spec = replace(spec, most_nodes=2 * spec.nodes)
        town.do(replace(command, market=first, spec=spec))


def replace_some(town: Town, workloads: int) -> None:
    """One workload in a hundred that runs has ended, and as many are new."""
    records = town.world.records
    ended = [attempt for attempt in town.attempts() if attempt.stop is None][::100]
    for pool in MARKETS:
        seen = tuple(
            town._observed(it, EnginePhase.RELEASED, 0)
            for it in ended
            if records.nodes[it.seats[0].node].pool == pool
        )
        town.do(commands.ReportAttempts(by=None, pool=pool, attempts=seen))
    submit(town, range(workloads, workloads + len(ended)))


def measure(workloads: int, state: str, town: Town) -> Row:
    """Medians of one clearing that changes nothing."""
    where, prices = Stopwatch("allocate", "seat"), Stopwatch("price_all")
    found: list[tuple[float, float, float]] = []
    for _ in range(REPEAT):
        town.world.memories.clear()
        where.spent_s = prices.spent_s = 0.0
        began_s = time.process_time()
        for market in turns(town):
            decide(town.world, commands.RunClearing(by=None, market=market), town.now_us)
        found.append((where.spent_s, prices.spent_s, time.process_time() - began_s))
    medians = [statistics.median(each) * 1000 for each in zip(*found, strict=True)]
    return Row(workloads, state, *medians)


def rows(workloads: int) -> list[Row]:
    """Both states of one size."""
    town = town_of(workloads)
    found = [measure(workloads, "new", town)]
    for _ in range(2):
        seat(town)
        town.now_us += 60_000_000
    replace_some(town, workloads)
    return [*found, measure(workloads, "warm", town)]


def main() -> None:
    """Prints the table and the exponents."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    sizes = (*SIZES, FULL) if parser.parse_args().full else SIZES
    print(f"{'work':>6} {'state':>5} {'who and where':>14} {'prices':>8} {'whole':>8}   (ms)")
    found = []
    for size in sizes:
        for row in rows(size):
            found.append(row)
            each = f"{row.who_and_where:>14.0f} {row.prices:>8.0f} {row.whole:>8.0f}"
            print(f"{row.workloads:>6} {row.state:>5} {each}", flush=True)
    for state in ("new", "warm"):
        least, *_, most = (row for row in found if row.state == state)
        exponent = math.log(most.whole / least.whole) / math.log(most.workloads / least.workloads)
        print(f"{state}: grows with the {exponent:.2f}th power of the workloads")


if __name__ == "__main__":
    main()
