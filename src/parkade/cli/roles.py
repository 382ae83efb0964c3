"""The role of a user, set after it was made."""

from typing import Annotated

import typer

from parkade.cli.calling import AsJson, calling
from parkade.cli.names import UserName


def set_user(
    user: UserName,
    role: Annotated[str, typer.Option(help="operator, owner, member or partner.")],
    as_json: AsJson = False,
) -> None:
    """Set the role of a user, for the tokens that it has at once. Its work goes on."""
    from parkade.cli.screen import say, show
    from parkade.wire.people import SetUserRole
    from parkade.wire.yaml import check

    with calling(as_json=as_json) as client:
        request = check({"role": role}, SetUserRole)
        show(
            client.set_user_role(user, role=request.role),
            lambda made: say(f"{made.user}: {made.role} of {made.org}"),
            as_json=as_json,
        )
