"""What becomes of a disabled org's things: it begins nothing, and what it has ends by deadlines.

`SetOrgDisabled` marks the org alone. Each of its live workloads and claims is a deadline of its own
at that instant, so that money is settled one after another and an org of any size keeps no other
waiting. Reservations stay as they are: they are rights that were sold, and go on to be lent.
"""

from parkade.core.state import commands
from parkade.core.state.world import World
from parkade.core.units.refusal import Reason, Refusal

BEGINS = (
    commands.Submit,
    commands.Reserve,
    commands.ExtendReservation,
    commands.MakeClaim,
    commands.Retry,
    commands.Resubmit,
    commands.OpenExec,
)
"""What a disabled org does not do, nor an operator for it."""


def disabled_us(world: World, org: str) -> int | None:
    """Since when it is disabled; None: it is not."""
    return world.records.orgs[org].disabled_us


def refuse_disabled(world: World, command: commands.AnyCommand, org: str | None) -> Refusal | None:
    """The refusal of a command that would begin something for a disabled org."""
    if not isinstance(command, BEGINS) or org not in world.records.orgs:
        return None
    if disabled_us(world, org) is None:
        return None
    detail = f"org {org} is disabled: it begins nothing; parkade org enable {org}"
    return Refusal(reason=Reason.DENIED, detail=detail)
