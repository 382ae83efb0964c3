"""Incidents of nodes, for operators: open ones and the last closed ones, each with its story."""

from starlette.responses import Response

from parkade.api.routes import mars
from parkade.console.context import Page, router

routes = router()


@routes.get("/incidents")
async def index(context: Page) -> Response:
    """All of them, and what automatic action may do."""
    found = (await mars.list_incidents(context.api, is_open=None)).incidents
    return context.page("incidents.html", found=found, state=await mars.mars_status(context.api))


@routes.get("/incidents/{incident}")
async def one(incident: str, context: Page) -> Response:
    """One story."""
    return context.page("incident.html", it=await mars.get_incident(incident, context=context.api))
