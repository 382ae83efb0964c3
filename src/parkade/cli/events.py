"""The journal as it happens."""

from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, calling

if TYPE_CHECKING:
    from parkade.wire.feed import Event


def events(
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new events.")] = False,
    after: Annotated[
        int | None, typer.Option(help="From this position on; default: all, with -f from now.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what happened, one event a line."""
    start = 0 if after is None and not follow else after
    with calling(as_json=as_json) as client:
        for event in client.events(after=start, follow=follow):
            if as_json:
                print(event.model_dump_json(), flush=True)
                continue
            show_event(event)


def show_event(event: "Event") -> None:
    """An event on one line, if that is wide enough."""
    from rich.text import Text

    from parkade.cli.screen import entry

    head = Text()
    head.append(f"{event.sequence:>7}  {event.at:%m-%d %H:%M:%S}  ", style="dim")
    head.append(f"{event.type:<18} ", style="cyan")
    entry(head, event.says if event.by is None else f"{event.says}  by {event.by}")
