"""Reservations as their owner sees them: lending, what it earned, waits, and claims."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Query
from pydantic import BaseModel, ValidationError
from starlette.responses import RedirectResponse, Response

from parkade.api.problems import ProblemError, problem
from parkade.api.routes import effects, pools, reservations
from parkade.api.translate import amount, instant
from parkade.console import pages, words
from parkade.console.calendar import calendar
from parkade.console.claims import EndedClaim
from parkade.console.context import Page, PageContext, router
from parkade.console.routes.supply import supplied
from parkade.core.steps.permissions import Read
from parkade.core.units.phrases import counted
from parkade.wire import reservations as wire
from parkade.wire.problems import Problem, faults, invalid
from parkade.wire.scalars import format_amount

routes = router()
M = TypeVar("M", bound=BaseModel)
FIRST_DAY, LAST_DAY = date(1970, 1, 8), date(9998, 12, 1)


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
    return {day: pages.money(amount(micros), most=2) for day, micros in by_day.items()}


@routes.get("/reservations/{reservation}/{action}")
async def ask(
    reservation: str, action: str, context: Page, floor: str | None = None, keep: str = ""
) -> Response:
    """What lending or a claim means, before it is done."""
    found = await reservations.get_reservation(reservation, context.api)
    if action not in ("lend", "claim") or context.viewer.role.value == "member":
        raise problem("not_found", f"there is no such action on {reservation}")
    if action == "claim":
        echo = await _claiming(context, found)
        return context.page("reserve.html", it=found, action=action, echo=echo)
    present = found.lending
    given = {"floor": floor or "", "keep": keep.strip()}
    echo, refused = [], ""
    if floor is not None:
        echo, refused = await _offering(context, found, given)
    elif present is not None:
        given = {"floor": f"{present.floor}", "keep": f"{present.keep}"}
    return context.page(
        "lend.html",
        it=found,
        given=given,
        hints=await _lending(context, found),
        echo=echo,
        refused=refused,
    )


async def _offering(
    context: PageContext, found: wire.Reservation, given: dict[str, str]
) -> tuple[list[str], str]:
    """(what an offer would do, why it is refused) of a form that is filled in."""
    try:
        asked = _offer(given)
        outcome = await effects.plan_lend(found.reservation, asked, context.api)
    except ProblemError as error:
        return [], faults_in_a_line(error.problem)
    if asked.floor is None:
        return ["it lends nothing more", outcome.says], ""
    says = [f"lends from {format_amount(asked.floor)} per GPU-hour"]
    market = await _market(context, found.market)
    if market is not None and asked.floor > market.pay_as_you_go:
        rate = format_amount(market.pay_as_you_go)
        says.append(f"that is more than on-demand, which costs {rate}: hardly a guest comes")
    return [*says, outcome.says], ""


def _offer(fields: Mapping[str, str]) -> wire.Lend:
    asked: dict[str, Any] = {"floor": fields.get("floor") or None}
    if fields.get("keep"):
        asked["keep"] = _whole(fields["keep"])
    return checked(wire.Lend, asked)


def faults_in_a_line(refused: Problem) -> str:
    """What is wrong with a small form, in one line."""
    each = [f"{it.place}: {it.message}".removeprefix(": ") for it in refused.errors]
    return "; ".join(dict.fromkeys(each)) or refused.detail


async def _lending(context: PageContext, found: wire.Reservation) -> list[str]:
    market = await _market(context, found.market)
    says = ["a floor is what you receive per GPU-hour at least; an empty one stops lending"]
    if market is not None:
        rate = format_amount(market.pay_as_you_go)
        says.append(f"the operator's fee is {market.fee} of what guests pay; on-demand is {rate}")
    if found.earns_at_most is not None:
        earned = format_amount(found.earned or Decimal(0))
        says.append(f"it earned {earned} of at most {format_amount(found.earns_at_most)}")
    return says


async def _claiming(context: PageContext, found: wire.Reservation) -> list[str]:
    market = await _market(context, found.market)
    says = [f"it holds {counted(found.nodes, 'node')}, {found.nodes_used} in use by you"]
    if found.state == "sold":
        says.append(f"its window begins at {found.start:%Y-%m-%d %H:%M} UTC: a claim waits for it")
    elif market is not None:
        length = market.notice + market.kill + market.turnaround
        says.append(
            f"guests there get notice: you have your nodes within {words.span(length)} of the"
            " clearing that follows"
        )
    return [*says, "a claim costs nothing beside the reservation; what it takes earns nothing"]


async def _market(context: PageContext, name: str) -> Any:
    listed = await pools.list_pools(context.api)
    return next((each.terms for each in listed.markets if each.market == name), None)


@routes.post("/reservations/{reservation}/{action}")
async def act(reservation: str, action: str, context: Page) -> Response:
    """Does it."""
    fields = await context.form()
    match action:
        case "lend":
            await reservations.lend(reservation, _offer(fields), context.api)
        case "claim":
            body = checked(wire.MakeClaim, {"nodes": _whole(fields.get("nodes", ""))})
            await reservations.claim(reservation, body, context.api)
        case _:
            raise problem("not_found", "there is no such action")
    return RedirectResponse("/reservations", status_code=303)


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


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise problem("invalid", f"{text[:20]!r} is no whole number")
    return int(text)
