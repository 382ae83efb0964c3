"""Reservations as their owner sees them: lending, what it earned, waits, and claims."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Query
from pydantic import BaseModel, ValidationError
from starlette.responses import RedirectResponse, Response

from parkade.api.problems import ProblemError, problem
from parkade.api.routes import pools, reservations
from parkade.api.translate.scalars import amount, instant
from parkade.console import pages, words
from parkade.console.calendar import calendar
from parkade.console.claims import EndedClaim
from parkade.console.context import Page, PageContext, router
from parkade.console.planning import ALONE, Faults, faults_of, request_of
from parkade.console.routes.supply import supplied
from parkade.core.steps.permissions import Read
from parkade.core.units.phrases import counted
from parkade.wire import reservations as wire
from parkade.wire.model import Request
from parkade.wire.pools import Terms
from parkade.wire.problems import faults, invalid
from parkade.wire.scalars import NodesKept, Price, format_amount

routes = router()
M = TypeVar("M", bound=BaseModel)
OFFER = ("floor", "keep")
FIRST_DAY, LAST_DAY = date(1970, 1, 8), date(9998, 12, 1)


class Offer(Request):
    """The form of lending; without a floor nothing is lent."""

    floor: Price | None = None
    keep: NodesKept | None = None


@routes.get("/reservations")
async def index(
    context: Page,
    view: Literal["week", "month"] = "week",
    on: Annotated[date | None, Query(ge=FIRST_DAY, le=LAST_DAY)] = None,
) -> Response:
    """All that the user may see, with their claims, as a calendar and one by one."""
    now = instant(context.api.plane.present_us())
    found = (await reservations.list_reservations(context.api)).reservations
    claims = (await reservations.list_claims(context.api)).claims
    may_change = context.viewer.role.value != "member"
    return context.page(
        "reservations.html",
        found=found,
        claims=claims,
        may_change=may_change,
        calendar=calendar(
            view,
            on or now.date(),
            now=now,
            reservations=found,
            claims=claims,
            ended=await _ended(context, [it.reservation for it in found], now),
        ),
        earned=await _earned(context, found, now),
        today=now.date(),
        supplies=len(await supplied(context)),
    )


async def _ended(context: PageContext, names: Sequence[str], now: datetime) -> Sequence[EndedClaim]:
    """The claims of these reservations that ended."""
    await context.console.recent.catch_up()
    return context.console.recent.claims.of(names, now)


async def _earned(
    context: PageContext, found: Sequence[wire.Reservation], now: datetime
) -> dict[date, str]:
    """By day, what the org of an owner earned by lending; for an operator, what all that have a
    reservation here earned."""
    viewer, earnings = context.viewer, context.console.earnings
    if viewer.is_operator:
        orgs = sorted({it.org for it in found})
        by_day = await earnings.of_all(orgs, now)
    elif viewer.may_read(Read.STATEMENT, org=viewer.org):
        by_day = await earnings.by_day(viewer.org, now)
    else:
        return {}
    return {day: pages.money(amount(micros)) for day, micros in by_day.items()}


@routes.get("/reservations/{reservation}/{action}")
async def ask(
    reservation: str, action: str, context: Page, floor: str | None = None, keep: str = ""
) -> Response:
    """What lending or a claim means, before it is done."""
    found, tag = await context.tagged(reservations.get_reservation(reservation, context.api))
    if action not in ("lend", "claim") or context.viewer.role.value == "member":
        raise problem("not_found", f"there is no such action on {reservation}")
    if action == "claim":
        return await _claim_page(context, found, {"nodes": "1"}, {})
    present = found.lending
    given = {"floor": (floor or "").strip(), "keep": keep.strip()}
    echo: list[str] = []
    marked: Faults = {}
    if floor is not None:
        echo, marked = await _offering(context, found, given)
    elif present is not None:
        given = {"floor": f"{present.floor}", "keep": f"{present.keep}"}
    return await _lend_page(context, found, given, marked, echo, tag=tag)


async def _claim_page(
    context: PageContext, found: wire.Reservation, given: Mapping[str, str], marked: Faults
) -> Response:
    return context.page(
        "reserve.html",
        422 if marked else 200,
        it=found,
        given={"nodes": given.get("nodes", "")},
        echo=await _claiming(context, found),
        faults=marked,
    )


async def _lend_page(
    context: PageContext,
    found: wire.Reservation,
    given: Mapping[str, str],
    marked: Faults,
    echo: Sequence[str] = (),
    *,
    tag: str = "",
) -> Response:
    return context.page(
        "lend.html",
        422 if marked else 200,
        it=found,
        given=dict.fromkeys(OFFER, "") | dict(given),
        hints=await _lending(context, found),
        echo=echo,
        faults=marked,
        tag=tag,
    )


async def _offering(
    context: PageContext, found: wire.Reservation, given: Mapping[str, str]
) -> tuple[list[str], Faults]:
    """(what an offer would do, why it is refused) of a form that is filled in."""
    asked, marked = _offer(given)
    if asked is None:
        return [], marked
    try:
        outcome = await reservations.plan_lend(found.reservation, asked, context.api)
    except ProblemError as error:
        return [], faults_of(error.problem, OFFER)
    if asked.floor is None:
        return ["it lends nothing more", outcome.says], {}
    says = [f"lends from {format_amount(asked.floor)} per GPU-hour"]
    terms = await _terms(context, found.market)
    if terms is not None and asked.floor > terms.pay_as_you_go:
        rate = format_amount(terms.pay_as_you_go)
        says.append(f"that is more than on-demand, which costs {rate}: hardly a guest comes")
    return [*says, outcome.says], {}


def _offer(fields: Mapping[str, str]) -> tuple[wire.Lend | None, Faults]:
    """What a form offers: an empty floor stops lending."""
    asked, marked = request_of(Offer, fields, OFFER)
    return None if asked is None else wire.Lend(floor=asked.floor, keep=asked.keep), marked


async def _lending(context: PageContext, found: wire.Reservation) -> list[str]:
    terms = await _terms(context, found.market)
    says = ["a floor is what you receive per GPU-hour at least; an empty one stops lending"]
    if terms is not None:
        rate = format_amount(terms.pay_as_you_go)
        says.append(f"the operator's fee is {terms.fee} of what guests pay; on-demand is {rate}")
    if found.earns_at_most is not None:
        earned = format_amount(found.earned or Decimal(0))
        says.append(f"it earned {earned} of at most {format_amount(found.earns_at_most)}")
    return says


async def _claiming(context: PageContext, found: wire.Reservation) -> list[str]:
    terms = await _terms(context, found.market)
    says = [f"it holds {counted(found.nodes, 'node')}, {found.nodes_used} in use by you"]
    if found.state == "sold":
        says.append(f"its window begins at {found.start:%Y-%m-%d %H:%M} UTC: a claim waits for it")
    elif terms is not None:
        length = terms.notice + terms.kill + terms.turnaround
        says.append(
            f"guests there get notice: you have your nodes within {words.span(length)} of the"
            " clearing that follows"
        )
    return [*says, "a claim costs nothing beside the reservation; what it takes earns nothing"]


async def _terms(context: PageContext, market: str) -> Terms | None:
    found = await context.if_there(pools.get_market(market, context.api))
    return None if found is None else found.terms


@routes.post("/reservations/{reservation}/{action}")
async def act(reservation: str, action: str, context: Page) -> Response:
    """Does it."""
    fields = await context.form()
    marked: Faults = {}
    try:
        match action:
            case "lend":
                offer, marked = _offer(fields)
                if offer is not None:
                    await reservations.lend(reservation, offer, context.api)
            case "claim":
                claim, marked = request_of(wire.MakeClaim, {"nodes": ""} | fields, ("nodes",))
                if claim is not None:
                    await reservations.claim(reservation, claim, context.api)
            case _:
                raise problem("not_found", "there is no such action")
    except ProblemError as error:
        if error.problem.status in ALONE:
            raise
        marked = faults_of(error.problem, OFFER if action == "lend" else ("nodes",))
    if not marked:
        return RedirectResponse("/reservations", status_code=303)
    found = await reservations.get_reservation(reservation, context.api)
    if action == "lend":
        return await _lend_page(context, found, fields, marked)
    return await _claim_page(context, found, fields, marked)


@routes.post("/claims/{claim}/unclaim")
async def unclaim(claim: str, context: Page) -> Response:
    """The nodes are idle again."""
    await context.form()
    await reservations.unclaim(claim, context.api)
    return RedirectResponse("/reservations", status_code=303)


def checked(kind: type[M], fields: dict[str, Any]) -> M:
    """A request of a form's fields; the problem `invalid` with what is wrong."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise ProblemError(invalid(faults(error.errors()))) from None
