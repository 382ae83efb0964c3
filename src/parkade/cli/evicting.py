"""Before a change that tells others, or the user's own work, to leave: who leaves and when is said,
and a person at a terminal is asked. A script is told on stderr, and goes on."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import warn

if TYPE_CHECKING:
    from parkade.wire.effects import Effect

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask where work would have to leave.")]


def agree(effect: "Effect", *, yes: bool) -> None:
    """Ends the program where the user does not want it."""
    if effect.may_evict:
        confirm(effect.says, yes=yes)


def confirm(says: str, *, yes: bool) -> None:
    """Says what would come of it, and asks a person at a terminal."""
    warn(says)
    if not yes and sys.stdin.isatty():
        typer.confirm("Go on?", abort=True, err=True)
