"""Orgs, users and tokens as shown."""

from datetime import timedelta

from parkade.api.translate import amount, amount_or_none, instant, instant_or_none
from parkade.core.ledger.accounts import org_account
from parkade.core.state.people import Org, Token, User
from parkade.core.state.world import World
from parkade.ports import KeptOfOrg
from parkade.wire import people as wire


def org(world: World, org: Org, kept: KeptOfOrg | None) -> wire.Org:
    """An org, its balance and what pools keep of it."""
    balance = world.ledger.balance(org_account(org.org))
    grant = org.grant and wire.Grant(
        amount=amount(org.grant.micros),
        every=timedelta(microseconds=org.grant.every_us),
        next=instant(org.grant.next_us),
    )
    return wire.Org(
        org=org.org,
        created=instant(org.created_us),
        balance=amount(balance),
        grant=grant,
        disabled=instant_or_none(org.disabled_us),
        kept=kept
        and wire.KeptFolders(folders=kept.folders, bytes=kept.bytes, is_counted=kept.is_counted),
    )


def user(world: World, user: User) -> wire.User:
    """A user, its cap and what its workloads have cost."""
    return wire.User(
        user=user.user,
        org=user.org,
        role=user.role.value,
        cap=amount_or_none(user.cap_micros),
        spent=amount(world.records.spent_by_user.get(user.user, 0)),
        unix_name=user.unix_name,
        is_disabled=user.is_disabled,
    )


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
