"""Workloads: list them, change them, read their output."""

import re
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, call, calling

if TYPE_CHECKING:
    from rich.text import Text

    from parkade.client import Client
    from parkade.wire import workloads as wire

NEXT_ATTEMPT_S = 0.5
MOST_LISTED = 11
# Below so many columns a phase stands alone, and names are cut.
BRIEF_WIDTH = 80
BRIEF_NAME, LONGEST_NAME = 16, 24
Id = Annotated[str, typer.Argument(help="Its id, such as w12, or its name.", metavar="WORKLOAD")]


def ps(
    all: Annotated[bool, typer.Option("-a", "--all", help="Also those that ended.")] = False,
    org: Annotated[str | None, typer.Option(help="Only this org's; operators only.")] = None,
    limit: Annotated[int, typer.Option("-n", help="At most this many.", min=1, max=1000)] = 100,
    after: Annotated[str | None, typer.Option(help="Start after this workload.")] = None,
    as_json: AsJson = False,
) -> None:
    """List workloads, newest first."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        answer = client.list_workloads(all=all, org=org, limit=limit, after=after)
        show(answer, _table, as_json=as_json)


def why(workload: Id, as_json: AsJson = False) -> None:
    """Show why a workload is in its state, and what would win."""
    from parkade.cli.screen import say
    from parkade.wire.scalars import format_amount

    def render(answer: "wire.Why") -> None:
        say(f"{answer.says}.")
        if answer.price_to_win is not None:
            say(f"  parkade bid {answer.workload} {format_amount(answer.price_to_win)}")

    call(lambda client: client.why(meant(client, workload)), render, as_json=as_json)


def logs(
    workload: Id,
    rank: Annotated[int, typer.Option(help="Number of the rank.", min=0)] = 0,
    attempt: Annotated[
        int | None, typer.Option(help="Number of the attempt; default: the last.", min=1)
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("-f", "--follow", help="Through all attempts, until it ends."),
    ] = False,
    offset: Annotated[int, typer.Option(help="Skip so many bytes.", min=0)] = 0,
) -> None:
    """Print the output of a workload's present or last attempt."""
    with calling() as client:
        name = meant(client, workload)
        chosen = None if attempt is None else f"{name}.{attempt}"
        while True:
            present = _attempt_of(client, name)
            for chunk in client.logs(name, rank=rank, offset=offset, follow=follow, attempt=chosen):
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
            if not follow or chosen is not None or not _goes_on(client, name, present):
                return
            offset = 0


def meant(client: "Client", text: str) -> str:
    """The id of a workload that is named by its id or its name. NotFound where there is none of
    that name, Invalid where several could be meant. One that lives comes before those that ended.
    """
    from parkade.client.errors import Invalid, NotFound
    from parkade.wire.problems import problem

    if re.fullmatch("w[0-9]+", text):
        return text
    found = client.list_workloads(name=text, limit=MOST_LISTED).workloads
    found = found or client.list_workloads(name=text, all=True, limit=MOST_LISTED).workloads
    if not found:
        raise NotFound(problem("not_found", f"there is no workload {text}"))
    if len(found) > 1:
        ids = ", ".join(each.workload for each in found[: MOST_LISTED - 1])
        more = "" if len(found) < MOST_LISTED else ", …"
        detail = f"several workloads are named {text}: {ids}{more}; name one by its id"
        raise Invalid(problem("invalid", detail))
    return found[0].workload


def _attempt_of(client: "Client", workload: str) -> str | None:
    attempt = client.workload(workload).attempt
    return None if attempt is None else attempt.attempt


def _goes_on(client: "Client", workload: str, before: str | None) -> bool:
    """Waits for the next attempt of a workload that was stopped; false once it has ended."""
    while True:
        answer = client.workload(workload)
        if answer.ended is not None:
            return False
        attempt = answer.attempt
        if attempt is not None and attempt.started is not None and attempt.attempt != before:
            print(f"-- {attempt.attempt} --", file=sys.stderr)
            return True
        time.sleep(NEXT_ATTEMPT_S)


def hold(workload: Id, as_json: AsJson = False) -> None:
    """Keep a workload from starting until it is released."""
    call(lambda client: client.hold(meant(client, workload)), _line, as_json=as_json)


def release(workload: Id, as_json: AsJson = False) -> None:
    """Let a held workload start."""
    call(lambda client: client.release(meant(client, workload)), _line, as_json=as_json)


def cancel(
    workload: Id,
    now: Annotated[bool, typer.Option("--now", help="Without the market's notice.")] = False,
    as_json: AsJson = False,
) -> None:
    """End a workload, with the market's notice if it runs."""
    call(lambda client: client.cancel(meant(client, workload), now=now), _line, as_json=as_json)


def bid(
    workload: Id,
    limit: Annotated[str, typer.Argument(help="Most per GPU-hour, like 2.50.")],
    as_json: AsJson = False,
) -> None:
    """Change a workload's limit, from the next clearing on."""
    call(
        lambda client: client.bid(meant(client, workload), limit_price=limit),
        _line,
        as_json=as_json,
    )


def _line(answer: "wire.Workload") -> None:
    from parkade.cli.screen import say

    stop = answer.attempt.stop if answer.attempt else None
    until = f", gone by {stop.kill:%H:%M:%S} UTC" if stop else ""
    say(f"{answer.workload} {answer.name}: {answer.phase}{until}")
    if not answer.phase.startswith(("cancelled", "stopping", "succeeded", "failed", "expired")):
        say(f"  {answer.cost.says}")


def _table(answer: "wire.Workloads") -> None:
    from parkade.cli.screen import console, nodes, say, short, since, table

    has_orgs = len({each.org for each in answer.workloads}) > 1
    is_brief = console.width < BRIEF_WIDTH
    longest = BRIEF_NAME if is_brief else LONGEST_NAME
    table(
        (
            *("ID", "NAME", *(["ORG"] if has_orgs else []), "PHASE", "GPUS", "CAPACITY"),
            *("PRICE", "SPENT", "AGE", "SEATS"),
        ),
        [
            (
                *(each.workload, short(each.name, longest), *([each.org] if has_orgs else [])),
                *(_phase(each, is_brief), f"{each.nodes}×{each.gpus}", _capacity(each)),
                *(each.price, each.spent, since(each.submitted)),
                nodes(each.attempt.seats if each.attempt else each.promised),
            )
            for each in answer.workloads
        ],
        empty="No workloads; submit one with `parkade submit`.",
        right="GPUS PRICE SPENT AGE",
        drops="AGE SEATS SPENT CAPACITY ORG PRICE",
    )
    if answer.next is not None:
        say(f"More: parkade ps --after {answer.next}")


def _phase(answer: "wire.Workload", is_brief: bool) -> "Text":
    """The phase, and why, where it waits or leaves and there is room."""
    from rich.text import Text

    from parkade.cli.screen import COLOURS

    if answer.attempt is not None and not answer.is_reachable:
        last = "" if is_brief else f", last {answer.phase}: its agent is not heard"
        return Text(f"unknown{last}", style="yellow")
    text = Text(answer.phase, style=COLOURS.get(answer.phase, ""))
    stop = answer.attempt.stop if answer.attempt else None
    why = stop.cause if stop else answer.why if answer.phase == "queued" else ""
    if is_brief:
        return text
    return text.append(f": {why.replace('_', ' ')}", style="dim") if why else text


def _capacity(answer: "wire.Workload") -> str:
    from parkade.wire.scalars import format_amount

    limit = "" if answer.limit_price is None else f" ≤ {format_amount(answer.limit_price)}"
    return answer.capacity + limit


def _prices(answer: "wire.Workload") -> object:
    """The price; where nodes have different ones, their mean and how many nodes cost what."""
    from parkade.wire.scalars import format_amount

    if answer.price is None or len(set(answer.node_prices)) < 2:
        return answer.price
    counted = Counter(answer.node_prices)
    nodes = ", ".join(f"{count} at {format_amount(it)}" for it, count in counted.items())
    return f"{format_amount(answer.price)} on average (nodes: {nodes})"


def one(answer: "wire.Workload") -> None:
    """A workload in full."""
    from parkade.cli.screen import fields, seats, shape

    attempt = answer.attempt
    stop = attempt.stop if attempt else None
    checkpoint = None if answer.checkpoint_step is None else f"step {answer.checkpoint_step}"
    fields(
        [
            ("workload", f"{answer.workload} {answer.name}"),
            ("org", f"{answer.org}, submitted by {answer.user}"),
            ("phase", answer.phase),
            ("why", answer.why),
            ("exit" if attempt is None else "last exit", answer.exit),
            ("shape", f"{shape(answer)} in {answer.market}"),
            ("capacity", answer.capacity),
            ("limit", answer.limit_price),
            ("price", _prices(answer)),
            ("price to win", answer.price_to_win),
            ("spent", answer.spent),
            ("owed if given up", answer.debt),
            ("cost", answer.cost.says),
            ("attempt", attempt and f"{attempt.attempt} on {seats(attempt.seats)}"),
            ("promised", seats(answer.promised)),
            ("moved", answer.moved),
            ("started", attempt and attempt.started),
            ("leaves by", stop and f"{stop.deadline:%Y-%m-%d %H:%M:%S} ({stop.cause})"),
            ("checkpoint", checkpoint),
            ("preemptions", answer.preemptions or None),
            ("failures", answer.failures or None),
            ("submitted", answer.submitted),
            ("not before", answer.not_before),
            ("ended", answer.ended),
            ("files kept until", answer.folder_until),
            ("command", answer.spec.command),
            ("workdir", answer.spec.workdir),
        ]
    )
