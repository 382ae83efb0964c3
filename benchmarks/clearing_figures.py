"""The clearing's own benchmark as figures: its rows, and how they grow.

python benchmarks/run.py --only clearing
"""

from benchmarks.clearing import Row, rows
from benchmarks.figures import Figure, Kind

SIZES = ((500, 500), (1_000, 1_000), (2_000, 2_000))
QUICK_SIZES = ((25, 25), (50, 50))


def figures(*, quick: bool) -> list[Figure]:
    """A figure for each row of the largest market, growth from half of it, and the re-run's."""
    sizes = QUICK_SIZES if quick else SIZES
    found = rows(sizes=sizes, repeat=2 if quick else 5)
    largest = [row for row in found if row.nodes == sizes[-1][0]]
    half = {row.market: row for row in found if row.nodes == sizes[-2][0]}
    return [
        *(_whole(row) for row in largest),
        *(_growth(half[row.market], row) for row in largest),
        *(_rerun(row) for row in largest),
    ]


def _whole(row: Row) -> Figure:
    what = (
        f"the market's allocation, prices and seating: {row.market}, {row.nodes:,} nodes,"
        f" {row.workloads:,} workloads (its median of 5)"
    )
    return _figure(f"clearing.whole_{_word(row)}", "ms", row.whole_clearing_ms, what)


def _growth(before: Row, after: Row) -> Figure:
    ratio = after.whole_clearing_ms / before.whole_clearing_ms
    what = f"growth: {after.nodes / before.nodes:g} times the nodes and workloads, {after.market}"
    return _figure(f"clearing.growth_{_word(after)}", "times", ratio, what)


def _rerun(row: Row) -> Figure:
    pricing = max(row.with_prices_ms - row.with_seating_ms, 1e-6)
    what = f"running the allocation again without each winner, beside one sweep: {row.market}"
    return _figure(f"clearing.rerun_{_word(row)}", "times", row.rerun_ms / pricing, what)


def _word(row: Row) -> str:
    return row.market.replace("1 % ", "").replace(" ", "_")


def _figure(name: str, unit: str, value: float, what: str) -> Figure:
    return Figure(name=name, kind=Kind.DECISION, unit=unit, values=(value,), what=what)
