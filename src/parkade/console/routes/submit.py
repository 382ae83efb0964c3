"""A new workload from the browser: the form, its plan as it is filled in, and the submission.

Nothing is submitted that was not planned: the form carries a digest of what was planned, and where
it says something else by then, the plan of that comes first.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from starlette.responses import RedirectResponse, Response

from parkade.api.context import refuse_if_it_only_looks
from parkade.api.problems import ProblemError
from parkade.api.routes import orgs, pools, reservations, workloads
from parkade.api.views.shortages import FOR_MONEY
from parkade.console import words
from parkade.console.context import Page, PageContext, router
from parkade.console.history import Sample, known_prices
from parkade.console.submitting import FIELDS, Faults, digest_of, faults_of, request_of
from parkade.core.units.money import MICROS
from parkade.wire import workloads as wire
from parkade.wire.pools import Market
from parkade.wire.scalars import format_amount

routes = router()
NEEDED = {
    "name": "a name",
    "command": "a command",
    "workdir": "a folder to start in",
    "limit_price": "for spot a limit",
    "max_duration": "how long it runs at most",
}
"""What is told beside the plan while its field is empty and was not touched yet."""


@routes.get("/submit")
async def form(context: Page) -> Response:
    """The empty form."""
    return await _page(context, {}, {}, plan=None)


@routes.post("/submit")
async def submit(context: Page) -> Response:
    """Plans what the form says, and submits it where that was planned and is asked for."""
    fields = await context.form(is_change=False)
    request, faults = request_of(fields)
    if request is None:
        return await _page(context, fields, faults, plan=None)
    is_planned = fields.get("planned") == digest_of(fields)
    try:
        if fields.get("do") == "submit" and is_planned:
            refuse_if_it_only_looks(context.viewer)
            made = await workloads.submit(request, context.api)
            return RedirectResponse(f"/workloads/{made.workload}", status_code=303)
        plan = await workloads.plan_workload(request, context.api)
    except ProblemError as error:
        if error.problem.status in (429, 503):
            raise
        return await _page(context, fields, faults_of(error.problem), plan=None)
    is_array = request.spec.array is not None
    return await _page(context, fields, {}, plan=plan, is_array=is_array)


async def _page(
    context: PageContext,
    fields: Mapping[str, str],
    faults: Faults,
    *,
    plan: wire.Plan | None,
    is_array: bool = False,
) -> Response:
    prices = (await pools.list_prices(context.api)).prices
    markets = (await pools.list_pools(context.api)).markets
    held = (await reservations.list_reservations(context.api)).reservations
    listed = (await orgs.list_orgs(context.api)).orgs
    missing = [says for it, says in NEEDED.items() if it in faults and not fields.get(it)]
    return context.page(
        "submit.html",
        422 if faults else 200,
        fields=dict.fromkeys(FIELDS, "") | {"capacity": "spot"} | dict(fields),
        faults=faults,
        is_begun=bool(fields),
        missing=missing,
        needed=NEEDED,
        plan=plan,
        is_array=is_array,
        planned=digest_of(fields) if plan is not None else "",
        was_asked=fields.get("do") == "submit",
        waits=[] if plan is None else _waits(context, fields, plan, markets),
        sheets=prices,
        orgs=[each.org for each in listed] if context.viewer.is_operator else [],
        kinds=_kinds([each.reservation for each in held if each.state == "in_force"]),
        may_submit=not context.viewer.is_read_only,
    )


def _kinds(held: Sequence[str]) -> list[str]:
    """Each capacity, and the lists that begin with a reservation, or with spot, and go on."""
    rights = [f"reservation/{each}" for each in held]
    ends = ("spot", "on-demand", "spot,on-demand")
    return [
        "spot",
        "on-demand",
        ends[-1],
        *rights,
        *(f"{it},{end}" for it in rights for end in ends),
    ]


def _waits(
    context: PageContext, fields: Mapping[str, str], plan: wire.Plan, markets: Sequence[Market]
) -> list[str]:
    """How long until it starts, as far as that can be told."""
    terms = next((each.terms for each in markets if each.market == plan.market), None)
    says = []
    if terms is not None and plan.would_win:
        soon = f"the next clearing is at most {words.span(terms.clearing_interval)} away"
        if plan.displaces:
            length = terms.notice + terms.kill + terms.turnaround
            soon += f"; those that leave have left within {words.span(length)} of it"
        says.append(soon)
    if plan.why in FOR_MONEY:
        says.append("it waits until the money is there; nothing is charged meanwhile")
    elif not plan.would_win:
        says.append("it waits until seats are free at its limit; nothing is charged meanwhile")
    limit = fields.get("limit_price")
    if limit and fields.get("capacity", "spot") == "spot":
        now_s = context.api.plane.present_us() // MICROS
        samples = context.console.history.samples(now_s)
        share = how_often(samples, plan.market, Decimal(limit))
        says += [] if share is None else [share]
    return says


def how_often(samples: Sequence[Sample], market: str, limit: Decimal) -> str | None:
    """For which part of the time that is known one node was to be had for a limit; None: no price
    is known."""
    known = known_prices(samples, market)
    if not known:
        return None
    limit_micros = int(limit * MICROS)
    seen_s = sum(length for _, length in known)
    won_s = sum(length for price, length in known if price is not None and price <= limit_micros)
    length = words.span(timedelta(seconds=seen_s))
    return (
        f"one node was to be had for {format_amount(limit)} in {100 * won_s // seen_s} % of the"
        f" {length} that is known of the last day"
    )
