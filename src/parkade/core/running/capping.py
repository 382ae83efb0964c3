"""What money and caps say of an on-demand window before it is sold: it is bounded here, and not by
clearings, because it never gives its seats up for a bid."""

from parkade.core.billing.commitments import available_micros, committed_micros, left_by_caps
from parkade.core.state.people import Cap
from parkade.core.state.world import World
from parkade.core.steps.holdings import gpus_held
from parkade.core.steps.lacking import short_of_money
from parkade.core.units.money import format_amount
from parkade.core.units.refusal import Reason, Refusal


def over_means(
    world: World, says: str, *, org: str, user: str, cost_micros: int, now_us: int
) -> Refusal | None:
    """The refusal of what costs more than its org can commit, or than a cap leaves. `says`: what
    costs how much. Cost grows with the org's live workloads."""
    available = available_micros(world, org, now_us)
    if available < cost_micros:
        return short_of_money(
            world,
            org,
            says,
            cost_micros=cost_micros,
            available_micros=available,
            by=user if user in world.records.users else None,
        )
    return over_money(world, says, org=org, user=user, cost_micros=cost_micros, now_us=now_us)


def over_money(
    world: World, says: str, *, org: str, user: str, cost_micros: int, now_us: int
) -> Refusal | None:
    """The refusal of what costs more than the caps of its user and org leave. Cost grows with the
    org's live workloads, where one has a cap."""
    for left, of_user in left_by_caps(world, org, user, now_us, cost=committed_micros):
        if left < cost_micros:
            whose = of_user or org
            raises = f"an operator raises it: parkade org cap {org} AMOUNT"
            if of_user is not None:
                raises = f"an owner raises it: parkade user cap {user} AMOUNT"
            return Refusal(
                reason=Reason.INSUFFICIENT_FUNDS,
                detail=f"{says}, and the cap of {whose} leaves {format_amount(max(0, left))}:"
                f" {format_amount(cost_micros - left)} are missing; {raises}",
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
