"""Maintenance windows: nodes that are out of use for a time."""

from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, call, calling
from parkade.cli.names import WindowName

if TYPE_CHECKING:
    from parkade.wire import maintenance as wire

maintenance = typer.Typer(
    help="Windows in which nodes are out of use: emptied in time, back by themselves.",
    no_args_is_help=True,
)
WHEN = "now, +2h, tomorrow, or 2026-01-31T12:00:00Z."
Force = Annotated[
    bool, typer.Option("--force", help="Also where owners are short then; they are credited.")
]


@maintenance.command()
def schedule(
    nodes: Annotated[list[str], typer.Argument(help="Nodes.")],
    end: Annotated[str, typer.Option("--end", "--to", help="Like --start.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Shown with the nodes.")],
    start: Annotated[str, typer.Option("--start", "--from", help=WHEN)] = "now",
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Empty nodes in time for a window; at its end they take work again."""
    from parkade.cli.screen import show
    from parkade.wire.maintenance import ScheduleMaintenance
    from parkade.wire.yaml import check

    given = {"nodes": nodes, "start": start, "end": end, "reason": reason, "force": force}
    with calling(as_json=as_json) as client:
        request = check(given, ScheduleMaintenance)
        show(client.schedule_maintenance(request), _one, as_json=as_json)


@maintenance.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the windows that are not over."""
    call(lambda client: client.list_maintenance(), _table, as_json=as_json)


@maintenance.command()
def change(
    window: WindowName,
    start: Annotated[
        str | None, typer.Option("--start", "--from", help="Another start; before it begins.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--end", "--to", help="Another end; now is allowed.")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Move the start or the end of a window."""
    if start is None and end is None:
        raise typer.BadParameter("give --start, --end, or both")
    call(
        lambda client: client.change_maintenance(window, start=start, end=end, force=force),
        _one,
        as_json=as_json,
    )


@maintenance.command()
def cancel(window: WindowName, as_json: AsJson = False) -> None:
    """Give a window up; where it has begun, its nodes take work again now."""
    from parkade.cli.screen import say

    call(
        lambda client: client.cancel_maintenance(window),
        lambda gone: say(f"{gone.maintenance}: cancelled"),
        as_json=as_json,
    )


def _one(window: "wire.Maintenance") -> None:
    from parkade.cli.screen import fields

    fields(
        [
            ("maintenance", window.maintenance),
            ("state", window.state),
            ("nodes", " ".join(window.nodes)),
            ("notice at", window.empties),
            ("free from", window.start),
            ("until", window.end),
            ("reason", window.reason),
            ("waits for", " ".join(window.waits_for)),
        ]
    )


def _table(answer: "wire.Maintenances") -> None:
    from parkade.cli.screen import minute, table

    table(
        ("MAINTENANCE", "STATE", "START", "END", "NODES", "WAITS FOR", "REASON"),
        [
            (
                it.maintenance,
                it.state,
                minute(it.start),
                minute(it.end),
                " ".join(it.nodes) or sum(away.nodes for away in it.takes),
                " ".join(it.waits_for),
                it.reason,
            )
            for it in answer.maintenance
        ],
        empty="No maintenance windows.",
        drops="REASON",
    )
