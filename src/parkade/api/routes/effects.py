"""What a change of a limit, of bounds, a cap, an offer or a price sheet would do; none is made."""

from parkade.api import routing
from parkade.api.context import Authenticated, RequestContext
from parkade.api.routes.people import cap_command, org_cap_command
from parkade.api.routes.pools import prices_command
from parkade.api.routes.workloads import bounds_command
from parkade.api.translate import members_of, micros, micros_or_none
from parkade.api.views import bounds
from parkade.api.views import effects as views
from parkade.api.views.people import stopped
from parkade.core.clearing.effect import Effect, effect
from parkade.core.clearing.stopped_by_caps import stopped_by_change
from parkade.core.kernel.decide import decide
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal
from parkade.core.workloads.workload import Workload
from parkade.wire import effects as wire
from parkade.wire.people import SetCap, StoppedByCap
from parkade.wire.pools import SetPrices
from parkade.wire.reservations import Lend
from parkade.wire.workloads import Bid, Bounds

router = routing.router("effects")


@router.post("/workloads/{workload}/bid/plan")
async def plan_bid(workload: str, body: Bid, context: Authenticated) -> wire.Effect:
    """The workloads that a new limit would tell to leave: this one, or others for it."""
    command = commands.ChangeBid(
        by=context.viewer.user,
        workload=workload,
        limit_price_micros=micros(body.limit_price),
        members=members_of(body.members),
        instance_type=body.instance_type,
    )

    def view(world: World, now_us: int) -> wire.Effect | Refusal:
        found = _workload(context, world, workload)
        if isinstance(found, Refusal):
            return found
        outcome = _effect(world, command, found.market, now_us)
        if isinstance(outcome, Refusal):
            return outcome
        return views.effect(
            outcome[0], world.records.markets[found.market].terms, org=_org(context)
        )

    return await context.see(view, is_plan=True)


@router.post("/workloads/{workload}/bounds/plan")
async def plan_bounds(workload: str, body: Bounds, context: Authenticated) -> wire.BoundsPlan:
    """When it must be gone with other bounds, and what it may cost then."""
    command = bounds_command(workload, body, context)

    def view(world: World, now_us: int) -> wire.BoundsPlan | Refusal:
        found = _workload(context, world, workload)
        if isinstance(found, Refusal):
            return found
        decided = decide(world, command, now_us)
        return decided if isinstance(decided, Refusal) else bounds.planned(world, found, decided)

    return await context.see(view, is_plan=True)


@router.post("/reservations/{reservation}/lend/plan")
async def plan_lend(reservation: str, body: Lend, context: Authenticated) -> wire.Effect:
    """The guests that an offer would tell to leave; an owner is told what they must bid, not what
    they do."""
    command = commands.Lend(
        by=context.viewer.user,
        reservation=reservation,
        floor_micros=micros_or_none(body.floor),
        keep=body.keep,
    )

    def view(world: World, now_us: int) -> wire.Effect | Refusal:
        known = context.meant(world.records.reservations, reservation)
        found = context.visible(known, f"reservation {reservation}")
        if isinstance(found, Refusal):
            return found
        outcome = _effect(world, command, found.market, now_us)
        if isinstance(outcome, Refusal):
            return outcome
        ((change,), terms) = outcome[1], world.records.markets[found.market].terms
        assert isinstance(change, events.LendingSet)
        return views.effect_of_lending(outcome[0], terms, found, change.lending, org=_org(context))

    return await context.see(view, is_plan=True)


@router.post("/prices/{market}/plan")
async def plan_prices(market: str, body: SetPrices, context: Authenticated) -> wire.Effect:
    """The workloads that a new price sheet would tell to leave; operators only."""
    command = prices_command(market, body, context)

    def view(world: World, now_us: int) -> wire.Effect | Refusal:
        outcome = _effect(world, command, market, now_us)
        if isinstance(outcome, Refusal):
            return outcome
        return views.effect(outcome[0], world.records.markets[market].terms, org=_org(context))

    return await context.see(view, is_plan=True)


@router.post("/orgs/{org}/cap/plan")
async def plan_org_cap(org: str, body: SetCap, context: Authenticated) -> StoppedByCap:
    """The bids that a cap of an org would tell to leave; operators, and owners of the org unless an
    operator set the cap that there is."""
    command = org_cap_command(org, body, context)
    return await context.see(lambda world, now_us: _stopped(world, command, now_us), is_plan=True)


@router.post("/users/{user}/cap/plan")
async def plan_cap(user: str, body: SetCap, context: Authenticated) -> StoppedByCap:
    """The bids that a cap of a user would tell to leave; operators, and owners within their
    org."""
    command = cap_command(user, body, context)

    def view(world: World, now_us: int) -> StoppedByCap | Refusal:
        known = context.meant(world.records.users, user)
        found = context.visible(known, f"user {user}")
        return found if isinstance(found, Refusal) else _stopped(world, command, now_us)

    return await context.see(view, is_plan=True)


def _stopped(
    world: World, command: commands.SetCap | commands.SetOrgCap, now_us: int
) -> StoppedByCap | Refusal:
    decided = decide(world, command, now_us)
    if isinstance(decided, Refusal):
        return decided
    return stopped(stopped_by_change(world, decided[0], now_us))


def _effect(
    world: World, command: commands.AnyCommand, market: str, now_us: int
) -> tuple[Effect, tuple[events.AnyEvent, ...]] | Refusal:
    decided = decide(world, command, now_us)
    if isinstance(decided, Refusal):
        return decided
    return effect(world, decided, market, now_us), decided


def _workload(context: RequestContext, world: World, name: str) -> Workload | Refusal:
    """A workload, or of a member that is not open its array."""
    array = world.records.workloads.get(name.partition("_")[0])
    return context.visible(world.records.workloads.get(name, array), f"workload {name}")


def _org(context: RequestContext) -> str | None:
    """The org whose work is told by name; None: all."""
    return None if context.viewer.is_operator else context.viewer.org
