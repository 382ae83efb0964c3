"""`parkade observe`: what a cluster could have lent, from files that its operator already has."""

import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from parkade.cli.calling import explaining, fail, server_extra
from parkade.cli.exit_codes import OBSERVE_INVALID

MOST_FLOORS = 8
HIGHEST_PRICE = 10_000

observing = typer.Typer(
    help="What a cluster could have lent: a report from its accounting, nothing touched.",
    no_args_is_help=True,
)


@observing.command("commands")
def commands() -> None:
    """Print the two commands whose output `parkade observe sacct` reads; neither needs root."""
    with server_extra():
        from parkade.sim.observe.asking import SACCT, SINFO
    print(SACCT)
    print(SINFO)


@observing.command("sacct")
def sacct(
    file: Annotated[Path, typer.Argument(help="What `sacct` printed.")],
    sinfo: Annotated[
        Path | None, typer.Option(help="What `sinfo` printed; without, the fleet is inferred.")
    ] = None,
    entitlements: Annotated[
        Path | None,
        typer.Option(help="CSV `account,gpus,limit` of what accounts own; without, inferred."),
    ] = None,
    floor: Annotated[
        str, typer.Option(help="What owners receive at least, per GPU-hour; several by commas.")
    ] = "0.5,1,2",
    limit: Annotated[
        str, typer.Option(help="The median of what waiting jobs would bid, per GPU-hour.")
    ] = "2",
    fee: Annotated[str, typer.Option(help="The operator's part, such as 1/10.")] = "1/10",
    notice: Annotated[
        int, typer.Option(min=1, max=86_400, help="Seconds from a notice to TERM.")
    ] = 120,
    saves: Annotated[
        int, typer.Option(min=0, max=100, help="Percent of jobs that save at a notice.")
    ] = 50,
    jobs: Annotated[
        int,
        typer.Option(min=1, max=100_000, help="Jobs played on the market; of more, a sample."),
    ] = 500,
    backfill_interval: Annotated[
        int, typer.Option(min=1, max=3600, help="Seconds; bf_interval of slurm.conf.")
    ] = 30,
    seed: Annotated[int, typer.Option(min=0, help="Of the limits, and of which jobs save.")] = 1,
    html: Annotated[
        Path | None, typer.Option(help="Write the report to this HTML file.", metavar="FILE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Say what a Slurm cluster could have lent, who would have waited less, and what was paid."""
    with server_extra():
        import msgspec

        from parkade.cli import screen
        from parkade.cli.sim.replay import show, write
        from parkade.core.units.fraction import parse_fraction
        from parkade.sim.observe.observing import Asked, observe
        from parkade.sim.observe.page import observe_page
        from parkade.sim.observe.tables import observe_tables
        from parkade.sim.replay.tables import BadData
    try:
        is_fee = parse_fraction(fee).is_fee
    except ValueError:
        is_fee = False
    if not is_fee:
        fail(f"--fee: {fee[:20]!r} is no fraction below 1; write it like 1/10", exit_code=2)
    asked = Asked(
        sacct=file,
        sinfo=sinfo,
        entitlements=entitlements,
        floors=_floors(floor),
        limit=_price("--limit", limit),
        fee=fee,
        notice_s=notice,
        saves_percent=saves,
        spread_percent=25,
        seed=seed,
        most_jobs=jobs,
        backfill_interval_s=backfill_interval,
    )
    with explaining(as_json=as_json):
        try:
            found = observe(asked, _tell if sys.stderr.isatty() else lambda *_: None)
        except BadData as error:
            fail(str(error), exit_code=OBSERVE_INVALID)
        if html is not None:
            write(html, observe_page(found))
        if as_json:
            sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
            return
        for table in observe_tables(found):
            show(table)
            if table.says:
                screen.say(table.says)
        if html is not None:
            print(f"\nthe report is in {html}")


def _floors(text: str) -> tuple[Decimal, ...]:
    parts = text.split(",")
    if len(parts) > MOST_FLOORS:
        fail(f"--floor: at most {MOST_FLOORS} floors", exit_code=2)
    return tuple(sorted({_price("--floor", part) for part in parts}))


def _price(option: str, text: str) -> Decimal:
    try:
        price = Decimal(text.strip()[:20])
        is_right = price.is_finite() and 0 < price <= HIGHEST_PRICE
        is_right = is_right and price == price.quantize(Decimal("0.000001"))
    except InvalidOperation:
        is_right = False
    if not is_right:
        most = f"{HIGHEST_PRICE:,}"
        fail(f"{option}: {text[:20]!r} is no price above 0 and at most {most}", exit_code=2)
    return price


def _tell(what: str, percent: int) -> None:
    """One line on stderr that is written over."""
    print(f"\r\x1b[K{what}: {percent} %", end="", file=sys.stderr, flush=True)
