"""Users and orgs are deleted, once nothing is theirs any more.

Both must be disabled first, so that nothing begins meanwhile, and hold nothing: a deletion ends no
work and moves no money. All that is in the way is said at once, with the command that clears it.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from parkade.core.billing.metering import accrued_spans
from parkade.core.ledger.accounts import lending_of, org_account, org_of
from parkade.core.state import commands, events
from parkade.core.state.people import Role, Token, User
from parkade.core.state.world import World
from parkade.core.steps.permissions import is_operator
from parkade.core.steps.refusals import Decision, conflict, denied, not_found
from parkade.core.units.money import format_amount
from parkade.core.units.phrases import MOST_NAMED, counted, some_of

MOST_CANCELLED = 50
"""Workloads that one command is to cancel; the rest wait for the next."""


def delete_user(world: World, command: commands.DeleteUser, now_us: int) -> Decision:
    """The user goes, and its tokens are revoked. No user deletes itself, so an operator is always
    left. Twice is once. Cost grows with all tokens and the live workloads of its org."""
    user = world.records.users[command.user]
    if user.role is Role.OPERATOR and not is_operator(world, command.by):
        return denied("only an operator deletes operators")
    if command.by == command.user:
        return denied("a user does not delete itself; ask another operator or owner")
    if user.deleted_us is not None:
        return ()
    tokens = [it for it in world.records.tokens.values() if it.user == user.user]
    left = [it for it in tokens if not it.is_revoked]
    if in_the_way := list(_of_user(world, user, left, now_us)):
        return conflict(f"user {user.user} {'; '.join(in_the_way)}")
    revoked = (events.TokenRevoked(at_us=now_us, token=it.token) for it in left)
    return (events.UserDeleted(at_us=now_us, user=user.user), *revoked)


def _of_user(world: World, user: User, tokens: list[Token], now_us: int) -> Iterator[str]:
    """What keeps a user from being deleted, and what to do about it."""
    org = world.records.orgs[user.org]
    if not user.is_disabled and org.disabled_us is None:
        yield f"is not disabled: parkade user disable {user.user}"
    live = world.live_of_org.get(user.org, {})
    own = [it for it in live if world.records.workloads[it].user == user.user]
    if own:
        yield f"has {counted(len(own), 'open workload')}, {some_of(own)}: {_cancel(own)}"
    agents = [it for it in tokens if it.pool is not None and it.is_good(user, org, now_us)]
    if agents:
        named = some_of(f"{it.token} of pool {it.pool}" for it in agents)
        yield (
            f"made the tokens of agents, {named}: give each agent another"
            f" ({_each('pool agent-token', (it.pool or '' for it in agents))}), then"
            f" {_each('token revoke', (it.token for it in agents))}"
        )


def delete_org(world: World, command: commands.DeleteOrg, now_us: int) -> Decision:
    """The org goes, once its users have. Twice is once. Cost grows with users, reservations, claims
    and pools, and with what guests owe."""
    org = world.records.orgs.get(command.org)
    if org is None:
        return not_found("org", command.org)
    if org.deleted_us is not None:
        return ()
    in_the_way = [*_of_org(world, org.org), *_money_of_org(world, org.org, now_us)]
    if in_the_way:
        return conflict(f"org {org.org} {'; '.join(in_the_way)}")
    return (events.OrgDeleted(at_us=now_us, org=org.org),)


def _of_org(world: World, org: str) -> Iterator[str]:
    """What of its things keeps an org from being deleted, and what to do about it."""
    records = world.records
    if records.orgs[org].disabled_us is None:
        yield f"is not disabled: parkade org disable {org}"
    if live := world.live_of_org.get(org, {}):
        yield f"has {counted(len(live), 'open workload')}, {some_of(live)}: {_cancel(live)}"
    claims = [it.claim for it in records.claims.values() if it.org == org]
    if claims:
        yield f"claims nodes, {some_of(claims)}: {_each('unclaim', claims)}"
    rights = [
        it.reservation
        for it in records.reservations.values()
        if it.org == org and not it.state.is_over
    ]
    if rights:
        yield f"has reserved {some_of(rights)}: {_each('end', rights)}, or wait for the end"
    pools = [it.pool for it in records.pools.values() if it.supplier == org]
    if pools:
        yield f"supplies {some_of(pools)}: {_each('pool close', pools)}"
    users = [it.user for it in records.users.values() if it.org == org and it.deleted_us is None]
    if users:
        yield f"has users, {some_of(users)}: {_each('user delete', users)}"


def _cancel(workloads: Iterable[str]) -> str:
    """The command that ends these, or the first of very many."""
    return " ".join(["parkade cancel", *islice(workloads, MOST_CANCELLED)])


def _each(words: str, names: Iterable[str]) -> str:
    """A command for each of the names that are told, as one line for a shell."""
    typed = (f"parkade {words} {name}" for name in dict.fromkeys(names))
    return " && ".join(islice(typed, MOST_NAMED))


def _money_of_org(world: World, org: str, now_us: int) -> Iterator[str]:
    """What money is its own, or comes to it."""
    if world.records.orgs[org].grant is not None:
        yield f"is granted money: parkade org grant {org} 0"
    held = world.ledger.balance(org_account(org))
    if held:
        yield (
            f"holds {format_amount(held)}: parkade disburse {org} {format_amount(held)}"
            " --reason 'it leaves'"
        )
    if any(_earns(world, name, org, now_us) for name in world.live):
        yield "is owed for what it lent: guests are charged within the hour"


def _earns(world: World, workload: str, org: str, now_us: int) -> bool:
    """Whether what a guest owes now is in part the org's."""
    spans = accrued_spans(world, world.records.workloads[workload], now_us)
    accounts = (account for span in spans for account, _ in span.rate.shares)
    return any(org in (org_of(it), (lending_of(it) or ("",))[0]) for it in accounts)
