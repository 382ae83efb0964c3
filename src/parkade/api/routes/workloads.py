"""Workloads: submit, plan, look, change, and read what they print."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Annotated

from fastapi import Query
from msgspec.structs import replace

from parkade.api import context as contexts
from parkade.api import routing
from parkade.api.context import Authenticated, RequestContext
from parkade.api.problems import problem
from parkade.api.selection import Labels, Phases, selection
from parkade.api.translate.scalars import micros, micros_or_none, span_us
from parkade.api.translate.spec import members_of, spec_of
from parkade.api.views import bounds, effects, explanations, plans
from parkade.api.views import workloads as views
from parkade.api.views.shortages import FOR_MONEY, MOST_LIVE, shortage
from parkade.control.answers import Decided, Planned
from parkade.core.clearing.plan import Plan
from parkade.core.fleet.market import Market
from parkade.core.kernel.decide import decide
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units import indexes
from parkade.core.units.names import REFERENCE, WORKLOAD_NAME
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.array import member_name
from parkade.core.workloads.life import Why
from parkade.core.workloads.workload import Workload
from parkade.ports import EngineError
from parkade.wire import workloads as wire
from parkade.wire.effects import BoundsPlan, Effect
from parkade.wire.scalars import Instant

router = routing.router("workloads")
Place = Annotated[str | None, Query(pattern="^w[0-9]{1,18}(_[0-9]{1,6})?$")]


def _command(body: wire.Submit, context: RequestContext) -> commands.Submit:
    return commands.Submit(
        by=context.viewer.user,
        org=context.own_org(body.org),
        market=body.market,
        spec=spec_of(body.spec, now_us=context.plane.present_us()),
        is_held=body.hold,
    )


@router.post("/workloads", status_code=201)
async def submit(body: wire.Submit, context: Authenticated) -> wire.Workload:
    """A workload to be run; the answer echoes what it may cost."""

    def show(world: World, now_us: int, decided: Decided) -> views.Known:
        submitted = contexts.find(decided, events.Submitted)
        assert submitted is not None
        known = _known(world, submitted.workload, now_us)
        lacks = shortage(world, known.workload, now_us, most_live=MOST_LIVE)
        return replace(known, shortage=lacks)

    return views.workload(await context.make(_command(body, context), show))


@router.post("/workloads/plan")
async def plan_workload(body: wire.Submit, context: Authenticated) -> wire.Plan:
    """What the next clearing would do with it; nothing is submitted."""
    command, health = _command(body, context), context.plane.health()

    def view(
        world: World, now_us: int
    ) -> tuple[Plan, Planned, Market, str | None, str | None] | Refusal:
        made = context.plane.plan(world, command, now_us)
        if isinstance(made, Refusal):
            return made
        market = made[0].workload.market
        still = explanations.standstill(world, market, health)
        lacks = shortage(world, made[0].workload, now_us)
        return *made, world.records.markets[market], still, lacks

    plan, planned, market, standstill, lacks = await context.view(view, is_plan=True)
    try:
        rendered = await context.plane.rendered(planned)
    except EngineError as error:
        raise problem("unsupported", str(error)) from None
    return plans.plan(plan, market, rendered=rendered, standstill=standstill, shortage=lacks)


@router.get("/workloads")
async def list_workloads(
    context: Authenticated,
    all: bool = False,
    org: str | None = None,
    name: Annotated[str | None, Query(max_length=WORKLOAD_NAME.longest)] = None,
    user: Annotated[str | None, Query(max_length=REFERENCE.longest)] = None,
    phase: Phases = "",
    label: Labels = "",
    since: Instant | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    array: Annotated[str | None, Query(pattern="^w[0-9]{1,18}$")] = None,
    cursor: Place = None,
    after: Annotated[
        Place, Query(deprecated=True, description="`cursor`, as it was called")
    ] = None,
) -> wire.Workloads:
    """Newest first; the ended ones too with `all` or where `phase` names one of theirs.

    `name` may have `*`, `?` and `[...]`, as a shell's patterns; `phase` and `label` may name
    several, with commas between; a label is KEY or KEY=VALUE, and all must be there; `since`: not
    ended before. `cursor` is the `next` of the page before. An array is one of them; `array`: its
    members that are open or have ended, by falling index.
    """
    if org is not None:
        context.own_org(org)
    if cursor is not None and after is not None:
        raise problem("invalid", "send cursor or after, not both; after is its old name")
    after = cursor or after
    seen = org or (None if context.viewer.is_operator else context.viewer.org)
    chosen = selection(name=name, user=user, phases=phase, labels=label, since=since)
    is_all = all or any(each.is_ended for each in chosen.phases)

    def view(world: World, now_us: int) -> tuple[list[views.Known], str | None]:
        if array is None:
            several = _newest(world, seen, all=is_all, after=after)
        else:
            several = _members(world, seen, array, all=is_all, after=after)
        names = (it for it in several if chosen.has(it, views.shown_phase(world, it)))
        page = list(islice(names, limit))
        found = [views.known(world, each, now_us) for each in page]
        has_more = next(names, None) is not None
        return found, page[-1].workload if has_more else None

    page, upcoming = await context.view(view)
    return wire.Workloads(workloads=tuple(map(views.workload, page)), next=upcoming)


def _newest(world: World, org: str | None, *, all: bool, after: str | None) -> Iterator[Workload]:
    """Newest first. Grows with what is passed over: newer ones than `after`, with `all` also other
    orgs', and members of arrays."""
    workloads = world.records.workloads
    names: dict[str, None] | dict[str, Workload] = workloads
    if not all:
        names = world.live if org is None else world.live_of_org.get(org, {})
    before = None if after is None else _number(after)
    for name in reversed(names):
        workload = workloads[name]
        if workload.member_of is not None:
            continue
        if org in (None, workload.org) and (before is None or _number(name) < before):
            yield workload


def _members(
    world: World, org: str | None, array: str, *, all: bool, after: str | None
) -> Iterator[Workload]:
    """Members of an array that are open, with `all` the ended ones too, the greatest index first.
    Grows with the members that it has."""
    head = world.records.workloads.get(array)
    if head is None or head.spec.array is None or org not in (None, head.org):
        return
    before = None if after is None else int(after.partition("_")[2] or 0)
    open_ones = world.members.of(array).names
    for index in reversed(list(indexes.indexes(head.spec.array.members))):
        name = member_name(array, index)
        found = world.records.workloads.get(name)
        is_meant = found is not None and (all or name in open_ones)
        if found is not None and is_meant and (before is None or index < before):
            yield found


def _number(name: str) -> int:
    """Its place in the order of creation."""
    return int("".join(filter(str.isdecimal, name.partition("_")[0])) or 0)


@router.get("/workloads/{workload}")
async def get_workload(workload: str, context: Authenticated) -> wire.Workload:
    """One workload."""

    known = await context.view_tagged(
        looking_for(context, workload), lambda world, now_us, it: views.known(world, it, now_us)
    )
    return views.workload(known)


@router.get("/workloads/{workload}/why")
async def why(workload: str, context: Authenticated) -> wire.Why:
    """Why it is where it is, and the cheapest change that would win."""
    health = context.plane.health()

    def view(world: World, now_us: int) -> tuple[views.Known, str | None, str | None] | Refusal:
        found = looking_for(context, workload)(world, now_us)
        if isinstance(found, Refusal):
            return found
        still = explanations.standstill(world, found.market, health, found)
        waits_for_money = found.why in FOR_MONEY or found.why == Why.NEXT_CLEARING
        lacks = shortage(world, found, now_us) if waits_for_money else None
        return views.known(world, found, now_us), still, lacks

    known, standstill, lacks = await context.view(view)
    if known.workload.market in health.frozen_markets:
        standstill = "its market stands still after an internal error; its operator was told"
    elif health.is_clock_doubted:
        standstill = "the clock jumped, and no clearing runs until an operator confirms it"
    troubles = () if known.pool is None else context.plane.troubles(known.pool)
    sees_all = context.viewer.is_operator
    trouble = explanations.trouble(known, troubles, sees_all=sees_all)
    return explanations.why(
        known, standstill=standstill, sees_all=sees_all, trouble=trouble, shortage=lacks
    )


@router.post("/workloads/{workload}/hold")
async def hold(workload: str, context: Authenticated) -> wire.Workload:
    """Keep it from starting until it is released."""
    command = commands.Hold(by=context.viewer.user, workload=workload)
    return await _change(context, command, workload)


@router.post("/workloads/{workload}/release")
async def release(workload: str, context: Authenticated) -> wire.Workload:
    """The opposite of hold."""
    command = commands.Release(by=context.viewer.user, workload=workload)
    return await _change(context, command, workload)


@router.post("/workloads/{workload}/cancel")
async def cancel(workload: str, body: wire.Cancel, context: Authenticated) -> wire.Workload:
    """End it; one that runs gets the market's notice unless `now`."""
    by, members = context.viewer.user, members_of(body.members)
    command = commands.Cancel(by=by, workload=workload, now=body.now, members=members)
    return await _change(context, command, workload)


@router.post("/workloads/{workload}/bid")
async def bid(workload: str, body: wire.Bid, context: Authenticated) -> wire.Workload:
    """A new limit per GPU-hour, from the next clearing on."""
    return await _change(context, _bid_command(workload, body, context), workload)


@router.post("/workloads/{workload}/bid/plan")
async def plan_bid(workload: str, body: wire.Bid, context: Authenticated) -> Effect:
    """The workloads that a new limit would tell to leave: this one, or others for it."""
    command = _bid_command(workload, body, context)

    def view(world: World, now_us: int) -> Effect | Refusal:
        found = _or_its_array(context, world, workload)
        if isinstance(found, Refusal):
            return found
        outcome = effects.decided_effect(world, command, found.market, now_us)
        if isinstance(outcome, Refusal):
            return outcome
        terms = world.records.markets[found.market].terms
        return effects.shown(outcome[0], terms, org=context.only_org)

    return await context.view(view, is_plan=True)


def _bid_command(workload: str, body: wire.Bid, context: RequestContext) -> commands.ChangeBid:
    return commands.ChangeBid(
        by=context.viewer.user,
        workload=workload,
        limit_price_micros=micros(body.limit_price),
        members=members_of(body.members),
        instance_type=body.instance_type,
    )


def _or_its_array(context: RequestContext, world: World, name: str) -> Workload | Refusal:
    """A workload, or of a member that is not open its array."""
    array = world.records.workloads.get(name.partition("_")[0])
    return context.visible(world.records.workloads.get(name, array), f"workload {name}")


@router.post("/workloads/{workload}/bounds")
async def change_bounds(workload: str, body: wire.Bounds, context: Authenticated) -> wire.Workload:
    """Another `max_spend` or `max_duration` while it lives."""
    return await _change(context, _bounds_command(workload, body, context), workload)


@router.post("/workloads/{workload}/bounds/plan")
async def plan_bounds(workload: str, body: wire.Bounds, context: Authenticated) -> BoundsPlan:
    """When it must be gone with other bounds, and what it may cost then."""
    command = _bounds_command(workload, body, context)

    def view(world: World, now_us: int) -> BoundsPlan | Refusal:
        found = _or_its_array(context, world, workload)
        if isinstance(found, Refusal):
            return found
        decided = decide(world, command, now_us)
        return decided if isinstance(decided, Refusal) else bounds.planned(world, found, decided)

    return await context.view(view, is_plan=True)


def _bounds_command(
    workload: str, body: wire.Bounds, context: RequestContext
) -> commands.ChangeBounds:
    spend, lasts = _new_bounds(body)
    return commands.ChangeBounds(
        by=context.viewer.user,
        workload=workload,
        max_spend_micros=spend,
        max_duration_us=lasts,
        members=members_of(body.members),
    )


@router.post("/workloads/{workload}/retry")
async def retry(workload: str, body: wire.Retry, context: Authenticated) -> wire.Workload:
    """Run members of an array again that have ended."""
    command = commands.Retry(
        by=context.viewer.user, workload=workload, members=members_of(body.members)
    )
    return await _change(context, command, workload)


@router.post("/workloads/{workload}/resubmit")
async def resubmit(workload: str, body: wire.Resubmit, context: Authenticated) -> wire.Workload:
    """Run a workload that ended again, under its id and from its checkpoints."""
    spend, lasts = _new_bounds(body)
    command = commands.Resubmit(
        by=context.viewer.user,
        workload=workload,
        limit_price_micros=micros_or_none(body.limit_price),
        max_spend_micros=spend,
        max_duration_us=lasts,
    )
    return await _change(context, command, workload)


def _new_bounds(
    body: wire.Bounds | wire.Resubmit,
) -> tuple[commands.NewBound | None, commands.NewBound | None]:
    """(`max_spend`, `max_duration`); None: the request does not name it."""
    spend = lasts = None
    if "max_spend" in body.model_fields_set:
        spend = commands.NewBound(value=micros_or_none(body.max_spend))
    if "max_duration" in body.model_fields_set:
        longest = body.max_duration
        lasts = commands.NewBound(value=None if longest is None else span_us(longest))
    return spend, lasts


async def _change(
    context: RequestContext, command: commands.AnyCommand, name: str
) -> wire.Workload:
    def show(world: World, now_us: int, _: Decided, before: Workload) -> views.Known:
        return _known(world, before, now_us)

    return views.workload(await context.change(command, show, look=looking_for(context, name)))


def looking_for(context: RequestContext, name: str) -> Callable[[World, int], Workload | Refusal]:
    """The look that finds a workload of that name which the caller may see."""

    def look(world: World, _now_us: int) -> Workload | Refusal:
        found = world.records.workloads.get(name)
        array = world.records.workloads.get(name.partition("_")[0])
        if found is None and array is not None and array.array is not None and "_" in name:
            seen = context.visible(array, f"workload {name}")
            closed = f"{name} is not open; {array.workload} tells where its members are"
            return (
                seen
                if isinstance(seen, Refusal)
                else Refusal(reason=Reason.NOT_FOUND, detail=closed)
            )
        return context.visible(found, f"workload {name}")

    return look


def _known(world: World, before: Workload, now_us: int) -> views.Known:
    """As it stands now, or as it was known where the world has forgotten it."""
    return views.known(world, world.records.workloads.get(before.workload, before), now_us)
