"""Mars: the state of automatic action, and incidents; operators only."""

from fastapi import Path, Query

from parkade.api import routing
from parkade.api.context import Authenticated, no_such
from parkade.api.etags import etag
from parkade.api.pages import WHOLE, Paged, page_of
from parkade.api.problems import problem
from parkade.api.views import mars as views
from parkade.core.healing.incident import Automation, Incident
from parkade.core.state import commands
from parkade.core.state.world import World
from parkade.core.steps.permissions import Read
from parkade.core.units.fraction import parse_fraction
from parkade.wire import mars as wire

router = routing.router("mars")


@router.get("/mars")
async def mars_status(context: Authenticated) -> wire.Status:
    """What Mars sees and may do: nodes by health, budgets, buffers, sensors."""
    context.require(Read.MARS)
    seen, tag = await context.view(
        lambda world, now_us: (views.look(world, now_us), etag(world, _automation(world)))
    )
    context.tag(tag)
    return _status(context, seen)


def _automation(world: World) -> Automation:
    return world.records.automation


def _status(context: Authenticated, seen: views.Look) -> wire.Status:
    return views.status(seen, context.plane.health_intake.sensors)


@router.post("/mars/automation")
async def set_automation(body: wire.SetAutomation, context: Authenticated) -> wire.Status:
    """Stop or start all automatic action, or change its budgets."""
    if body == wire.SetAutomation(reason=body.reason):
        raise problem("invalid", "name what shall change: is_on, is_limited, a share")
    command = commands.SetAutomation(
        by=context.viewer.user,
        reason=body.reason,
        is_on=body.is_on,
        is_limited=body.is_limited,
        fabric_share=None if body.fabric_share is None else parse_fraction(body.fabric_share),
        fleet_share=None if body.fleet_share is None else parse_fraction(body.fleet_share),
    )
    may_look = context.viewer.may_read(Read.MARS)
    seen = await context.change(
        command,
        lambda world, now_us, _, __: views.look(world, now_us),
        look=lambda world, _: _automation(world) if may_look else None,
    )
    return _status(context, seen)


@router.get("/mars/incidents")
async def list_incidents(
    context: Authenticated,
    page: Paged = WHOLE,
    node: str | None = None,
    is_open: bool | None = Query(None, alias="open"),
) -> wire.Incidents:
    """Open incidents and the last closed ones, the newest first."""
    context.require(Read.MARS)

    def view(world: World, _: int) -> tuple[list[Incident], str | None]:
        found = (
            each
            for each in reversed(world.records.incidents.values())
            if node in (None, each.node) and is_open in (None, each.outcome is None)
        )
        return page_of(page, found, lambda it: it.incident, is_falling=True)

    seen, upcoming = await context.view(view)
    return wire.Incidents(incidents=tuple(map(views.incident, seen)), next=upcoming)


@router.get("/mars/incidents/{incident}")
async def get_incident(
    incident: str = Path(max_length=100), *, context: Authenticated
) -> wire.Incident:
    """One incident: the whole story."""
    context.require(Read.MARS)
    what = incident if incident.startswith("incident-") else f"incident {incident}"
    found = await context.view(
        lambda world, _: world.records.incidents.get(incident) or no_such(what)
    )
    return views.incident(found)
