"""Maintenance windows: scheduled, listed, changed, cancelled."""

from parkade.api import context as contexts
from parkade.api import routing
from parkade.api.context import Authenticated, RequestContext, no_such
from parkade.api.pages import WHOLE, Paged, page_of
from parkade.api.translate.scalars import when
from parkade.api.views import maintenance as views
from parkade.control.answers import Decided
from parkade.core.fleet.maintenance import Maintenance
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.permissions import Read
from parkade.core.units.refusal import Refusal
from parkade.wire import maintenance as wire

router = routing.router("maintenance")


@router.post("/maintenance", status_code=201)
async def schedule(body: wire.ScheduleMaintenance, context: Authenticated) -> wire.Maintenance:
    """Nodes are emptied in time for a window and take work again at its end; operators only."""
    now_us = context.plane.present_us()
    command = commands.ScheduleMaintenance(
        by=context.viewer.user,
        nodes=body.nodes,
        start_us=None if body.start == "now" else when(body.start, now_us),
        end_us=when(body.end, now_us),
        reason=body.reason,
        is_forced=body.force,
    )

    def show(world: World, _: int, decided: Decided) -> wire.Maintenance:
        made = contexts.find(decided, events.MaintenanceScheduled)
        assert made is not None
        return _shown(world, made.maintenance)

    return await context.make(command, show)


@router.get("/maintenance")
async def list_windows(context: Authenticated, page: Paged = WHOLE) -> wire.Maintenances:
    """The windows that are not over: when, and how many nodes of which fabrics; for operators also
    which nodes, why, and what is still there."""
    is_whole = context.viewer.may_read(Read.NODES)

    def view(world: World, _: int) -> wire.Maintenances:
        found = world.records.maintenance.values()
        seen, upcoming = page_of(page, found, lambda it: it.maintenance)
        windows = (views.maintenance(world, it, is_whole=is_whole) for it in seen)
        return wire.Maintenances(maintenance=tuple(windows), next=upcoming)

    return await context.view(view)


@router.get("/maintenance/{maintenance}")
async def get_window(maintenance: str, context: Authenticated) -> wire.Maintenance:
    """One window that is not over, as it stands in the list."""
    is_whole = context.viewer.may_read(Read.NODES)

    def look(world: World, _: int) -> Maintenance | Refusal:
        return world.records.maintenance.get(maintenance) or _missing(maintenance)

    return await context.view_tagged(
        look, lambda world, _, it: views.maintenance(world, it, is_whole=is_whole)
    )


@router.post("/maintenance/{maintenance}/change")
async def change(
    maintenance: str, body: wire.ChangeMaintenance, context: Authenticated
) -> wire.Maintenance:
    """Another start or end of a window; operators only."""
    now_us = context.plane.present_us()
    command = commands.ChangeMaintenance(
        by=context.viewer.user,
        maintenance=maintenance,
        start_us=None if body.start is None else when(body.start, now_us),
        end_us=None if body.end is None else when(body.end, now_us),
        is_forced=body.force,
    )
    return await _change(context, command, maintenance)


@router.post("/maintenance/{maintenance}/cancel")
async def cancel(maintenance: str, context: Authenticated) -> wire.Maintenance:
    """A window is given up; where it has begun, its nodes take work again now. The window as it
    was; operators only."""
    command = commands.CancelMaintenance(by=context.viewer.user, maintenance=maintenance)
    return await _change(context, command, maintenance)


def _missing(name: str) -> Refusal:
    return no_such(f"maintenance window {name}")


async def _change(
    context: RequestContext, command: commands.AnyCommand, name: str
) -> wire.Maintenance:
    def look(world: World, _: int) -> Maintenance | Refusal | None:
        found = world.records.maintenance.get(name)
        return found if found or not context.viewer.is_operator else _missing(name)

    def show(world: World, _: int, __: Decided, before: Maintenance | None) -> wire.Maintenance:
        assert before is not None, "others than operators are refused"
        return _shown(world, before)

    return await context.change(command, show, look=look)


def _shown(world: World, maintenance: Maintenance) -> wire.Maintenance:
    now = world.records.maintenance.get(maintenance.maintenance, maintenance)
    return views.maintenance(world, now, is_whole=True)
