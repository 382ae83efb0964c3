"""Accounts and their statements."""

from typing import Annotated, Any

from fastapi import Query

from parkade.api import routing
from parkade.api.context import Authenticated
from parkade.api.pages import WHOLE, Paged, natural, page_of
from parkade.api.problems import problem
from parkade.api.translate.scalars import amount, microseconds
from parkade.api.views.statements import statement as view_of
from parkade.core.billing.metering import accrued_by_user
from parkade.core.leasing.lent_now import accrued_now
from parkade.core.ledger.accounts import (
    EXTERNAL,
    OPERATOR,
    clearing_account,
    kind_of,
    org_account,
    prepaid_account,
)
from parkade.core.state.world import World
from parkade.core.steps.permissions import Read
from parkade.wire.money import Account, Accounts, Statement
from parkade.wire.scalars import Instant

router = routing.router("money")
KINDS = "external", "operator", "org", "clearing", "prepaid"


def accounts_of(world: World) -> tuple[str, ...]:
    """Every account that exists, or holds something: the world outside, the house, each org's that
    is not deleted, each market's, each reservation's. Grows with what accounts there ever were."""
    balances = world.ledger.balances
    orgs = (it.org for it in world.records.orgs.values() if it.deleted_us is None)
    found = dict.fromkeys(
        (
            EXTERNAL,
            OPERATOR,
            *map(org_account, sorted(orgs)),
            *map(clearing_account, sorted(world.records.markets)),
            *map(prepaid_account, sorted(world.records.reservations)),
        )
    )
    return tuple(found | dict.fromkeys(it for it in sorted(balances) if balances[it]))


@router.get("/accounts")
async def accounts(context: Authenticated, page: Paged = WHOLE) -> Accounts:
    """All accounts of the ledger with what each holds; they add up to zero. Operators only."""
    context.require(Read.HOUSE_STATEMENT)

    def view(world: World, _: int) -> Accounts:
        names, held = accounts_of(world), world.ledger.balance
        seen, upcoming = page_of(page, names, str, order=_in_order)
        return Accounts(
            accounts=tuple(
                Account(account=it, kind=kind_of(it), balance=amount(held(it))) for it in seen
            ),
            total=amount(sum(held(it) for it in names)),
            next=upcoming,
        )

    return await context.view(view)


def _in_order(account: str) -> tuple[int, Any]:
    """The order of accounts: by their kind, then by name."""
    kind = kind_of(account)
    return KINDS.index(kind) if kind in KINDS else len(KINDS), natural(account)


@router.get("/statement")
async def statement(
    context: Authenticated,
    account: Annotated[str | None, Query(max_length=200)] = None,
    start: Instant | None = None,
    end: Instant | None = None,
) -> Statement:
    """An account's movements in [start, end); the caller's org's, or the operator's, where none is
    named."""
    viewer = context.viewer
    own = OPERATOR if viewer.is_operator else org_account(viewer.org)
    named = account or own
    if named != own:
        context.require(Read.HOUSE_STATEMENT)
    else:
        context.require(Read.STATEMENT, org=viewer.org)

    # First, so that the store is asked about accounts that there are, and as they were then: what
    # is posted meanwhile has accrued here, and would stand in the lines too.
    def look(world: World, now_us: int) -> tuple[bool, int, tuple[int, int] | None]:
        is_over = end is not None and microseconds(end) <= now_us
        accrued = None if is_over else _accrued(world, named, now_us)
        return _exists(world, named), world.records.sequence, accrued

    exists, until, accrued = await context.plane.read(look, org=viewer.org)
    if not exists:
        raise problem(
            "not_found", f"there is no account {named!r}; an org's is org/NAME, see `accounts`"
        )
    if start is not None and end is not None and start > end:
        raise problem("invalid", "start: lies after the end; exchange them")
    stated = await context.plane.archive.statement(
        named,
        from_us=None if start is None else microseconds(start),
        to_us=None if end is None else microseconds(end),
        until=until,
    )
    missing = await context.plane.archive.evidence(stated.transfers)
    shown = view_of(named, stated, is_operator=viewer.is_operator, missing=missing)
    if accrued is None:
        return shown
    owed, earned = map(amount, accrued)
    return shown.model_copy(update={"accrued": owed, "accrued_by_lending": earned})


def _accrued(world: World, account: str, now_us: int) -> tuple[int, int] | None:
    """(what an org's work owes, what its reservations earned), neither posted yet; None: it is no
    org's account. Grows with the live workloads."""
    org = account.partition("/")[2]
    if org not in world.records.orgs or account != org_account(org):
        return None
    rights = [it for it in world.records.reservations.values() if it.org == org]
    owed = sum(accrued_by_user(world, org, now_us).values())
    return owed, sum(accrued_now(world, rights, now_us).values())


def _exists(world: World, account: str) -> bool:
    """Whether there is such an account, or was."""
    return account in world.ledger.balances or account in accounts_of(world)
