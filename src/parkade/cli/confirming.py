"""What is asked before a change, by one rule.

    what cannot be taken back   (money that is paid for nothing, work of a whole org, a name that is
                                gone) is said and asked at a terminal; a script needs `--yes`
    what makes work leave       (others', or the user's own that was not named one by one) is said
                                and asked at a terminal; a script is told on stderr, and goes on

A person who was asked agreed to what was shown. So the change is made on that and nothing else:
it takes the tag of what was read before (`if_match`).
"""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import fail, warn

if TYPE_CHECKING:
    from parkade.wire.effects import Effect

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def confirm_for_good(says: str, *, yes: bool) -> bool:
    """Before what cannot be taken back. Ends the program where it is not agreed to; whether a
    person was asked."""
    if yes:
        warn(says)
        return False
    if not sys.stdin.isatty():
        fail(f"{says}; give --yes if you mean it", exit_code=2)
    return confirm(says, yes=False)


def confirm(says: str, *, yes: bool) -> bool:
    """Before what makes work leave. Ends the program where a person does not want it; whether one
    was asked."""
    warn(says)
    if yes or not sys.stdin.isatty():
        return False
    typer.confirm("Go on?", abort=True, err=True)
    return True


def agree(effect: "Effect", *, yes: bool) -> bool:
    """The same for what a clearing would do, where it would make any work leave."""
    return effect.may_evict and confirm(effect.says, yes=yes)
