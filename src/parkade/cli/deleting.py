"""Users and orgs deleted for good, which is said before."""

from datetime import datetime
from typing import Annotated

import typer

from parkade.cli.calling import AsJson, calling
from parkade.cli.confirming import Yes, confirm_for_good
from parkade.cli.names import OrgName, UserName

AlsoDeleted = Annotated[bool, typer.Option("--deleted", help="Also those that were deleted.")]


def delete_user(user: UserName, yes: Yes = False, as_json: AsJson = False) -> None:
    """Delete a disabled user that runs nothing. Its history stays, its name is not given again."""
    from parkade.cli.screen import say, show

    with calling(as_json=as_json) as client:
        says = f"{user} goes for good, with its tokens; its name is not given again"
        confirm_for_good(says, yes=yes)
        show(
            client.delete_user(user),
            lambda gone: say(f"{gone.user} is deleted; what it did stays under its name"),
            as_json=as_json,
        )


def delete_org(org: OrgName, yes: Yes = False, as_json: AsJson = False) -> None:
    """Delete a disabled org that holds nothing. Its statements stay, its name is not given
    again."""
    from parkade.cli.screen import say, show

    with calling(as_json=as_json) as client:
        confirm_for_good(f"{org} goes for good; its name is not given again", yes=yes)
        show(
            client.delete_org(org),
            lambda gone: say(f"{gone.org} is deleted; its statements stay under its name"),
            as_json=as_json,
        )


def state_of(deleted: datetime | None, *, is_disabled: bool) -> str:
    """Whether a user or an org is deleted or disabled, in a word."""
    if deleted is not None:
        return "deleted"
    return "disabled" if is_disabled else ""
