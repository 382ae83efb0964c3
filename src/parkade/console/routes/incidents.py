"""Incidents of nodes, for operators: open ones and the last closed ones, each with its story."""

from starlette.responses import Response

from parkade.api.routes import mars, pools
from parkade.console.context import Page, router
from parkade.console.routes.supply import is_usual

routes = router()
MOST_NODES = 100


@routes.get("/incidents")
async def index(context: Page) -> Response:
    """All of them, what automatic action may do, and the nodes that work keeps away from, for which
    there is no incident where a person failed them."""
    found = (await mars.list_incidents(context.api, is_open=None)).incidents
    nodes = [it for it in (await pools.list_nodes(context.api)).nodes if not is_usual(it)]
    return context.page(
        "incidents.html",
        found=found,
        nodes=nodes[:MOST_NODES],
        count=len(nodes),
        state=await mars.mars_status(context.api),
    )


@routes.get("/incidents/{incident}")
async def one(incident: str, context: Page) -> Response:
    """One story."""
    return context.page("incident.html", it=await mars.get_incident(incident, context=context.api))
