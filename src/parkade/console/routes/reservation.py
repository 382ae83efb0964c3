"""One reservation: what it is, and its changes, each with what it costs before it is made."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from parkade.api.context import RequestContext
from parkade.api.problems import ProblemError, problem
from parkade.api.routes import orgs, pools, reservations
from parkade.console.context import Page, PageContext, router
from parkade.console.planning import ALONE, Faults, faults_of, request_of
from parkade.console.suggesting import Suggestion, suggest
from parkade.core.units.fraction import parse_fraction
from parkade.core.units.money import MICROS
from parkade.wire import reservations as wire

routes = router()
MOST_QUERY = 400


class Change(NamedTuple):
    """A change: what it is called, the fields that it asks for, how it is planned and made."""

    title: str
    does: str
    body: type[BaseModel] | None
    fields: tuple[str, ...]
    plan: Callable[..., Awaitable[wire.ReservationChange]]
    make: Callable[..., Awaitable[wire.Reservation]]
    is_for: Callable[[wire.Reservation], bool]
    """Whether a reservation can be changed so; what stands against it else is told by the plan."""

    is_operators: bool = False
    is_final: bool = False


def _has_begun(it: wire.Reservation) -> bool:
    return it.state == "in_force"


CHANGES: Mapping[str, Change] = {
    "extend": Change(
        "Extend", "Extend it", wire.Extend, ("end",),
        reservations.plan_extend, reservations.extend,
        lambda it: it.end is not None,
    ),
    "split": Change(
        "Split", "Split it", wire.Split, ("nodes", "name"),
        reservations.plan_split, reservations.split,
        lambda it: it.nodes > 1,
    ),
    "hand-over": Change(
        "Hand over", "Hand them over", wire.Split, ("nodes", "org", "name"),
        reservations.plan_split, reservations.split,
        lambda it: it.nodes > 0,
        is_operators=True, is_final=True,
    ),
    "shrink": Change(
        "Give nodes up", "Give them up", wire.Shrink, ("nodes",),
        reservations.plan_shrink, reservations.shrink,
        lambda it: it.nodes > 1 and (it.end is None or not _has_begun(it)),
        is_final=True,
    ),
    "end": Change(
        "End", "End it", None, (),
        reservations.plan_end, reservations.end,
        lambda it: it.end is None or not _has_begun(it),
        is_final=True,
    ),
}  # fmt: skip


def _called_of(kind: Change, it: wire.Reservation) -> tuple[str, str]:
    """(title, what its button says) of a change: a window that has not begun is given up."""
    is_given_up = kind.body is None and it.state == "sold"
    return ("Give up", "Give it up") if is_given_up else (kind.title, kind.does)


def changes_of(context: PageContext, it: wire.Reservation) -> dict[str, str]:
    """By its address, what the changes are called that this user may make of it now."""
    if context.viewer.role.value == "member" or it.state not in ("in_force", "sold"):
        return {}
    return {
        name: _called_of(each, it)[0]
        for name, each in CHANGES.items()
        if each.is_for(it) and (context.viewer.is_operator or not each.is_operators)
    }


@routes.get("/reservations/{reservation}")
async def one(reservation: str, context: Page) -> Response:
    """What it is, what it earned, its claims, and what can be done with it."""
    found = await reservations.get_reservation(reservation, context.api)
    claims = (await reservations.list_claims(context.api)).claims
    return context.page(
        "reservation.html",
        it=found,
        claims=[each for each in claims if each.reservation == found.reservation],
        changes=changes_of(context, found),
        may_change=context.viewer.role.value != "member",
        suggestion=await _suggestion(context, found),
    )


async def _suggestion(context: PageContext, it: wire.Reservation) -> Suggestion | None:
    """For those who may set it, of a reservation that is in force."""
    if context.viewer.role.value == "member" or it.state != "in_force":
        return None
    market = await context.if_there(pools.get_market(it.market, context.api))
    if market is None:
        return None
    now_s = context.api.plane.present_us() // MICROS
    return suggest(
        it,
        context.console.history.samples(now_s),
        fee=parse_fraction(str(market.terms.fee)),
        pay_as_you_go=market.terms.pay_as_you_go,
    )


@routes.get("/reservations/{reservation}/change/{change}")
async def ask(reservation: str, change: str, request: Request, context: Page) -> Response:
    """What the change asks for; once that is given, what it costs and a button that makes it."""
    kind = _kind(context, change)
    given = {name: request.query_params.get(name, "").strip() for name in kind.fields}
    if any(len(text) > MOST_QUERY for text in given.values()):
        raise problem("invalid", f"a field has at most {MOST_QUERY} characters")
    return await _page(context, reservation, change, given)


@routes.post("/reservations/{reservation}/change/{change}")
async def act(reservation: str, change: str, context: Page) -> Response:
    """Makes it; what is refused is told on the form, with what was typed."""
    kind = _kind(context, change)
    fields = await context.form()
    body, faults = _body(kind, fields)
    if not faults:
        try:
            made = await _called(kind.make, reservation, body, context.api)
        except ProblemError as error:
            if error.problem.status in ALONE:
                raise
            faults = faults_of(error.problem, kind.fields)
        else:
            return RedirectResponse(f"/reservations/{made.reservation}", status_code=303)
    return await _page(context, reservation, change, fields, faults)


def _kind(context: PageContext, change: str) -> Change:
    kind = CHANGES.get(change)
    is_owner = context.viewer.role.value != "member"
    if kind is None or not is_owner or (kind.is_operators and not context.viewer.is_operator):
        raise problem("not_found", "there is no such action")
    return kind


async def _page(
    context: PageContext,
    reservation: str,
    change: str,
    fields: Mapping[str, str],
    faults: Faults | None = None,
) -> Response:
    kind = CHANGES[change]
    found, tag = await context.tagged(reservations.get_reservation(reservation, context.api))
    marked = dict(faults or {})
    plan = None
    is_begun = not kind.fields or any(fields.get(name) for name in kind.fields)
    if is_begun and not marked:
        plan, marked = await _planned(context, kind, reservation, fields)
    title, does = _called_of(kind, found)
    return context.page(
        "reservation_change.html",
        422 if marked else 200,
        it=found,
        change=change,
        kind=kind,
        title=title,
        does=does,
        fields=dict.fromkeys(kind.fields, "") | dict(fields),
        faults=marked,
        plan=plan,
        tag=tag,
        orgs=await _orgs(context, found) if "org" in kind.fields else [],
    )


async def _planned(
    context: PageContext, kind: Change, reservation: str, fields: Mapping[str, str]
) -> tuple[wire.ReservationChange | None, Faults]:
    body, faults = _body(kind, fields)
    if faults:
        return None, faults
    try:
        return await _called(kind.plan, reservation, body, context.api), {}
    except ProblemError as error:
        if error.problem.status in ALONE:
            raise
        return None, faults_of(error.problem, kind.fields)


def _body(kind: Change, fields: Mapping[str, str]) -> tuple[BaseModel | None, Faults]:
    if kind.body is None:
        return None, {}
    body, faults = request_of(kind.body, fields, kind.fields)
    if "org" in kind.fields and not fields.get("org"):
        faults = {**faults, "org": ["say to which org"]}
    return body, faults


async def _called(
    function: Callable[..., Awaitable[Any]],
    reservation: str,
    body: BaseModel | None,
    api: RequestContext,
) -> Any:
    return await (function(reservation, api) if body is None else function(reservation, body, api))


async def _orgs(context: PageContext, it: wire.Reservation) -> list[str]:
    """Those that it can be handed to."""
    listed = (await orgs.list_orgs(context.api)).orgs
    return [each.org for each in listed if each.org != it.org and not each.disabled]
