"""Orgs: what they are called, may hold and spend, and the money that comes and goes."""

from collections.abc import Callable

from parkade.api import routing
from parkade.api.context import Authenticated, RequestContext
from parkade.api.pages import WHOLE, Paged, page_of
from parkade.api.translate.scalars import micros, span_us
from parkade.api.views import people as views
from parkade.control.answers import Decided
from parkade.core.state import commands
from parkade.core.state.people import CapPeriod, Org
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal
from parkade.wire import people as wire

router = routing.router("people")


@router.post("/orgs", status_code=201)
async def create_org(body: wire.CreateOrg, context: Authenticated) -> wire.Org:
    """A new customer; operators only."""
    command = commands.CreateOrg(by=context.viewer.user, org=body.org)
    show = _org(context, body.org)
    return await context.make(command, lambda world, now_us, made: show(world, now_us, made, None))


@router.get("/orgs")
async def list_orgs(
    context: Authenticated, page: Paged = WHOLE, deleted: bool = False
) -> wire.Orgs:
    """The caller's own, or all for an operator; with `deleted` those that are gone too."""

    def view(world: World, now_us: int) -> wire.Orgs:
        shown = (it for it in world.records.orgs.values() if deleted or it.deleted_us is None)
        own = (it for it in shown if context.viewer.may_see(it.org))
        seen, upcoming = page_of(page, own, lambda it: it.org)
        kept_of = context.plane.kept_of
        return wire.Orgs(
            orgs=tuple(views.org(world, org, kept_of(org.org), now_us) for org in seen),
            next=upcoming,
        )

    return await context.view(view)


@router.get("/orgs/{org}")
async def get_org(org: str, context: Authenticated) -> wire.Org:
    """One org: the caller's own, or any for an operator."""
    kept_of = context.plane.kept_of

    def look(world: World, _: int) -> Org | Refusal:
        return context.visible(world.records.orgs.get(org), f"org {org}")

    return await context.view_tagged(
        look, lambda world, now_us, it: views.org(world, it, kept_of(org), now_us)
    )


@router.post("/orgs/{org}/deposits", status_code=201)
async def deposit(org: str, body: wire.Deposit, context: Authenticated) -> wire.Org:
    """Money from outside; operators only."""
    command = commands.Deposit(by=context.viewer.user, org=org, micros=micros(body.amount))
    return await _on_org(context, command, org)


@router.post("/orgs/{org}/disbursements", status_code=201)
async def disburse(org: str, body: wire.Adjust, context: Authenticated) -> wire.Org:
    """An org's money to the outside, as far as nothing has a claim on it; operators only."""
    return await _on_org(context, _adjust(org, body, context, is_refund=False), org)


@router.post("/orgs/{org}/refunds", status_code=201)
async def refund(org: str, body: wire.Adjust, context: Authenticated) -> wire.Org:
    """The operator's money to an org; operators only."""
    return await _on_org(context, _adjust(org, body, context, is_refund=True), org)


def _adjust(
    org: str, body: wire.Adjust, context: RequestContext, *, is_refund: bool
) -> commands.Adjust:
    return commands.Adjust(
        by=context.viewer.user,
        org=org,
        micros=micros(body.amount),
        is_refund=is_refund,
        reason=body.reason,
    )


@router.post("/orgs/{org}/grant")
async def set_grant(org: str, body: wire.SetGrant, context: Authenticated) -> wire.Org:
    """Money now and again and again; operators only."""
    command = commands.SetGrant(
        by=context.viewer.user,
        org=org,
        micros=micros(body.amount),
        every_us=span_us(body.every),
    )
    return await _on_org(context, command, org)


@router.post("/orgs/{org}/cap")
async def set_org_cap(org: str, body: wire.SetCap, context: Authenticated) -> wire.Org:
    """The most that all workloads of an org may cost and hold; operators, and owners of the org
    unless an operator set the cap that there is."""
    command = _cap_command(org, body, context)
    kept_of = context.plane.kept_of

    def show(world: World, now_us: int, _: Decided, __: Org | None) -> wire.Org:
        return views.capped_org(world, world.records.orgs[org], kept_of(org), now_us)

    return await context.change(command, show, look=_own(context, org))


@router.post("/orgs/{org}/cap/plan")
async def plan_org_cap(org: str, body: wire.SetCap, context: Authenticated) -> wire.StoppedByCap:
    """The bids that a cap of an org would tell to leave; operators, and owners of the org unless an
    operator set the cap that there is."""
    command = _cap_command(org, body, context)
    return await context.view(
        lambda world, now_us: views.stopped_by(world, command, now_us), is_plan=True
    )


def _cap_command(org: str, body: wire.SetCap, context: RequestContext) -> commands.SetOrgCap:
    """As the core has it."""
    return commands.SetOrgCap(
        by=context.viewer.user,
        org=org,
        cap_micros=None if body.cap is None else micros(body.cap),
        period=CapPeriod(body.period),
        most_gpus=body.most_gpus,
    )


@router.post("/orgs/{org}/bounds")
async def set_org_bounds(org: str, body: wire.SetOrgBounds, context: Authenticated) -> wire.Org:
    """How many workloads an org may have open, submit and start in a minute; operators only."""
    command = commands.SetOrgBounds(
        by=context.viewer.user,
        org=org,
        open_workloads=body.open_workloads,
        submits_per_minute=body.submits_per_minute,
        starts_per_minute=body.starts_per_minute,
    )
    return await _on_org(context, command, org)


@router.post("/orgs/{org}/description")
async def describe_org(org: str, body: wire.DescribeOrg, context: Authenticated) -> wire.Org:
    """What an org is called, and whom to ask about it; operators, and owners of the org."""
    command = commands.DescribeOrg(
        by=context.viewer.user, org=org, title=body.title, contact=body.contact
    )
    return await _on_org(context, command, org)


@router.post("/orgs/{org}/disabled")
async def set_org_disabled(org: str, body: wire.SetOrgDisabled, context: Authenticated) -> wire.Org:
    """Whether an org's tokens are refused; where they are, its workloads get their notice and end,
    and its claims are given back. What it has reserved and what its account holds stays. Operators
    only."""
    command = commands.SetOrgDisabled(by=context.viewer.user, org=org, is_disabled=body.is_disabled)
    return await _on_org(context, command, org)


@router.post("/orgs/{org}/delete")
async def delete_org(org: str, context: Authenticated) -> wire.Org:
    """An org that is disabled and holds nothing goes for good; its statements and its name stay.
    Operators only."""
    command = commands.DeleteOrg(by=context.viewer.user, org=org)
    return await _on_org(context, command, org)


async def _on_org(context: RequestContext, command: commands.AnyCommand, name: str) -> wire.Org:
    return await context.change(command, _org(context, name), look=_own(context, name))


def _own(context: RequestContext, name: str) -> Callable[[World, int], Org | None]:
    """The org, where the caller may see it."""
    return lambda world, _: world.records.orgs.get(name) if context.viewer.may_see(name) else None


def _org(
    context: RequestContext, name: str
) -> Callable[[World, int, Decided, Org | None], wire.Org]:
    kept_of = context.plane.kept_of
    return lambda world, now_us, _, __: views.org(
        world, world.records.orgs[name], kept_of(name), now_us
    )
