"""Workloads: look at them, change them, read what they print."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, calling

if TYPE_CHECKING:
    from rich.text import Text

    from parkade.client import Client
    from parkade.wire import workloads as wire

NEXT_ATTEMPT_S = 0.5
Id = Annotated[str, typer.Argument(help="Such as w12.", metavar="WORKLOAD")]


def ps(
    all: Annotated[bool, typer.Option("-a", "--all", help="The ended ones too.")] = False,
    org: Annotated[str | None, typer.Option(help="Only this org's; operators only.")] = None,
    limit: Annotated[int, typer.Option("-n", help="At most so many.", min=1, max=1000)] = 100,
    after: Annotated[str | None, typer.Option(help="Go on after this one.")] = None,
    as_json: AsJson = False,
) -> None:
    """List workloads, newest first."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        told = client.list_workloads(all=all, org=org, limit=limit, after=after)
        show(told, _table, as_json=as_json)


def why(workload: Id, as_json: AsJson = False) -> None:
    """Why it is where it is, and what would win."""
    from parkade.cli.screen import say, show
    from parkade.wire.scalars import format_amount

    def render(told: "wire.Why") -> None:
        say(f"{told.says}.")
        if told.price_to_win is not None:
            say(f"  parkade bid {told.workload} {format_amount(told.price_to_win)}")

    with calling(as_json=as_json) as client:
        show(client.why(workload), render, as_json=as_json)


def logs(
    workload: Id,
    rank: Annotated[int, typer.Option(help="Which of its nodes.", min=0)] = 0,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Through all its attempts, until it ends.")
    ] = False,
    offset: Annotated[int, typer.Option(help="Bytes to leave out.", min=0)] = 0,
) -> None:
    """Print what a workload printed: its present or last attempt."""
    with calling() as client:
        while True:
            attempt = _attempt_of(client, workload)
            for chunk in client.logs(workload, rank=rank, offset=offset, follow=follow):
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
            if not follow or not _goes_on(client, workload, attempt):
                return
            offset = 0


def _attempt_of(client: "Client", workload: str) -> str | None:
    attempt = client.workload(workload).attempt
    return None if attempt is None else attempt.attempt


def _goes_on(client: "Client", workload: str, before: str | None) -> bool:
    """Waits for the next attempt of a workload that was stopped; false once it has ended."""
    while True:
        told = client.workload(workload)
        if told.ended is not None:
            return False
        attempt = told.attempt
        if attempt is not None and attempt.started is not None and attempt.attempt != before:
            print(f"-- {attempt.attempt} --", file=sys.stderr)
            return True
        time.sleep(NEXT_ATTEMPT_S)


def hold(workload: Id, as_json: AsJson = False) -> None:
    """Keep it from starting until it is released."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        show(client.hold(workload), _line, as_json=as_json)


def release(workload: Id, as_json: AsJson = False) -> None:
    """Let a held workload start."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        show(client.release(workload), _line, as_json=as_json)


def cancel(
    workload: Id,
    now: Annotated[bool, typer.Option("--now", help="Without the market's notice.")] = False,
    as_json: AsJson = False,
) -> None:
    """End it, with the market's notice if it runs."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        show(client.cancel(workload, now=now), _line, as_json=as_json)


def bid(
    workload: Id,
    limit: Annotated[str, typer.Argument(help="Most per GPU-hour, like 2.50.")],
    as_json: AsJson = False,
) -> None:
    """Change its limit, from the next clearing on."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        show(client.bid(workload, limit_price=limit), _line, as_json=as_json)


def _line(told: "wire.Workload") -> None:
    from parkade.cli.screen import say

    stop = told.attempt.stop if told.attempt else None
    until = f", gone by {stop.kill:%H:%M:%S} UTC" if stop else ""
    say(f"{told.workload} {told.name}: {told.phase}{until}")
    if not told.phase.startswith(("cancelled", "stopping", "succeeded", "failed", "expired")):
        say(f"  {told.cost.says}")


def _table(told: "wire.Workloads") -> None:
    from parkade.cli.screen import nodes, say, short, since, table

    has_orgs = len({each.org for each in told.workloads}) > 1
    table(
        (
            *("ID", "NAME", *(["ORG"] if has_orgs else []), "PHASE", "GPUS", "CAPACITY"),
            *("PRICE", "SPENT", "AGE", "SEATS"),
        ),
        [
            (
                *(each.workload, short(each.name), *([each.org] if has_orgs else [])),
                *(_phase(each), f"{each.nodes}×{each.gpus}", _capacity(each)),
                *(each.price, each.spent, since(each.submitted)),
                nodes(each.attempt.seats if each.attempt else each.promised),
            )
            for each in told.workloads
        ],
        empty="No workloads; submit one with `parkade submit`.",
        right="GPUS PRICE SPENT AGE",
        drops="AGE SEATS SPENT CAPACITY",
    )
    if told.next is not None:
        say(f"More: parkade ps --after {told.next}")


def _phase(told: "wire.Workload") -> "Text":
    """The phase, and why, where it waits or leaves."""
    from rich.text import Text

    from parkade.cli.screen import COLOURS

    if told.attempt is not None and not told.is_reachable:
        return Text(f"unknown, last {told.phase}: its agent is not heard", style="yellow")
    text = Text(told.phase, style=COLOURS.get(told.phase, ""))
    stop = told.attempt.stop if told.attempt else None
    why = stop.cause if stop else told.why if told.phase == "queued" else ""
    return text.append(f": {why.replace('_', ' ')}", style="dim") if why else text


def _capacity(told: "wire.Workload") -> str:
    from parkade.wire.scalars import format_amount

    limit = "" if told.limit_price is None else f" ≤ {format_amount(told.limit_price)}"
    return told.capacity + limit


def one(told: "wire.Workload") -> None:
    """A workload in full."""
    from parkade.cli.screen import fields, seats

    attempt = told.attempt
    stop = attempt.stop if attempt else None
    checkpoint = None if told.checkpoint_step is None else f"step {told.checkpoint_step}"
    fields(
        [
            ("workload", f"{told.workload} {told.name}"),
            ("org", f"{told.org}, submitted by {told.user}"),
            ("phase", told.phase),
            ("why", told.why),
            ("exit" if attempt is None else "last exit", told.exit),
            ("shape", f"{told.nodes} × {told.gpus} GPUs in {told.market}"),
            ("capacity", told.capacity),
            ("limit", told.limit_price),
            ("price", told.price),
            ("price to win", told.price_to_win),
            ("spent", told.spent),
            ("cost", told.cost.says),
            ("attempt", attempt and f"{attempt.attempt} on {seats(attempt.seats)}"),
            ("promised", seats(told.promised)),
            ("started", attempt and attempt.started),
            ("leaves by", stop and f"{stop.deadline:%Y-%m-%d %H:%M:%S} ({stop.cause})"),
            ("checkpoint", checkpoint),
            ("preemptions", told.preemptions or None),
            ("failures", told.failures or None),
            ("submitted", told.submitted),
            ("not before", told.not_before),
            ("ended", told.ended),
            ("command", told.spec.command),
            ("workdir", told.spec.workdir),
        ]
    )
