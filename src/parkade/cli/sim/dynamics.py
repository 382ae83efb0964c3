"""`parkade sim dynamics`: what the market's rules do to people over days."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import fail, server_extra
from parkade.cli.exit_codes import SIM_FOUND, SIM_INVALID
from parkade.cli.sim.replay import show, write

if TYPE_CHECKING:
    from parkade.sim.dynamics.figures import DynamicsReport
    from parkade.sim.dynamics.ranges import KeptRanges

MOST_DAYS = 1_000


def dynamics(
    seeds: Annotated[int, typer.Option(min=1, max=MOST_DAYS, help="Days of each load.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="The first one's seed.")] = 1,
    hours: Annotated[float, typer.Option(min=0.5, max=24 * 31, help="Of each day.")] = 24.0,
    loads: Annotated[
        list[float] | None,
        typer.Option("--load", min=0.1, max=5.0, help="Offered work ÷ the market; again for more."),
    ] = None,
    ranges: Annotated[
        Path | None,
        typer.Option(help="End with 1 where a figure is outside these.", metavar="FILE"),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Write the ranges that these days give.", metavar="FILE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Simulate a market over days at several loads: use, moves, waits, prices, starvation."""
    with server_extra():
        import msgspec

        from parkade.sim.dynamics.market import LOADS, measure
    kept = None if ranges is None else _read(ranges)
    tells = not as_json and sys.stderr.isatty()
    report, found = measure(
        tuple(range(seed, seed + seeds)),
        tuple(loads or LOADS),
        hours,
        kept=kept,
        progress=lambda load, of: (
            print(f"load {load:g}, seed {of} …", file=sys.stderr) if tells else None
        ),
    )
    if keep is not None:
        write(keep, msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    else:
        _tell(report)
    if report.outside:
        raise typer.Exit(SIM_FOUND)


def _read(file: Path) -> "KeptRanges":
    from parkade.cli.files import read_text
    from parkade.sim.dynamics.ranges import BadRanges, read_ranges

    try:
        return read_ranges(read_text(file).encode())
    except BadRanges as error:
        fail(f"{file}: {error}", exit_code=SIM_INVALID)


def _tell(report: "DynamicsReport") -> None:
    from parkade.sim.dynamics.tables import tables_of

    for table in tables_of(report):
        show(table)
    if report.outside:
        print("\noutside the kept ranges:")
        for words in report.outside:
            print(f"  {words}")
