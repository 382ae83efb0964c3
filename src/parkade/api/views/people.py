"""Orgs, users and tokens as told."""

from parkade.api.translate import amount, instant
from parkade.core.ledger.accounts import org_account
from parkade.core.world.people import Org, Token, User
from parkade.core.world.world import World
from parkade.wire import people as wire


def org(world: World, org: Org) -> wire.Org:
    """An org and its balance."""
    balance = world.ledger.balance(org_account(org.org))
    return wire.Org(org=org.org, created=instant(org.created_us), balance=amount(balance))


def user(user: User) -> wire.User:
    """A user."""
    return wire.User(user=user.user, org=user.org, role=user.role.value, unix_name=user.unix_name)


def token(token: Token) -> wire.Token:
    """A token's public side."""
    return wire.Token(token=token.token, user=token.user, is_revoked=token.is_revoked)
