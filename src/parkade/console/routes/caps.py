"""Caps of orgs and of their users: set on what was shown, with the work that they stop said first.

A field that is empty is no cap of that kind: the whole cap is set, as by the API's `/cap`.
"""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import NamedTuple

from starlette.responses import RedirectResponse, Response

from parkade.api.problems import ProblemError, problem
from parkade.api.routes import orgs, users
from parkade.console import pages
from parkade.console.context import Page, PageContext, router
from parkade.console.planning import ALONE, Faults, faults_of, request_of
from parkade.wire import people as wire
from parkade.wire.scalars import Money

routes = router()
FIELDS = ("cap", "period", "most_gpus")
MOST_NAMED = 10
MOST_QUERY = 60


class NewCap(wire.SetCap):
    """The form of a cap."""

    cap: Money | None = None


class Kind(NamedTuple):
    """The caps of an org or a user: how one is read, planned and set."""

    get: Callable[..., Awaitable[wire.Org | wire.User]]
    plan: Callable[..., Awaitable[wire.StoppedByCap]]
    make: Callable[..., Awaitable[wire.Org | wire.User]]


KINDS: Mapping[str, Kind] = {
    "orgs": Kind(orgs.get_org, orgs.plan_org_cap, orgs.set_org_cap),
    "users": Kind(users.get_user, users.plan_cap, users.set_cap),
}


@routes.get("/orgs/{org}/cap")
async def ask_org(org: str, context: Page) -> Response:
    """What an org may spend and hold, and what another cap would stop."""
    return await _ask(context, "orgs", org)


@routes.get("/users/{user}/cap")
async def ask_user(user: str, context: Page) -> Response:
    """The same of a user."""
    return await _ask(context, "users", user)


@routes.post("/orgs/{org}/cap")
async def set_org(org: str, context: Page) -> Response:
    """Sets it."""
    return await _set(context, "orgs", org)


@routes.post("/users/{user}/cap")
async def set_user(user: str, context: Page) -> Response:
    """Sets it."""
    return await _set(context, "users", user)


async def _ask(context: PageContext, kind: str, name: str) -> Response:
    query = context.request.query_params
    given = {field: query.get(field, "").strip() for field in FIELDS}
    if any(len(text) > MOST_QUERY for text in given.values()):
        raise problem("invalid", f"a field has at most {MOST_QUERY} characters")
    found, tag = await _found(context, kind, name)
    if not query:
        return _page(context, kind, found, _present(found), {})
    asked, marked = request_of(NewCap, given, FIELDS)
    if asked is None:
        return _page(context, kind, found, given, marked)
    says = _changes(found, asked)
    if not says:
        same = {"": ["this is the present cap: nothing would change"]}
        return _page(context, kind, found, given, same)
    try:
        stops = await KINDS[kind].plan(name, asked, context.api)
    except ProblemError as error:
        if error.problem.status in ALONE:
            raise
        return _page(context, kind, found, given, faults_of(error.problem, FIELDS))
    return _page(context, kind, found, given, {}, [*says, *_stops(found, asked, stops)], tag)


async def _found(context: PageContext, kind: str, name: str) -> tuple[wire.Org | wire.User, str]:
    if context.viewer.role.value == "member":
        raise problem("denied", "only an owner of its org, or an operator, sets caps")
    found, tag = await context.tagged(KINDS[kind].get(name, context.api))
    if found.deleted is not None:
        raise problem("not_found", f"{name} was deleted")
    return found, tag


def _present(found: wire.Capped) -> dict[str, str]:
    return {
        "cap": "" if found.cap is None else f"{found.cap:f}",
        "period": found.cap_period,
        "most_gpus": "" if found.most_gpus is None else f"{found.most_gpus}",
    }


def _money(cap: Decimal | None, period: str) -> str:
    if cap is None:
        return "none"
    return f"{pages.money(cap)}{' a month' if period == 'month' else ' in all'}"


def _changes(found: wire.Capped, asked: wire.SetCap) -> list[str]:
    before, after = _money(found.cap, found.cap_period), _money(asked.cap, asked.period)
    says = [] if before == after else [f"cap on money: {before} becomes {after}"]
    if found.most_gpus != asked.most_gpus:
        gpus = ("none" if it is None else f"{it}" for it in (found.most_gpus, asked.most_gpus))
        says.append(f"GPUs at once: {' becomes '.join(gpus)}")
    return says


def _stops(found: wire.Capped, asked: wire.SetCap, stops: wire.StoppedByCap) -> list[str]:
    """What a cap does to the work that there is."""
    says = []
    spent = found.spent_this_month if asked.period == "month" else found.spent
    if asked.cap is not None and spent >= asked.cap:
        says.append(f"{pages.money(spent)} is spent already, so no bid starts")
    if not stops.total:
        return [*says, "no work that has seats is stopped by it"]
    named = ", ".join(stops.workloads[:MOST_NAMED])
    more = stops.total - min(len(stops.workloads), MOST_NAMED)
    rest = f" and {more} more" if more else ""
    return [*says, f"the next clearing gives notice to {named}{rest}"]


def _page(
    context: PageContext,
    kind: str,
    found: wire.Org | wire.User,
    given: Mapping[str, str],
    marked: Faults,
    echo: list[str] | None = None,
    tag: str = "",
) -> Response:
    name = found.org if isinstance(found, wire.Org) else found.user
    is_fixed = isinstance(found, wire.Org) and found.is_cap_of_operator
    return context.page(
        "cap.html",
        422 if marked else 200,
        it=found,
        kind=kind,
        name=name,
        given=given,
        faults=marked,
        echo=echo or [],
        tag=tag,
        is_fixed=is_fixed and not context.viewer.is_operator,
        back=_back(context),
    )


def _back(context: PageContext) -> str:
    """Where caps are listed."""
    return "/operate" if context.viewer.is_operator else "/money"


async def _set(context: PageContext, kind: str, name: str) -> Response:
    fields = await context.form()
    asked, marked = request_of(NewCap, fields, FIELDS)
    if asked is not None:
        try:
            await KINDS[kind].make(name, asked, context.api)
        except ProblemError as error:
            if error.problem.status in ALONE:
                raise
            marked = faults_of(error.problem, FIELDS)
        else:
            return RedirectResponse(_back(context), status_code=303)
    found, _ = await _found(context, kind, name)
    return _page(context, kind, found, dict.fromkeys(FIELDS, "") | fields, marked)
