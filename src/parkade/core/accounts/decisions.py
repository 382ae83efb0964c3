"""Orgs, users, tokens, grants and deposits."""

from msgspec.structs import replace

from parkade.core.billing.commitments import available_micros
from parkade.core.ledger.accounts import EXTERNAL, OPERATOR, Transfer, TransferKind, org_account
from parkade.core.state import commands, events
from parkade.core.state.people import Grant, Org, Role, Token, User
from parkade.core.state.world import World
from parkade.core.steps.deleting import gone, taken
from parkade.core.steps.names import bad_new_name, org_of_token
from parkade.core.steps.permissions import is_operator
from parkade.core.steps.refusals import (
    Decision,
    already_exists,
    bad_name,
    conflict,
    denied,
    invalid,
    not_found,
)
from parkade.core.units import bounds
from parkade.core.units.money import format_amount
from parkade.core.units.names import SYSTEM_UNIX_NAMES, UNIX_NAME, scoped
from parkade.core.units.refusal import Reason, Refusal


def create_org(world: World, command: commands.CreateOrg, now_us: int) -> Decision:
    """A new customer; orgs are admitted by the operator alone."""
    if (refusal := bad_name("org", command.org)) is not None:
        return refusal
    if (known := world.records.orgs.get(command.org)) is not None:
        is_gone = known.deleted_us is not None
        return taken("org", command.org) if is_gone else already_exists("org", command.org)
    return (events.OrgCreated(at_us=now_us, org=Org(org=command.org, created_us=now_us)),)


def create_user(world: World, command: commands.CreateUser, now_us: int) -> Decision:
    """A new user; an owner may add to its own org, but no operator."""
    is_for_all = is_operator(world, command.by)
    if command.role is Role.OPERATOR and not is_for_all:
        return denied("only an operator makes operators")
    if command.unix_name is not None and not is_for_all:
        return denied("only an operator says as which Unix user a person's workloads run")
    refusal = bad_new_name(
        "user", command.user, world.records.users, org=command.org, org_of=lambda user: user.org
    )
    if refusal is not None:
        return _taken_by_deleted(world, command) or refusal
    if (refusal := _bad_unix_name(command.unix_name)) is not None:
        return refusal
    if sum(it.org == command.org for it in world.records.users.values()) >= bounds.MOST_USERS:
        return Refusal(
            reason=Reason.TOO_MANY,
            detail=f"{command.org} has {bounds.MOST_USERS:,} users, deleted ones included, and no"
            " org may have more; make another org for this user",
        )
    user = User(user=command.user, org=command.org, role=command.role, unix_name=command.unix_name)
    return (events.UserCreated(at_us=now_us, user=user),)


def _taken_by_deleted(world: World, command: commands.CreateUser) -> Refusal | None:
    """The refusal of a name that is taken, where it is a deleted user's."""
    bare = command.user.partition("@")[0]
    found = (world.records.users.get(it) for it in (bare, scoped(bare, command.org)))
    is_gone = any(it is not None and it.deleted_us and it.org == command.org for it in found)
    return taken("user", command.user) if is_gone else None


def set_unix_name(command: commands.SetUnixName, now_us: int) -> Decision:
    """Another Unix user for a user's workloads, from their next attempt on."""
    if (refusal := _bad_unix_name(command.unix_name)) is not None:
        return refusal
    name = command.unix_name
    return (events.UnixNameSet(at_us=now_us, user=command.user, unix_name=name),)


def set_org_disabled(world: World, command: commands.SetOrgDisabled, now_us: int) -> Decision:
    """The org's tokens are refused and its work ends, or it is as any other again; an org of
    operators stays, so that one is always left. Twice is once."""
    if command.org not in world.records.orgs:
        return not_found("org", command.org)
    users = world.records.users.values()
    if any(it.org == command.org and it.role is Role.OPERATOR for it in users):
        return conflict(f"{command.org} has operators; an org of operators is not disabled")
    org = world.records.orgs[command.org]
    if org.deleted_us is not None:
        return gone("org", org.org)
    if (org.disabled_us is not None) == command.is_disabled:
        return ()
    is_disabled = command.is_disabled
    return (events.OrgDisabled(at_us=now_us, org=org.org, is_disabled=is_disabled),)


def set_user_disabled(world: World, command: commands.SetUserDisabled, now_us: int) -> Decision:
    """The user's tokens are refused, or no longer; what it runs goes on. No user disables itself,
    so an operator is always left. Twice is once."""
    user = world.records.users[command.user]
    if user.role is Role.OPERATOR and not is_operator(world, command.by):
        return denied("only an operator disables operators")
    if command.by == command.user:
        return denied("a user does not disable itself; ask another operator or owner")
    if user.is_disabled == command.is_disabled:
        return ()
    is_disabled = command.is_disabled
    return (events.UserDisabled(at_us=now_us, user=user.user, is_disabled=is_disabled),)


def set_user_role(world: World, command: commands.SetUserRole, now_us: int) -> Decision:
    """The user may do more, or less. Operators alone make operators and take that back; no user
    sets its own role, so an operator is always left. Twice is once."""
    user = world.records.users[command.user]
    is_for_all = is_operator(world, command.by)
    if Role.OPERATOR in (user.role, command.role) and not is_for_all:
        return denied("only an operator makes operators, or sets an operator's role")
    if command.by == command.user:
        return denied("a user does not set its own role; ask another operator or owner")
    if user.role is command.role:
        return ()
    org = world.records.orgs[user.org]
    if command.role is Role.OPERATOR and org.disabled_us is not None:
        return conflict(f"{org.org} is disabled, and an org of operators is not")
    return (events.UserRoleSet(at_us=now_us, user=user.user, role=command.role),)


def _bad_unix_name(name: str | None) -> Refusal | None:
    if name is not None and not UNIX_NAME.accepts(name):
        return invalid("unix_name", UNIX_NAME.words)
    if name in SYSTEM_UNIX_NAMES:
        return invalid("unix_name", f"{name!r} is a system user; name a person's")
    return None


def add_token(world: World, command: commands.AddToken, now_us: int) -> Decision:
    """A token for a user: for oneself, or, as an owner, for a user of the own org. It expires no
    later than the one with which it is asked for."""
    user = world.records.users[command.user]
    assert user.org in world.records.orgs
    if user.role is Role.OPERATOR and not is_operator(world, command.by):
        return denied("only an operator makes an operator's tokens")
    if command.pool is not None and not is_operator(world, command.by):
        return denied("only an operator makes an agent's tokens")
    if command.lasts_us is not None and not bounds.TOKEN_LIFE_US.holds(command.lasts_us):
        return invalid("lasts", "a token lasts a minute at least and a hundred years at most")
    if command.pool is not None and command.pool not in world.records.pools:
        return not_found("pool", command.pool)
    refusal = bad_new_name(
        "token",
        command.token,
        world.records.tokens,
        org=user.org,
        org_of=lambda token: org_of_token(world, token),
    )
    if refusal is not None:
        return refusal
    if command.digest in world.tokens_by_digest:
        return already_exists("token", command.token)
    expires_us = _expires_us(world, command, now_us)
    if isinstance(expires_us, Refusal):
        return expires_us
    if _good_tokens(world, user, now_us) >= bounds.MOST_GOOD_TOKENS:
        return Refusal(
            reason=Reason.TOO_MANY,
            detail=f"{user.user} has {bounds.MOST_GOOD_TOKENS:,} good tokens already; revoke some,"
            " or make tokens that expire",
        )
    token = Token(
        token=command.token,
        user=command.user,
        digest=command.digest,
        is_revoked=False,
        pool=command.pool,
        is_read_only=command.is_read_only,
        expires_us=expires_us,
        made_with=command.made_with,
    )
    return (events.TokenAdded(at_us=now_us, token=token),)


def _good_tokens(world: World, user: User, now_us: int) -> int:
    """How many tokens of a user are good; cost grows with all tokens."""
    org = world.records.orgs[user.org]
    tokens = world.records.tokens.values()
    return sum(it.user == user.user and it.is_good(user, org, now_us) for it in tokens)


def _expires_us(world: World, command: commands.AddToken, now_us: int) -> int | Refusal | None:
    """When a new token ends: as asked for, and with the one that it is made with at the latest."""
    asked_us = None if command.lasts_us is None else now_us + command.lasts_us
    if command.made_with is None:
        return asked_us
    maker = world.records.tokens[command.made_with]
    if maker.is_read_only or maker.pool is not None:
        return denied("a token that may only look, or an agent's, makes no tokens")
    if maker.expires_us is None or asked_us is None:
        return asked_us if maker.expires_us is None else maker.expires_us
    if asked_us > maker.expires_us:
        return invalid(
            "lasts",
            "the token with which you ask expires before that; leave `lasts` out to make one that"
            " ends with it, or ask with a token that lasts",
        )
    return asked_us


def revoke_token(world: World, command: commands.RevokeToken, now_us: int) -> Decision:
    """The token is refused from now on; twice is once."""
    if world.records.tokens[command.token].is_revoked:
        return ()
    assert world.records.tokens[command.token].user in world.records.users
    return (events.TokenRevoked(at_us=now_us, token=command.token),)


def deposit(world: World, command: commands.Deposit, now_us: int) -> Decision:
    """Money from outside, as long as the balance is one that can be."""
    if not bounds.PAYMENT_MICROS.holds(command.micros):
        return invalid("amount", "a deposit is more than 0 and less than 1,000,000,000,000")
    if command.micros > (room := _room_micros(world, command.org)):
        return Refusal(
            reason=Reason.TOO_LARGE,
            detail=f"no balance is beyond {format_amount(bounds.BALANCE_MICROS.most)};"
            f" {command.org} can take {format_amount(room)} more",
        )
    transfer = Transfer(
        kind=TransferKind.DEPOSIT,
        debit=EXTERNAL,
        credit=org_account(command.org),
        micros=command.micros,
    )
    return (events.MoneyMoved(at_us=now_us, transfers=(transfer,)),)


def _room_micros(world: World, org: str) -> int:
    """What can be added to an org's balance. Every transfer is as large as a balance at most, so
    none is larger than a database can hold."""
    return max(0, bounds.BALANCE_MICROS.most - world.ledger.balance(org_account(org)))


def adjust(world: World, command: commands.Adjust, now_us: int) -> Decision:
    """Money by hand. An org can be paid what it has not committed, and the operator gives back what
    it has. Cost grows with the org's live workloads."""
    if not bounds.PAYMENT_MICROS.holds(command.micros):
        return invalid("amount", "an amount is more than 0 and less than 1,000,000,000,000")
    if not bounds.REASON_CHARACTERS.holds(len(command.reason)):
        return invalid("reason", "a reason has 1 to 500 characters")
    own = org_account(command.org)
    if command.is_refund:
        kind, debit, credit = TransferKind.REFUND, OPERATOR, own
        holder, available = "the operator's account", world.ledger.balance(OPERATOR)
    else:
        kind, debit, credit = TransferKind.DISBURSEMENT, own, EXTERNAL
        holder, available = command.org, available_micros(world, command.org, now_us)
    if available < command.micros:
        missing = command.micros - available
        return Refusal(
            reason=Reason.INSUFFICIENT_FUNDS,
            detail=f"{holder} has {format_amount(available)} that nothing has a claim on;"
            f" {format_amount(missing)} is missing",
        )
    moved = Transfer(kind=kind, debit=debit, credit=credit, micros=command.micros)
    return (events.MoneyMoved(at_us=now_us, transfers=(moved,), reason=command.reason),)


def set_grant(command: commands.SetGrant, now_us: int) -> Decision:
    """Money again and again, the first time now."""
    if not bounds.BALANCE_MICROS.holds(command.micros):
        return invalid("amount", "a grant is 0 (to end it) or more")
    if command.micros == 0:
        return (events.GrantSet(at_us=now_us, org=command.org, grant=None),)
    if not bounds.GRANT_INTERVAL_US.holds(command.every_us):
        return invalid("every", "a grant recurs at most once a minute, at least in a hundred years")
    grant = Grant(micros=command.micros, every_us=command.every_us, next_us=now_us)
    return (events.GrantSet(at_us=now_us, org=command.org, grant=grant),)


def pay_grant(world: World, org: str, at_us: int) -> tuple[events.AnyEvent, ...]:
    """A grant came due: the money, as far as the balance can take it, and when it comes again."""
    grant = world.records.orgs[org].grant
    assert grant is not None
    again = replace(grant, next_us=grant.next_us + grant.every_us)
    goes_on = events.GrantSet(at_us=at_us, org=org, grant=again)
    micros = min(grant.micros, _room_micros(world, org))
    if micros == 0:
        return (goes_on,)
    transfer = Transfer(
        kind=TransferKind.GRANT, debit=EXTERNAL, credit=org_account(org), micros=micros
    )
    return events.MoneyMoved(at_us=at_us, transfers=(transfer,)), goes_on


def describe_org(world: World, command: commands.DescribeOrg, now_us: int) -> Decision:
    """Another title or contact; what the command leaves out stays."""
    org = world.records.orgs[command.org]
    title = org.title if command.title is None else command.title or None
    contact = org.contact if command.contact is None else command.contact or None
    for name, text in (("title", title), ("contact", contact)):
        within = bounds.DESCRIPTION_CHARACTERS
        if text is not None and not (within.holds(len(text)) and text.isprintable()):
            return invalid(name, f"one line of at most {within.most} characters")
        if text is not None and not text.strip():
            return invalid(name, "nothing but blanks; leave it empty to take it away")
    if (title, contact) == (org.title, org.contact):
        return ()
    described = events.OrgDescribed(at_us=now_us, org=command.org, title=title, contact=contact)
    return (described,)
