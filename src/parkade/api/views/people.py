"""Orgs, users and tokens as shown."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from parkade.api.translate.scalars import amount, amount_or_none, instant, instant_or_none
from parkade.core.billing.commitments import spending_of_org, spending_of_user
from parkade.core.billing.metering import accrued_by_user
from parkade.core.clearing.stopped_by_caps import stopped_by_caps, stopped_by_change
from parkade.core.kernel.decide import decide
from parkade.core.ledger.accounts import OPERATOR, org_account
from parkade.core.running.pacing import bounds_of, most_open, most_starts, most_submits
from parkade.core.state import commands
from parkade.core.state.people import Cap, CapPeriod, Org, Spending, Token, User
from parkade.core.state.world import World
from parkade.core.steps.holdings import gpus_held
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import month_of
from parkade.ports import KeptOfOrg
from parkade.wire import people as wire

MOST_STOPPED = 100
"""Workloads that the answer of a cap names."""


def org(world: World, org: Org, kept: KeptOfOrg | None, now_us: int) -> wire.Org:
    """An org, its balance, its cap and what pools keep of it."""
    balance = world.ledger.balance(org_account(org.org))
    grant = org.grant and wire.Grant(
        amount=amount(org.grant.micros),
        every=timedelta(microseconds=org.grant.every_us),
        next=instant(org.grant.next_us),
    )
    spent = _spent(
        spending_of_org(world, org.org),
        sum(accrued_by_user(world, org.org, now_us).values()),
        now_us,
    )
    return wire.Org(
        org=org.org,
        created=instant(org.created_us),
        balance=amount(balance),
        house=amount(world.ledger.balance(OPERATOR)) if org.org == OPERATOR else None,
        grant=grant,
        disabled=instant_or_none(org.disabled_us),
        deleted=instant_or_none(org.deleted_us),
        kept=kept
        and wire.KeptFolders(folders=kept.folders, bytes=kept.bytes, is_counted=kept.is_counted),
        is_cap_of_operator=org.cap is not None and org.cap.by_operator,
        bounds=_bounds(world, org.org),
        title=org.title,
        contact=org.contact,
        **spent,
        **_capped(world, org.cap, org.org, None),
    )


def capped_org(world: World, capped: Org, kept: KeptOfOrg | None, now_us: int) -> wire.Org:
    """An org whose cap was set just now, with the work that it stops."""
    stops = _stopped(stopped_by_caps(world, capped.org, None, now_us))
    return org(world, capped, kept, now_us).model_copy(update={"stops": stops})


def _bounds(world: World, org: str) -> wire.OrgBounds:
    own = bounds_of(world, org)
    return wire.OrgBounds(
        open_workloads=most_open(own),
        submits_per_minute=most_submits(own),
        starts_per_minute=most_starts(own),
        open_now=len(world.live_of_org.get(org, {})),
    )


def users(world: World, several: Iterable[User], now_us: int) -> wire.Users:
    """Users; cost grows with the live workloads of their orgs."""
    owed: dict[str, dict[str, int]] = {}
    found = []
    for each in several:
        if each.org not in owed:
            owed[each.org] = accrued_by_user(world, each.org, now_us)
        found.append(_user(world, each, owed[each.org].get(each.user, 0), now_us))
    return wire.Users(users=tuple(found))


def user(world: World, user: User, now_us: int) -> wire.User:
    """A user, its cap and what its workloads have cost."""
    return _user(world, user, accrued_by_user(world, user.org, now_us).get(user.user, 0), now_us)


def capped_user(world: World, capped: User, now_us: int) -> wire.User:
    """A user whose cap was set just now, with the work that it stops."""
    stops = _stopped(stopped_by_caps(world, capped.org, capped.user, now_us))
    return user(world, capped, now_us).model_copy(update={"stops": stops})


def stopped_by(
    world: World, command: commands.SetCap | commands.SetOrgCap, now_us: int
) -> wire.StoppedByCap | Refusal:
    """What a cap would stop that is not set."""
    decided = decide(world, command, now_us)
    if isinstance(decided, Refusal):
        return decided
    return _stopped(stopped_by_change(world, decided[0], now_us))


def _stopped(found: tuple[str, ...]) -> wire.StoppedByCap:
    """The workloads that a cap stops, the first of them by name."""
    return wire.StoppedByCap(workloads=found[:MOST_STOPPED], total=len(found))


def _user(world: World, user: User, owed_micros: int, now_us: int) -> wire.User:
    spent = _spent(spending_of_user(world, user.user), owed_micros, now_us)
    return wire.User(
        user=user.user,
        org=user.org,
        role=user.role.value,
        unix_name=user.unix_name,
        is_disabled=user.is_disabled,
        deleted=instant_or_none(user.deleted_us),
        **spent,
        **_capped(world, user.cap, user.org, user.user),
    )


def _spent(spending: Spending, owed_micros: int, now_us: int) -> dict[str, Any]:
    """What was charged and what has accrued since, as caps count it."""
    month = spending.within(CapPeriod.MONTH, month_of(now_us))
    return {
        "spent": amount(spending.total_micros + owed_micros),
        "spent_this_month": amount(month + owed_micros),
    }


def _capped(world: World, cap: Cap | None, org: str, user: str | None) -> dict[str, Any]:
    """The cost of one with a cap on GPUs grows with the org's live workloads."""
    most_gpus = None if cap is None else cap.most_gpus
    return {
        "cap": None if cap is None else amount_or_none(cap.micros),
        "cap_period": CapPeriod.TOTAL.value if cap is None else cap.period.value,
        "most_gpus": most_gpus,
        "gpus_held": None if most_gpus is None else gpus_held(world, org, user),
    }


def token(token: Token, last_used_us: int | None, *, made_with: str | None) -> wire.Token:
    """A token's public side."""
    return wire.Token(
        token=token.token,
        user=token.user,
        is_revoked=token.is_revoked,
        pool=token.pool,
        is_read_only=token.is_read_only,
        expires=instant_or_none(token.expires_us),
        last_used=instant_or_none(last_used_us),
        made_with=made_with,
    )
