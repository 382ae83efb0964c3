"""Caps: what the workloads of a user, or of an org, may cost and hold at once.

A cap on money counts what workloads were charged, in all or in each calendar month (UTC), by the
month in which a charge is posted, as statements do. Reservations are no part of it: they are bought
by owners, who set the caps. A cap that an operator set for an org is changed by operators alone.

What a cap keeps from the market stands in `clearing.earmarks`. This module sets caps, and tells
that four fifths are spent: once, or once in each month of a monthly cap. Each clearing looks at
what was charged and is owed (`caps_near`); a charge without one is a deadline (`cap_due_us`).
"""

from parkade.core.billing.commitments import spending_of_org, spending_of_user
from parkade.core.billing.metering import accrued_by_user
from parkade.core.state import commands, events
from parkade.core.state.people import Cap, OrgBounds, Spending, User
from parkade.core.state.world import World
from parkade.core.steps.permissions import is_operator
from parkade.core.steps.refusals import Decision, denied, invalid
from parkade.core.units import bounds
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import month_of


def set_cap(command: commands.SetCap, now_us: int) -> Decision:
    """What a user's workloads may cost and hold; what runs beyond it gets its notice."""
    if (refusal := _bad_cap(command)) is not None:
        return refusal
    changed = events.CapSet(
        at_us=now_us,
        user=command.user,
        cap_micros=command.cap_micros,
        period=command.period,
        most_gpus=command.most_gpus,
    )
    return (changed,)


def set_org_cap(world: World, command: commands.SetOrgCap, now_us: int) -> Decision:
    """As for a user, of all workloads of an org."""
    before = world.records.orgs[command.org].cap
    by_operator = is_operator(world, command.by)
    if before is not None and before.by_operator and not by_operator:
        return denied("an operator set the cap of this org, and only an operator changes it")
    if (refusal := _bad_cap(command)) is not None:
        return refusal
    cap = Cap(
        micros=command.cap_micros,
        period=command.period,
        most_gpus=command.most_gpus,
        since_us=now_us,
        by_operator=by_operator,
    )
    is_none = cap.micros is None and cap.most_gpus is None
    return (events.OrgCapSet(at_us=now_us, org=command.org, cap=None if is_none else cap),)


def set_org_bounds(command: commands.SetOrgBounds, now_us: int) -> Decision:
    """How much an org may have open and begin, from now on; what is open goes on."""
    own = OrgBounds(
        open_workloads=command.open_workloads,
        submits_per_minute=command.submits_per_minute,
        starts_per_minute=command.starts_per_minute,
    )
    for name in own.__struct_fields__:
        value = getattr(own, name)
        if value is not None and not bounds.ORG_BOUND.holds(value):
            return invalid(name, f"a bound is 0 to {bounds.ORG_BOUND.most:,}")
    kept = None if own == OrgBounds() else own
    return (events.OrgBoundsSet(at_us=now_us, org=command.org, bounds=kept),)


def _bad_cap(command: commands.SetCap | commands.SetOrgCap) -> Refusal | None:
    if command.cap_micros is not None and not bounds.BALANCE_MICROS.holds(command.cap_micros):
        return invalid("cap", "a cap is 0 or more")
    if command.most_gpus is not None and not bounds.CAP_GPUS.holds(command.most_gpus):
        return invalid("gpus", f"a cap is of 0 to {bounds.CAP_GPUS.most:,} GPUs")
    return None


def cap_due_us(cap: Cap | None, spending: Spending) -> int | None:
    """When it has to be told that four fifths are spent; None: they are not, or it was told."""
    if cap is None or not cap.micros:
        return None
    at_us = max(cap.since_us, spending.at_us)
    month = month_of(at_us)
    if spending.within(cap.period, month) * 5 < cap.micros * 4:
        return None
    return at_us if _is_new(cap, month) else None


def _is_new(cap: Cap, month: int) -> bool:
    """Whether it was not told yet, or in another month of a cap that counts by month."""
    if cap.noted_month is None:
        return True
    return cap.is_monthly and cap.noted_month != month


def caps_near(world: World, now_us: int) -> tuple[events.CapNoted, ...]:
    """Of caps that were not told of: those of which four fifths are spent or owed now. Cost grows
    with users, and with the live workloads of orgs that have such caps."""
    month = month_of(now_us)
    users: dict[str, list[User]] = {}
    for user in world.records.users.values():
        if _is_untold(user.cap, month):
            users.setdefault(user.org, []).append(user)
    found: list[tuple[Cap | None, Spending, int, str, str | None]] = []
    for org in world.records.orgs.values():
        if not _is_untold(org.cap, month) and org.org not in users:
            continue
        owed = accrued_by_user(world, org.org, now_us)
        for user in users.get(org.org, ()):
            spending = spending_of_user(world, user.user)
            found.append((user.cap, spending, owed.get(user.user, 0), org.org, user.user))
        if _is_untold(org.cap, month):
            spending = spending_of_org(world, org.org)
            found.append((org.cap, spending, sum(owed.values()), org.org, None))
    return tuple(
        _noted(cap, org, name, spent, now_us)
        for cap, spending, owes, org, name in found
        if cap is not None
        and cap.micros
        and (spent := spending.within(cap.period, month) + owes) * 5 >= cap.micros * 4
    )


def _is_untold(cap: Cap | None, month: int) -> bool:
    return cap is not None and bool(cap.micros) and _is_new(cap, month)


def note_cap(
    world: World, *, org: str, user: str | None, at_us: int
) -> tuple[events.CapNoted, ...]:
    """The event that tells it. `user` None: the cap is the org's."""
    if user is None:
        cap, spending = world.records.orgs[org].cap, spending_of_org(world, org)
    else:
        cap, spending = world.records.users[user].cap, spending_of_user(world, user)
    assert cap is not None
    return (_noted(cap, org, user, spending.within(cap.period, month_of(at_us)), at_us),)


def _noted(cap: Cap, org: str, user: str | None, spent: int, at_us: int) -> events.CapNoted:
    assert cap.micros is not None and spent * 5 >= cap.micros * 4
    return events.CapNoted(
        at_us=at_us,
        org=org,
        user=user,
        spent_micros=spent,
        cap_micros=cap.micros,
        period=cap.period,
    )
