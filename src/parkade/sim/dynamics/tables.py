"""The figures of `parkade sim dynamics` as rows, a column for each load."""

from parkade.sim.dynamics.figures import DynamicsReport
from parkade.sim.replay.report.tables import NONE, TableOfFigures


def tables_of(report: DynamicsReport) -> list[TableOfFigures]:
    """What happens, and to work of which size."""
    columns = tuple(f"load {it.load:g}" for it in report.loads)
    names = dict.fromkeys(name for it in report.loads for name in it.figures)
    sizes = dict.fromkeys(name for it in report.loads for name in it.sizes)
    rows = [
        (name, *(f"{it.figures[name]:,.4g}" if name in it.figures else NONE for it in report.loads))
        for name in names
    ]
    rows += [
        ("clearing, median / p99 ms", *(_pair(it.clearing_ms) for it in report.loads)),
    ]
    by_size = [
        (name, *(_started(it.sizes[name]) if name in it.sizes else NONE for it in report.loads))
        for name in sizes
    ]
    days = report.loads[0].days if report.loads else 0.0
    return [
        TableOfFigures(
            title=f"The market, {days:g} days of each load",
            columns=("figure", *columns),
            rows=tuple(rows),
        ),
        TableOfFigures(
            title="Started, and median wait in hours, by size",
            columns=("size", *columns),
            rows=tuple(by_size),
        ),
    ]


def _pair(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.1f} / {pair[1]:.1f}"


def _started(found: tuple[float, float]) -> str:
    return f"{found[0]:.0%}, {found[1]:.2f}"
