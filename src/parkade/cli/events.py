"""The journal as it happens."""

from typing import Annotated

import typer

from parkade.cli.calling import AsJson, calling


def events(
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new events.")] = False,
    after: Annotated[
        int | None, typer.Option(help="From this position on; default: all, with -f from now.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what happened, one event a line."""
    from rich.text import Text

    from parkade.cli.screen import console

    start = 0 if after is None and not follow else after
    with calling(as_json=as_json) as client:
        for event in client.events(after=start, follow=follow):
            if as_json:
                print(event.model_dump_json(), flush=True)
                continue
            line = Text(f"{event.sequence:>7}  ", style="dim")
            line.append(f"{event.at:%m-%d %H:%M:%S}  ")
            line.append(f"{event.type:<18} ", style="cyan").append(event.says, style="default")
            if event.by is not None:
                line.append(f"  by {event.by}", style="dim")
            console.print(line, soft_wrap=True)
