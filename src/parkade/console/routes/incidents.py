"""Incidents of nodes, for operators: open ones and the last closed ones, each with its story."""

from starlette.responses import RedirectResponse, Response

from parkade.api.problems import problem
from parkade.api.routes import mars, pools
from parkade.console.context import Page, router
from parkade.console.planning import Faults, request_of
from parkade.console.routes.operate import node_actions
from parkade.console.routes.supply import is_usual
from parkade.core.steps.permissions import Read
from parkade.wire.mars import SetAutomation

routes = router()
MOST_NODES = 100
AUTOMATION = {
    "stop": (
        "Nothing is cordoned, drained or repaired without a person; incidents open and wait.",
        "What is under way on a node is finished.",
    ),
    "start": ("Incidents that wait go on by the policy, within their budgets.",),
}
"""What a person may do about automatic action, and what that means."""


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
    """One story, and what a person may do with its node while it is open."""
    found = await mars.get_incident(incident, context=context.api)
    return context.page(
        "incident.html",
        it=found,
        actions=() if found.outcome else await _node_actions(context, found.node),
    )


async def _node_actions(context: Page, name: str) -> tuple[str, ...]:
    node = await context.if_there(pools.get_node(name, context.api))
    return () if node is None else node_actions(node, context.viewer.user)


@routes.get("/automation/{action}")
async def ask(action: str, context: Page) -> Response:
    """What stopping or starting automatic action means."""
    return await _automation_page(context, action, {})


@routes.post("/automation/{action}")
async def act(action: str, context: Page) -> Response:
    """Stops or starts it."""
    fields = await context.form()
    body, marked = request_of(SetAutomation, {"reason": ""} | fields, ("reason",))
    if body is None or action not in AUTOMATION:
        return await _automation_page(context, action, marked)
    is_on = action == "start"
    await mars.set_automation(body.model_copy(update={"is_on": is_on}), context.api)
    return RedirectResponse("/incidents", status_code=303)


async def _automation_page(context: Page, action: str, marked: Faults) -> Response:
    context.api.require(Read.MARS)
    if action not in AUTOMATION:
        raise problem("not_found", "there is no such action")
    return context.page(
        "automation.html",
        422 if marked else 200,
        action=action,
        echo=AUTOMATION[action],
        state=await mars.mars_status(context.api),
        faults=marked,
    )
