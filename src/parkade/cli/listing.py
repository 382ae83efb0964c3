"""`parkade ps` and `parkade history`: tables of the workloads that live and of those that ended."""

import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from parkade.cli.calling import AsJson, calling, fail
from parkade.cli.choosing import meant
from parkade.cli.flags import when

if TYPE_CHECKING:
    from rich.text import Text

    from parkade.wire import workloads as wire

# Below so many columns a phase stands alone, and names are cut.
BRIEF_WIDTH = 80
BRIEF_NAME, LONGEST_NAME = 16, 24
LEAST_WATCH_S = 0.5
HISTORY = "-7d"
LIVING = (
    *("held", "queued", "placed", "starting", "running", "preempting", "degraded", "healing"),
    "stopping",
)
ENDED = ("succeeded", "failed", "cancelled", "expired")
ORDERS = ("id", "name", "org", "user", "phase", "gpus", "price", "spent", "submitted", "ended")

Names = Annotated[str | None, typer.Argument(help="Only of this name or pattern.", metavar="NAME")]
Phases = Annotated[
    list[str] | None, typer.Option("--phase", help="Like running or queued; repeat it.")
]
User = Annotated[str | None, typer.Option(help="Only this user's.")]
Labels = Annotated[list[str] | None, typer.Option("--label", help="KEY or KEY=VALUE; all of them.")]
Org = Annotated[str | None, typer.Option(help="Only this org's; operators only.")]
Limit = Annotated[int, typer.Option("-n", help="At most this many.", min=1, max=1000)]
After = Annotated[str | None, typer.Option(help="Start after this workload.")]
Sort = Annotated[str, typer.Option(help=f"By {', '.join(ORDERS)}; -price: the greatest first.")]


def ps(
    name: Names = None,
    all: Annotated[bool, typer.Option("-a", "--all", help="Also those that ended.")] = False,
    phases: Phases = None,
    user: User = None,
    labels: Labels = None,
    org: Org = None,
    since: Annotated[str | None, typer.Option(help="Not ended before, like -2d.")] = None,
    sort: Sort = "-id",
    array: Annotated[str | None, typer.Option(help="The members of this array.")] = None,
    watch: Annotated[
        float | None, typer.Option("--watch", help="Anew each so many seconds.", min=LEAST_WATCH_S)
    ] = None,
    limit: Limit = 100,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """List workloads, newest first."""
    from parkade.cli.screen import console, show

    filters: dict[str, Any] = {"name": name, "user": user, "org": org, "limit": limit}
    filters |= {"phases": phases or (), "labels": labels or (), "cursor": after}
    first = when(since, "--since")
    known_phases(phases, (*LIVING, *ENDED))
    named = (name, user, org, phases, labels, array)
    chosen = all or first is not None or any(named)
    with calling(as_json=as_json) as client:
        filters["array"] = None if array is None else meant(client, array)
        while True:
            found = client.list_workloads(all=all or first is not None, since=first, **filters)
            answer = in_order(found, sort)
            if watch is not None and sys.stdout.isatty():
                console.clear()
            show(answer, partial(_table, chosen=chosen), as_json=as_json)
            if watch is None:
                return
            time.sleep(watch)


def history(
    name: Names = None,
    phases: Phases = None,
    user: User = None,
    labels: Labels = None,
    org: Org = None,
    since: Annotated[str, typer.Option(help="Ended since, like yesterday.")] = HISTORY,
    sort: Sort = "-ended",
    limit: Limit = 100,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """List workloads that ended: when, how, and what they cost."""
    from parkade.cli.screen import show

    known_phases(phases, ENDED)
    with calling(as_json=as_json) as client:
        answer = client.list_workloads(
            name=name,
            user=user,
            phases=phases or ENDED,
            labels=labels or (),
            org=org,
            since=when(since, "--since"),
            limit=limit,
            cursor=after,
        )
        show(in_order(answer, sort), _ended, as_json=as_json)


def known_phases(phases: list[str] | None, known: tuple[str, ...]) -> None:
    """Ends the program where a phase is not one of these."""
    for phase in phases or ():
        if phase not in known:
            words = ", ".join(known)
            fail(f"--phase: {phase[:40]} is none of {words}", exit_code=2)


def in_order(answer: "wire.Workloads", sort: str) -> "wire.Workloads":
    """The page in another order; what has no value comes last."""
    key = sort.removeprefix("-")
    if key not in ORDERS:
        fail(f"--sort: {key[:40]} is no order; give one of {', '.join(ORDERS)}", exit_code=2)

    def value(each: "wire.Workload") -> object:
        match key:
            case "id":
                number, _, index = each.workload.removeprefix("w").partition("_")
                return int(number), int(index or -1)
            case "gpus":
                return each.nodes * each.gpus
            case _:
                return getattr(each, key)

    known = [each for each in answer.workloads if value(each) is not None]
    known.sort(key=value, reverse=sort.startswith("-"))  # type: ignore[arg-type]
    missing = [each for each in answer.workloads if value(each) is None]
    return answer.model_copy(update={"workloads": (*known, *missing)})


def _table(answer: "wire.Workloads", *, chosen: bool) -> None:
    """`chosen`: whether the reader named which ones, and not only those that live."""
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
        empty="No such workloads."
        if chosen
        else "None is open; `parkade history` shows what has ended, `parkade submit` makes one.",
        right="GPUS PRICE SPENT AGE",
        drops="AGE SEATS SPENT CAPACITY ORG PRICE",
    )
    if answer.next is not None:
        say(f"More: parkade ps --after {answer.next}")


def _phase(answer: "wire.Workload", is_brief: bool) -> "Text":
    """The phase, and why, where it waits or leaves and there is room; of an array, where its
    members are."""
    from rich.text import Text

    from parkade.cli.screen import COLOURS

    if answer.members is not None:
        members = answer.members
        begun = members.open.get("running", 0)
        ended = members.succeeded + members.failed + members.cancelled + members.expired
        text = Text(answer.phase, style=COLOURS.get(answer.phase, ""))
        failed = f", {members.failed} failed" if members.failed else ""
        counts = f": {begun} run, {ended} of {members.total} ended{failed}"
        return text.append(f" {begun}/{members.total}" if is_brief else counts, style="dim")

    if answer.attempt is not None and not answer.is_reachable:
        last = "" if is_brief else f", last {answer.phase}: its pool is not seen"
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


def _ended(answer: "wire.Workloads") -> None:
    from parkade.cli.screen import console, say, short, table

    has_orgs = len({each.org for each in answer.workloads}) > 1
    longest = BRIEF_NAME if console.width < BRIEF_WIDTH else LONGEST_NAME
    table(
        (
            *("ID", "NAME", *(["ORG"] if has_orgs else []), "PHASE", "EXIT", "GPUS", "SPENT"),
            *("MOVES", "TOOK", "ENDED"),
        ),
        [
            (
                *(each.workload, short(each.name, longest), *([each.org] if has_orgs else [])),
                *(each.phase, each.exit_code, f"{each.nodes}×{each.gpus}", each.spent),
                *(each.preemptions, each.ended and each.ended - each.submitted, each.ended),
            )
            for each in answer.workloads
        ],
        empty="Nothing ended in that time.",
        right="EXIT GPUS SPENT MOVES TOOK",
        drops="MOVES TOOK GPUS ORG",
    )
    if answer.next is not None:
        say(f"More: parkade history --after {answer.next}")
