"""What caps say of an on-demand window before it is sold: it is bounded here, and not by clearings,
because it never gives its seats up for a bid."""

from parkade.core.billing.commitments import allowance_micros, committed_micros
from parkade.core.state.people import Cap
from parkade.core.state.world import World
from parkade.core.steps.holdings import gpus_held
from parkade.core.units.money import format_amount
from parkade.core.units.refusal import Reason, Refusal


def over_caps(
    world: World, *, org: str, user: str, cost_micros: int, gpus: int, now_us: int
) -> Refusal | None:
    """The refusal of a window that costs, or holds, more than the caps of its user and org leave.
    Cost grows with the org's live workloads, where one has a cap."""
    refusal = over_money(world, org=org, user=user, cost_micros=cost_micros, now_us=now_us)
    return refusal or over_gpus(world, org=org, user=user, gpus=gpus)


def over_money(
    world: World, *, org: str, user: str, cost_micros: int, now_us: int
) -> Refusal | None:
    """The refusal of what costs more than the caps of its user and org leave. Cost grows with the
    org's live workloads, where one has a cap."""
    if allowance_micros(world, org, user, now_us, cost=committed_micros) < cost_micros:
        return Refusal(
            reason=Reason.INSUFFICIENT_FUNDS,
            detail=f"the whole window costs up to {format_amount(cost_micros)}, more than the cap"
            f" of {user or 'its user'} or {org} leaves",
        )
    return None


def over_gpus(world: World, *, org: str, user: str, gpus: int) -> Refusal | None:
    """The refusal of so many more GPUs than the caps of a user and its org let them hold. Cost
    grows with the org's live workloads, where one has a cap."""
    person, whole = world.records.users.get(user), world.records.orgs.get(org)
    caps = (
        (user, user, person.cap if person is not None else None),
        (None, org, whole.cap if whole is not None else None),
    )
    for of_user, whose, cap in caps:
        if cap is not None and (refusal := _over_gpus(world, cap, org, of_user, whose, gpus)):
            return refusal
    return None


def _over_gpus(
    world: World, cap: Cap, org: str, user: str | None, whose: str, gpus: int
) -> Refusal | None:
    if cap.most_gpus is None:
        return None
    held = gpus_held(world, org, user)
    if held + gpus <= cap.most_gpus:
        return None
    return Refusal(
        reason=Reason.OVER_CAP,
        detail=f"{whose} may hold {cap.most_gpus} GPUs at once and holds {held}: end some of its"
        " work, or bid for spot, which waits until they are free",
    )
