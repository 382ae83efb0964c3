"""Nodes are reserved from the browser: a form with its plan, and the sale of what was planned."""

from collections.abc import Mapping

from starlette.responses import RedirectResponse, Response

from parkade.api.context import refuse_if_it_only_looks
from parkade.api.problems import ProblemError, problem
from parkade.api.routes import orgs, pools, reservations
from parkade.console.context import Page, PageContext, router
from parkade.console.planning import Faults, digest_of, faults_of, request_of
from parkade.wire import reservations as wire

routes = router()
FIELDS = ("market", "org", "name", "nodes", "start", "end")


@routes.get("/reserve")
async def form(context: Page) -> Response:
    """The form with a node in it, and the plan of that or what stands against it."""
    plan, faults = None, {}
    try:
        plan = await reservations.plan(wire.Reserve(nodes=1), context.api)
    except ProblemError as error:
        if error.problem.status in (403, 429, 503):
            raise
        faults = faults_of(error.problem, FIELDS)
    # A field that is empty is no fault before it was touched.
    faults = {name: says for name, says in faults.items() if name in ("", "nodes")}
    return await _page(context, {"nodes": "1"}, faults, plan=plan, status=200)


@routes.post("/reserve")
async def reserve(context: Page) -> Response:
    """Plans what the form says, and buys it where that was planned and is asked for."""
    fields = await context.form(is_change=False)
    request, faults = request_of(wire.Reserve, fields, FIELDS)
    if request is None:
        return await _page(context, fields, faults, plan=None)
    is_planned = fields.get("planned") == digest_of(fields, FIELDS)
    try:
        if fields.get("do") == "submit" and is_planned:
            refuse_if_it_only_looks(context.viewer)
            sold = await reservations.reserve(request, context.api)
            return RedirectResponse(f"/reservations/{sold.reservation}", status_code=303)
        plan = await reservations.plan(request, context.api)
    except ProblemError as error:
        if error.problem.status in (429, 503):
            raise
        return await _page(context, fields, faults_of(error.problem, FIELDS), plan=None)
    return await _page(context, fields, {}, plan=plan)


async def _page(
    context: PageContext,
    fields: Mapping[str, str],
    faults: Faults,
    *,
    plan: wire.ReservationPlan | None,
    status: int | None = None,
) -> Response:
    if context.viewer.role.value == "member":
        raise problem("denied", "only an owner of its org, or an operator, may do this")
    prices = (await pools.list_prices(context.api)).prices
    is_operator = context.viewer.is_operator
    listed = (await orgs.list_orgs(context.api)).orgs if is_operator else ()
    return context.page(
        "reserve_new.html",
        status or (422 if faults else 200),
        fields=dict.fromkeys(FIELDS, "") | dict(fields),
        faults=faults,
        plan=plan,
        planned=digest_of(fields, FIELDS) if plan is not None else "",
        was_asked=fields.get("do") == "submit",
        says=() if plan is None else plan.says,
        sheets=prices,
        orgs=[each.org for each in listed],
        may_submit=not context.viewer.is_read_only,
    )
