"""`parkade mars status, events, incidents, stop, start, budget`: Mars inside the marketplace."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, call, calling, fail, warn
from parkade.cli.exit_codes import MARS_CANNOT
from parkade.cli.mars.show import LEVEL_STYLES
from parkade.wire.exits import EXIT_TRY_AGAIN, EXIT_USAGE

if TYPE_CHECKING:
    from rich.text import Text

    from parkade.wire import mars as wire

KINDS = frozenset(
    {
        "VerdictGiven",
        "IncidentOpened",
        "IncidentHeld",
        "IncidentTurned",
        "IncidentClosed",
        "RepairOrdered",
        "RepairEnded",
        "SurroundingsKnown",
        "BuffersSized",
        "TurnaroundOrdered",
        "TurnaroundEnded",
        "RepairsKnown",
        "AutomationSet",
        "NodeHealthSet",
        "NodeCordoned",
        "NodeUncordoned",
        "NodeSanitised",
    }
)
ON_STDERR = "`parkade mars run` tells verdicts and drains on stderr"
Reason = Annotated[str, typer.Option("--reason", "-r", help="Shown with it.")]


@contextmanager
def _or_alone(words: str, *, as_json: bool) -> Iterator[None]:
    """Where no server is logged in to, or answers: what to do with Mars alone."""
    try:
        yield
    except typer.Exit as end:
        if end.exit_code in (EXIT_USAGE, EXIT_TRY_AGAIN) and not as_json:
            warn(f"this command asks a server; without one, {words}")
        raise


def status(as_json: AsJson = False) -> None:
    """Show nodes by health, what automatic action may do, buffers and sensors."""
    words = "`parkade mars run` serves what stands as metrics"
    with _or_alone(words, as_json=as_json), calling(as_json=as_json) as client:
        answer = client.get_mars()
        if as_json:
            print(answer.model_dump_json(indent=2))
            return
        _status(answer)
        if answer.open_incidents:
            _waiting(client.list_incidents(open=True))


def _waiting(answer: "wire.Incidents") -> None:
    """Open incidents whose action waits for a person: their nodes may be in service."""
    from parkade.cli.screen import say, table
    from parkade.mars.story import outcome_of

    held = [it for it in answer.incidents if it.held is not None]
    if not held:
        return
    say("")
    table(
        ("INCIDENT", "NODE", "LEVEL", "SIGNAL", "ASKS FOR", "WAITS"),
        [
            (
                it.incident,
                it.node,
                _level(it.level),
                it.signal,
                it.action.replace("_", " "),
                outcome_of(it).removeprefix("held: "),
            )
            for it in held
        ],
        empty="",
    )


def _level(name: str) -> "Text":
    from rich.text import Text

    return Text(name, style=LEVEL_STYLES.get(name, ""))


def events(
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new ones.")] = False,
    after: Annotated[int | None, typer.Option(help="From this position on.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print verdicts, repairs and steps of nodes as they happened, one a line."""
    from parkade.cli.events import show_event

    start = 0 if after is None and not follow else after
    with _or_alone(ON_STDERR, as_json=as_json), calling(as_json=as_json) as client:
        for event in client.events(after=start, follow=follow):
            if event.type not in KINDS:
                continue
            if as_json:
                print(event.model_dump_json(), flush=True)
                continue
            show_event(event)


def incidents(
    incident: Annotated[str | None, typer.Argument(help="One: its whole story.")] = None,
    node: Annotated[str | None, typer.Option(help="Only this node's.")] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only open ones.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the story to this page.")] = None,
    as_json: AsJson = False,
) -> None:
    """List incidents, or tell one as a story: text, --json, or a page with --html."""
    if incident is None:
        if html is not None:
            fail("--html tells one incident; name it", exit_code=2)
        is_open = True if open_only else None
        with _or_alone(ON_STDERR, as_json=as_json):
            call(lambda client: client.list_incidents(node, open=is_open), _table, as_json=as_json)
        return
    name = incident
    if html is None:
        with _or_alone(ON_STDERR, as_json=as_json):
            call(lambda client: client.get_incident(name), _story, as_json=as_json)
        return
    from parkade.cli.screen import say
    from parkade.mars.story import story_page

    with _or_alone(ON_STDERR, as_json=as_json), calling(as_json=as_json) as client:
        found = client.get_incident(name)
    try:
        html.write_text(story_page(found), encoding="utf-8")
    except OSError as error:
        fail(f"{html} cannot be written: {error.strerror}", exit_code=MARS_CANNOT)
    say(str(html))


def stop(reason: Reason, as_json: AsJson = False) -> None:
    """Stop all automatic action at once; what is under way on a node is finished."""
    words = "end `parkade mars run`, then lift its drains with `parkade mars undo --config FILE`"
    with _or_alone(words, as_json=as_json):
        _set(as_json=as_json, reason=reason, is_on=False)


def start(reason: Reason, as_json: AsJson = False) -> None:
    """Let Mars act again."""
    with _or_alone("start `parkade mars run --config FILE`", as_json=as_json):
        _set(as_json=as_json, reason=reason, is_on=True)


def budget(
    reason: Reason,
    fabric: Annotated[
        str | None, typer.Option(help="Share of a fabric an hour, like 1/10.")
    ] = None,
    fleet: Annotated[str | None, typer.Option(help="Share of all nodes an hour.")] = None,
    lift: Annotated[bool, typer.Option("--lift", help="No budget at all, for a drill.")] = False,
    as_json: AsJson = False,
) -> None:
    """Change how many nodes automatic action may take out within an hour."""
    if fabric is None and fleet is None and not lift:
        fail("name --fabric, --fleet, or --lift", exit_code=2)
    given: dict[str, object] = {"is_limited": not lift}
    given |= {} if fabric is None else {"fabric_share": fabric}
    given |= {} if fleet is None else {"fleet_share": fleet}
    with _or_alone("`most` in the file of `parkade mars run` bounds drains", as_json=as_json):
        _set(as_json=as_json, reason=reason, **given)


def _set(*, as_json: bool, **given: object) -> None:
    from parkade.cli.calling import explaining
    from parkade.client.call import checked
    from parkade.wire.mars import SetAutomation

    with explaining(as_json=as_json):
        request = checked(SetAutomation, **given)
    call(lambda client: client.set_automation(request), _status, as_json=as_json)


def _status(answer: "wire.Status") -> None:
    from parkade.cli.screen import fields, say, table

    acts = "acts by itself" if answer.is_on else "is stopped"
    by = f", set by {answer.by}" if answer.by else ""
    since = f" at {answer.set_at:%m-%d %H:%M:%S}" if answer.set_at else ""
    because = f"{by}{since}: {answer.reason}" if answer.reason else ""
    limits = f"{answer.fabric_share} of a fabric, {answer.fleet_share} of all nodes, an hour"
    counts = ", ".join(f"{count} {name}" for name, count in answer.health.items() if count)
    able = "; ".join(f"{pool}: {', '.join(kinds)}" for pool, kinds in answer.repairs.items())
    fields(
        [
            ("Mars", f"{acts}{because}"),
            ("budget", limits if answer.is_limited else "lifted"),
            ("nodes", counts),
            ("open incidents", answer.open_incidents),
            ("repairs", able or "none configured"),
            ("sensors", _sensors(answer)),
            *((f"lemon {node}", "; ".join(reasons)) for node, reasons in answer.lemons.items()),
            *(
                (f"buffer of {market}", f"earned {paid} as spot")
                for market, paid in answer.earned.items()
            ),
        ]
    )
    if answer.sick:
        say("")
        table(
            ("NODE", "POOL", "HEALTH", "INCIDENT", "WHY"),
            [(it.node, it.pool, it.health, it.incident, it.reason) for it in answer.sick],
            empty="",
        )
    say("")
    table(
        ("MARKET", "FABRIC", "NODES", "BUFFER", "DOWN", "LENT", "SHORT", "SIZED"),
        [
            (
                it.market,
                it.fabric,
                it.nodes,
                it.held,
                it.down,
                it.lent,
                it.short,
                "fixed" if it.sized is None else f"{it.sized:%m-%d %H:%M}",
            )
            for it in answer.buffers
        ],
        empty="No fabrics yet.",
        right="NODES BUFFER DOWN LENT SHORT",
    )
    if answer.turnarounds:
        say("")
        table(
            ("MARKET", "TURNAROUND", "PROMISED", "LONGEST", "PASSED", "FAILED"),
            [
                (
                    it.market,
                    "" if it.usual is None else _seconds(it.usual),
                    _seconds(it.promised),
                    _seconds(it.longest),
                    it.passed,
                    it.failed,
                )
                for it in answer.turnarounds
            ],
            empty="",
            right="TURNAROUND PROMISED LONGEST PASSED FAILED",
        )


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.1f} s"


def _sensors(answer: "wire.Status") -> str:
    read = [it for it in answer.sensors if it.state == "read"]
    other = [it for it in answer.sensors if it.state != "read"]
    words = f"{len(read)} read"
    if other:
        first = other[0]
        words += f", {len(other)} not: {first.sensor} of {first.node} is {first.state}"
    return words if answer.sensors else "none configured"


def _table(answer: "wire.Incidents") -> None:
    from parkade.cli.screen import table
    from parkade.mars.story import outcome_of

    table(
        ("INCIDENT", "OPENED", "NODE", "LEVEL", "SIGNAL", "ACTION", "OUTCOME", "HURT"),
        [
            (
                it.incident,
                f"{it.opened:%m-%d %H:%M:%S}",
                it.node,
                _level(it.level),
                it.signal,
                it.action.replace("_", " "),
                outcome_of(it),
                len(it.hurt),
            )
            for it in answer.incidents
        ],
        empty="No incidents.",
        right="HURT",
        drops="ACTION OPENED",
    )


def _story(answer: "wire.Incident") -> None:
    from parkade.cli.screen import console, say
    from parkade.mars.story import story_text

    for line in story_text(answer, width=console.width).splitlines():
        say(line)
