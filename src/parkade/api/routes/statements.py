"""Statements, how the server stands, and the clock's confirmation."""

from typing import Annotated

from fastapi import Query

from parkade import __version__
from parkade.api import strict
from parkade.api.context import Authenticated
from parkade.api.problems import problem
from parkade.api.translate import microseconds, span
from parkade.api.views.statements import statement as view_of
from parkade.core.ledger.accounts import (
    EXTERNAL,
    OPERATOR,
    clearing_account,
    org_account,
    prepaid_account,
)
from parkade.core.state import commands
from parkade.core.state.world import World
from parkade.core.steps.permissions import Read
from parkade.wire.feed import Confirmed, Standing
from parkade.wire.money import Statement
from parkade.wire.scalars import Instant

router = strict.router("money")
MILLISECOND_US = 1_000


def accounts_of(world: World) -> set[str]:
    """Every account that exists: the house's, each market's, each org's."""
    return {
        OPERATOR,
        EXTERNAL,
        *map(clearing_account, world.records.markets),
        *map(org_account, world.records.orgs),
        *map(prepaid_account, world.records.reservations),
    }


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

    # First, so that the store is asked about accounts that there are.
    if not await context.plane.read(lambda world, _: named in accounts_of(world), org=viewer.org):
        raise problem("not_found", f"there is no account {named!r}; an org's is org/NAME")
    stated = await context.plane.archive.statement(
        named,
        from_us=None if start is None else microseconds(start),
        to_us=None if end is None else microseconds(end),
    )
    missing = await context.plane.archive.evidence(stated.transfers)
    return view_of(named, stated, is_operator=viewer.is_operator, missing=missing)


@router.get("/server", tags=["server"])
async def server(context: Authenticated) -> Standing:
    """How the server stands: its clock, and what does not work now."""
    health = context.plane.health()
    return Standing(
        server=__version__,
        is_running=health.is_running,
        is_clock_doubted=health.is_clock_doubted,
        clock_behind=span(health.clock_behind_us // MILLISECOND_US * MILLISECOND_US),
        frozen_markets=health.frozen_markets,
        silent_pools=health.silent_pools,
        refusing_pools=health.refusing_pools,
        engine_silent_pools=health.engine_silent_pools,
    )


@router.post("/clock/confirm")
async def confirm_clock(context: Authenticated) -> Confirmed:
    """The clock's jump was right; clearing goes on. Operators only."""
    command = commands.ConfirmClock(by=context.viewer.user)
    return await context.execute(
        command, lambda _, __, decided: Confirmed(sequence=decided.sequence)
    )
