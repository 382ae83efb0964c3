"""Statements: what came in, what went out, and why; down to the transfers of one thing, and as
files for other programs."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, NamedTuple
from urllib.parse import urlencode

from fastapi import Query
from starlette.responses import Response

from parkade.api.problems import ProblemError
from parkade.api.routes import costs, orgs, statements, users
from parkade.api.translate.scalars import instant, when
from parkade.console.accounts import groups
from parkade.console.context import Page, PageContext, router
from parkade.core.state.people import Role
from parkade.wire.csv_text import csv_head, csv_lines
from parkade.wire.money import STATEMENT_COLUMNS, Statement, Transfer
from parkade.wire.people import Capped
from parkade.wire.scalars import Instant

routes = router()
MOST = 300
MOST_THINGS = 12
SPANS = {"hour": 1, "day": 24, "week": 24 * 7, "month": 24 * 30}
Short = Annotated[str, Query(max_length=200)]


class Thing(NamedTuple):
    """A workload or reservation that money moved for: the sum, and of how many transfers."""

    name: str
    is_workload: bool
    amount: Decimal
    transfers: int


class Range(NamedTuple):
    """[start, end), and what is wrong with what was written."""

    start: datetime
    end: datetime
    fault: str


@routes.get("/money")
async def money(
    context: Page,
    account: Short = "",
    span: Short = "day",
    since: Annotated[str, Query(max_length=200, alias="from")] = "",
    to: Short = "",
    about: Short = "",
) -> Response:
    """An account's statement over a span that ends now, or between two instants: the org's own, for
    operators any; `about`: the transfers of one workload or reservation alone."""
    span = span if span in SPANS else "day"
    shown = _range(context, span, since.strip(), to.strip())
    statement = await statements.statement(
        context.api, account=account or None, start=shown.start, end=shown.end
    )
    lines = [each for each in statement.transfers if not about or _thing_of(each) == about]
    ledger = await statements.accounts(context.api) if context.viewer.is_operator else None
    asked = {"account": account, "span": span, "from": since.strip(), "to": to.strip()}
    same = urlencode({name: value for name, value in asked.items() if value})
    return context.page(
        "money.html",
        422 if shown.fault else 200,
        it=statement,
        lines=tuple(reversed(lines))[:MOST],
        has_more=len(lines) > MOST,
        things=_things(statement.transfers)[:MOST_THINGS],
        about=about,
        about_sum=sum((each.amount for each in lines), Decimal(0)),
        span=span,
        spans=tuple(SPANS),
        account=account,
        groups=[] if ledger is None else groups(ledger.accounts),
        total=None if ledger is None else ledger.total,
        since=since,
        to=to,
        range=shown,
        same=same,
        files=_files(context, statement, shown),
        capped=await _capped(context),
    )


async def _capped(context: PageContext) -> list[tuple[str, str, Capped]]:
    """What an owner may cap: its org, and the org's users. Operators do that on their own page."""
    if context.viewer.role is not Role.OWNER:
        return []
    seen = (await users.list_users(context.api)).users
    own = await orgs.get_org(context.viewer.org, context.api)
    return [("orgs", own.org, own), *(("users", it.user, it) for it in seen)]


def _range(context: PageContext, span: str, since: str, to: str) -> Range:
    now_us = context.api.plane.present_us()
    start_us = now_us - SPANS[span] * 3_600_000_000
    try:
        end_us = when(to, now_us) if to else now_us + 1
        start_us = when(since, now_us) if since else end_us - SPANS[span] * 3_600_000_000
        fault = "" if start_us < end_us else "from has to be before to"
    except ProblemError as error:
        fault = error.problem.detail
    if fault:
        start_us, end_us = now_us - SPANS[span] * 3_600_000_000, now_us + 1
    return Range(instant(start_us), instant(end_us), fault)


def _thing_of(each: Transfer) -> str:
    return each.workload or each.reservation or ""


def _things(transfers: Iterable[Transfer]) -> list[Thing]:
    """What money moved for, the largest sums first."""
    found: dict[str, Thing] = {}
    for each in transfers:
        name = _thing_of(each)
        if name:
            before = found.get(name, Thing(name, each.workload is not None, Decimal(0), 0))
            found[name] = before._replace(
                amount=before.amount + each.amount, transfers=before.transfers + 1
            )
    return sorted(found.values(), key=lambda it: (-abs(it.amount), it.name))


def _files(context: PageContext, statement: Statement, shown: Range) -> dict[str, str]:
    """By what they are called, the addresses of the range's files."""
    asked = {"start": shown.start.isoformat(), "end": shown.end.isoformat()}
    of_account = urlencode({"account": statement.account, **asked})
    found = {"Statement as CSV": f"/money/statement.csv?{of_account}"}
    org = statement.account.removeprefix("org/")
    if not context.is_partner and (org != statement.account or context.viewer.is_operator):
        of_org = {"org": org} if org != statement.account else {}
        found["Charges as FOCUS CSV"] = f"/money/costs.csv?{urlencode({**of_org, **asked})}"
    return found


@routes.get("/money/statement.csv")
async def statement_file(context: Page, account: Short, start: Instant, end: Instant) -> Response:
    """The lines of a statement, as `parkade statement --csv` writes them."""
    found = await statements.statement(context.api, account=account, start=start, end=end)
    rows = (each.model_dump(mode="json") for each in found.transfers)
    text = csv_head(STATEMENT_COLUMNS) + csv_lines(STATEMENT_COLUMNS, rows)
    response = Response(text.encode(), media_type="text/csv; charset=utf-8")
    return _as_file(response, "statement", start, end)


@routes.get("/money/costs.csv")
async def costs_file(context: Page, start: Instant, end: Instant, org: Short = "") -> Response:
    """Charges with the columns of FOCUS, as `parkade costs` writes them."""
    response = await costs.costs(context.api, org=org or None, start=start, end=end, format="csv")
    return _as_file(response, "costs", start, end)


def _as_file(response: Response, kind: str, start: datetime, end: datetime) -> Response:
    name = f"parkade-{kind}-{start:%Y%m%dT%H%M}-{end:%Y%m%dT%H%M}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response
