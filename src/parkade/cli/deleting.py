"""Users and orgs deleted for good, which is said before."""

import sys
from datetime import datetime
from typing import Annotated

import typer

from parkade.cli.calling import AsJson, calling

AlsoDeleted = Annotated[bool, typer.Option("--deleted", help="Also those that were deleted.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def delete_user(user: str, yes: Yes = False, as_json: AsJson = False) -> None:
    """Delete a disabled user that runs nothing. Its history stays, its name is not given again."""
    from parkade.cli.screen import say, show

    with calling(as_json=as_json) as client:
        _ask(f"{user} goes for good, with its tokens; its name is not given again", yes=yes)
        show(
            client.delete_user(user),
            lambda gone: say(f"{gone.user} is deleted; what it did stays under its name"),
            as_json=as_json,
        )


def delete_org(org: str, yes: Yes = False, as_json: AsJson = False) -> None:
    """Delete a disabled org that holds nothing. Its statements stay, its name is not given
    again."""
    from parkade.cli.screen import say, show

    with calling(as_json=as_json) as client:
        _ask(f"{org} goes for good; its name is not given again", yes=yes)
        show(
            client.delete_org(org),
            lambda gone: say(f"{gone.org} is deleted; its statements stay under its name"),
            as_json=as_json,
        )


def _ask(says: str, *, yes: bool) -> None:
    """Asks a person at a terminal; a refusal comes after it, so nothing is said to others."""
    if not yes and sys.stdin.isatty():
        typer.confirm(f"{says}. Go on?", abort=True, err=True)


def state_of(deleted: datetime | None, *, is_disabled: bool) -> str:
    """Whether a user or an org is deleted or disabled, in a word."""
    if deleted is not None:
        return "deleted"
    return "disabled" if is_disabled else ""
