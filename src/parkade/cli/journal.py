"""`parkade journal check`: what `parkade admin verify` was called before."""

from pathlib import Path
from typing import Annotated

import typer

from parkade.cli.admin import verify_place

journal = typer.Typer(help="The server's journal, on its machine.", no_args_is_help=True)


@journal.command()
def check(
    place: Annotated[
        Path | None,
        typer.Argument(help="A data folder or a backup; default: as for `up`.", metavar="[PLACE]"),
    ] = None,
) -> None:
    """The same as `parkade admin verify`."""
    verify_place(place)
