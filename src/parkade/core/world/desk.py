"""Orgs, users, tokens, money and the price sheet: the operator's desk."""

import re

from msgspec.structs import replace

from parkade.core.ledger.accounts import EXTERNAL, Transfer, TransferKind, org_account
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import MINUTE_US
from parkade.core.world import commands as asked
from parkade.core.world import events as happened
from parkade.core.world.people import Grant, Org, Role, Token, User
from parkade.core.world.permits import denied, is_operator, may_own_for, not_found
from parkade.core.world.world import World

Decision = tuple[happened.Event, ...] | Refusal

NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,38}[a-z0-9])?")
RESERVED_UNIX_NAMES = frozenset({"root", "daemon", "nobody", "bin", "sys"})
MOST_MICROS = 10**18
MOST_PRICE_MICROS = 10**12
SHORTEST_GRANT_US = MINUTE_US


def invalid(field: str, detail: str) -> Refusal:
    """The refusal of a value, with its place."""
    return Refusal(reason=Reason.INVALID, detail=detail, field=field)


def bad_name(field: str, name: str) -> Refusal | None:
    """A refusal unless the name can stand in paths, ids and accounts."""
    if NAME.fullmatch(name):
        return None
    return invalid(
        field, f"{name!r} is not a name: use up to 40 lower-case letters, digits, - and _"
    )


def open_epoch(world: World, _command: asked.OpenEpoch, now_us: int) -> Decision:
    """A new writer's first event."""
    return (happened.EpochOpened(at_us=now_us, epoch=world.records.epoch + 1),)


def confirm_clock(world: World, command: asked.ConfirmClock, now_us: int) -> Decision:
    """Clearing goes on after a jump of the clock."""
    if not is_operator(world, command.by):
        return denied("only an operator confirms the clock")
    if not world.records.is_clock_doubted:
        return ()
    return (happened.ClockConfirmed(at_us=now_us),)


def create_org(world: World, command: asked.CreateOrg, now_us: int) -> Decision:
    """A new customer; orgs are admitted by the operator alone."""
    if not is_operator(world, command.by):
        return denied("only an operator admits orgs")
    if (refusal := bad_name("org", command.org)) is not None:
        return refusal
    if command.org in world.records.orgs:
        return Refusal(reason=Reason.ALREADY_EXISTS, detail=f"org {command.org!r} exists")
    return (happened.OrgCreated(at_us=now_us, org=Org(org=command.org, created_us=now_us)),)


def create_user(world: World, command: asked.CreateUser, now_us: int) -> Decision:
    """A new user; an owner may add to its own org, but no operator."""
    is_for_all = is_operator(world, command.by)
    if not is_for_all and not may_own_for(world, command.by, command.org):
        return denied("only an operator, or an owner of the org, adds users to it")
    if command.role is Role.OPERATOR and not is_for_all:
        return denied("only an operator makes operators")
    if command.unix_name is not None and not is_for_all:
        return denied("only an operator says as which Unix user somebody's workloads run")
    if command.org not in world.records.orgs:
        return not_found("org", command.org)
    if (refusal := bad_name("user", command.user)) is not None:
        return refusal
    if command.user in world.records.users:
        return Refusal(reason=Reason.ALREADY_EXISTS, detail=f"user {command.user!r} exists")
    if command.unix_name in RESERVED_UNIX_NAMES:
        return invalid("unix_name", f"{command.unix_name!r} is a system user; name a person's")
    user = User(user=command.user, org=command.org, role=command.role, unix_name=command.unix_name)
    return (happened.UserCreated(at_us=now_us, user=user),)


def add_token(world: World, command: asked.AddToken, now_us: int) -> Decision:
    """A token for a user: one's own, or anybody's of one's org for an owner."""
    user = world.records.users.get(command.user)
    if user is None:
        return not_found("user", command.user)
    if not (command.by == user.user or may_own_for(world, command.by, user.org)):
        return denied("tokens are made by their user, an owner of the org or an operator")
    if user.role is Role.OPERATOR and not is_operator(world, command.by):
        return denied("only an operator makes an operator's tokens")
    if command.pool is not None and not is_operator(world, command.by):
        return denied("only an operator makes an agent's tokens")
    if command.pool is not None and command.pool not in {
        market.pool for market in world.records.markets.values()
    }:
        return not_found("pool", command.pool)
    if command.token in world.records.tokens or command.digest in world.tokens_by_digest:
        return Refusal(reason=Reason.ALREADY_EXISTS, detail=f"token {command.token!r} exists")
    token = Token(
        token=command.token,
        user=command.user,
        digest=command.digest,
        is_revoked=False,
        pool=command.pool,
    )
    return (happened.TokenAdded(at_us=now_us, token=token),)


def revoke_token(world: World, command: asked.RevokeToken, now_us: int) -> Decision:
    """The token is refused from now on; twice is once."""
    token = world.records.tokens.get(command.token)
    if token is None:
        return not_found("token", command.token)
    user = world.records.users[token.user]
    if not (command.by == user.user or may_own_for(world, command.by, user.org)):
        return denied("tokens are revoked by their user, an owner of the org or an operator")
    if token.is_revoked:
        return ()
    return (happened.TokenRevoked(at_us=now_us, token=command.token),)


def deposit(world: World, command: asked.Deposit, now_us: int) -> Decision:
    """Money from outside."""
    if not is_operator(world, command.by):
        return denied("only an operator takes deposits")
    if command.org not in world.records.orgs:
        return not_found("org", command.org)
    if not 0 < command.micros <= MOST_MICROS:
        return invalid("amount", "a deposit is more than 0 and at most 1,000,000,000,000")
    transfer = Transfer(
        kind=TransferKind.DEPOSIT,
        debit=EXTERNAL,
        credit=org_account(command.org),
        micros=command.micros,
    )
    return (happened.MoneyMoved(at_us=now_us, transfers=(transfer,)),)


def set_grant(world: World, command: asked.SetGrant, now_us: int) -> Decision:
    """Money again and again, the first time now."""
    if not is_operator(world, command.by):
        return denied("only an operator grants money")
    if command.org not in world.records.orgs:
        return not_found("org", command.org)
    if not 0 <= command.micros <= MOST_MICROS:
        return invalid("amount", "a grant is 0 (to end it) or more")
    if command.micros == 0:
        return (happened.GrantSet(at_us=now_us, org=command.org, grant=None),)
    if command.every_us < SHORTEST_GRANT_US:
        return invalid("every", "a grant recurs at most once a minute")
    grant = Grant(micros=command.micros, every_us=command.every_us, next_us=now_us)
    return (happened.GrantSet(at_us=now_us, org=command.org, grant=grant),)


def pay_grant(world: World, org: str, at_us: int) -> tuple[happened.Event, ...]:
    """A grant came due: the money, and when it comes again."""
    grant = world.records.orgs[org].grant
    assert grant is not None
    transfer = Transfer(
        kind=TransferKind.GRANT, debit=EXTERNAL, credit=org_account(org), micros=grant.micros
    )
    again = replace(grant, next_us=grant.next_us + grant.every_us)
    return (
        happened.MoneyMoved(at_us=at_us, transfers=(transfer,)),
        happened.GrantSet(at_us=at_us, org=org, grant=again),
    )


def set_cap(world: World, command: asked.SetCap, now_us: int) -> Decision:
    """What a user's workloads may cost; what runs beyond it gets its notice."""
    user = world.records.users.get(command.user)
    if user is None:
        return not_found("user", command.user)
    if not may_own_for(world, command.by, user.org):
        return denied("only an owner of the org, or an operator, caps its users")
    if command.cap_micros is not None and not 0 <= command.cap_micros <= MOST_MICROS:
        return invalid("cap", "a cap is 0 or more")
    return (happened.CapSet(at_us=now_us, user=command.user, cap_micros=command.cap_micros),)


def set_prices(world: World, command: asked.SetPrices, now_us: int) -> Decision:
    """A new price sheet, for what is sold and cleared from now on."""
    if not is_operator(world, command.by):
        return denied("only an operator sets prices")
    market = world.records.markets.get(command.market)
    if market is None:
        return not_found("market", command.market)
    terms = market.terms
    given = {
        "pay_as_you_go": command.pay_as_you_go_micros,
        "reservation_rate": command.reservation_rate_micros,
        "public_floor": command.public_floor_micros,
    }
    for field, micros in given.items():
        if micros is not None and not 0 <= micros <= MOST_PRICE_MICROS:
            return invalid(field, "a price is 0 to 1,000,000 per GPU-hour")
    event = happened.PricesSet(
        at_us=now_us,
        market=market.market,
        pay_as_you_go_micros=_or(command.pay_as_you_go_micros, terms.pay_as_you_go_micros),
        reservation_rate_micros=_or(command.reservation_rate_micros, terms.reservation_rate_micros),
        public_floor_micros=_or(command.public_floor_micros, terms.public_floor_micros),
    )
    return (event,)


def _or(given: int | None, present: int) -> int:
    return present if given is None else given
