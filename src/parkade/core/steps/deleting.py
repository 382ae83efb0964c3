"""What is refused for a deleted user or org: all that would change it, or begin something for it.

The record of a deleted one stays: history, statements and the journal have its name, which is given
to no other. A deleted org still has its account, so what comes to it late can be paid out
(`Adjust`); a deleted user's tokens may be revoked again, which is nothing.
"""

from parkade.core.state import commands
from parkade.core.state.world import World
from parkade.core.steps.disabling import BEGINS
from parkade.core.units.refusal import Reason, Refusal

_STAYS = (commands.DeleteUser, commands.DeleteOrg, commands.RevokeToken, commands.Adjust)
"""Commands about accounts that a deleted one may be named in."""


def refuse_deleted(
    world: World, command: commands.AnyCommand, *, org: str | None, user: str | None
) -> Refusal | None:
    """The refusal of a command that concerns a deleted org, or a user that is."""
    about_accounts = isinstance(command, commands.AboutAccounts) and not isinstance(command, _STAYS)
    if not (about_accounts or isinstance(command, BEGINS)):
        return None
    whole, person = world.records.orgs.get(org or ""), world.records.users.get(user or "")
    if whole is not None and whole.deleted_us is not None:
        return gone("org", whole.org)
    if person is not None and person.deleted_us is not None:
        return gone("user", person.user)
    return None


def gone(kind: str, name: str) -> Refusal:
    """The refusal of what a deleted one would do."""
    detail = f"{kind} {name} was deleted, for good; make another, by another name"
    return Refusal(reason=Reason.CONFLICT, detail=detail)


def taken(kind: str, name: str) -> Refusal:
    """The refusal of the name of a deleted one."""
    detail = f"{kind} {name!r} was deleted, and its name is not given again; choose another"
    return Refusal(reason=Reason.ALREADY_EXISTS, detail=detail)
