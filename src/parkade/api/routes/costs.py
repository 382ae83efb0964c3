"""What orgs were charged: every charge as a row of FOCUS, and sums by org, user or label."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query

from parkade.api import routing
from parkade.api.context import Authenticated, RequestContext, no_such
from parkade.api.exports import Export
from parkade.api.problems import problem
from parkade.api.translate.scalars import FIRST_US, LAST_US, instant, microseconds
from parkade.api.views import focus
from parkade.api.views.showback import Sums, months
from parkade.core.ledger.accounts import org_account
from parkade.core.state.world import World
from parkade.core.steps.permissions import Read
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import DAY_US
from parkade.wire.costs import Showback, ShowbackBy
from parkade.wire.csv_text import csv_head, csv_lines
from parkade.wire.scalars import Instant
from parkade.wire.spec import LabelKey

router = routing.router("money")
MOST_MONTHS = 36
LONGEST_MONTH_US = 31 * DAY_US
MOST_SUMS = 200_000
"""Kinds and workloads of an org in a month that are added up."""
Org = Annotated[str | None, Query(max_length=200)]
FORMATS = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The rows; the connection breaks where they cannot be told to the end",
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
        },
    }
}


@router.get("/costs", status_code=200, responses=_FILE, response_class=Export)
async def costs(
    context: Authenticated,
    org: Org = None,
    start: Instant | None = None,
    end: Instant | None = None,
    format: Literal["csv", "json"] = "csv",
) -> Export:
    """Every charge in [start, end) as a row with the columns of FOCUS 1.2; the caller's org, or for
    operators any, all where none is named. Without `start`, of this month."""
    from_us, to_us = _window(context, start, end)
    orgs, places = await _scope(context, org)
    place = context.place()
    rows = _rows(context, orgs, places, from_us, to_us)
    text = _csv(rows) if format == "csv" else _json(rows)
    return Export(place, text, media_type=FORMATS[format])


@router.get("/showback")
async def showback(
    context: Authenticated,
    by: ShowbackBy = "user",
    label: LabelKey | None = None,
    org: Org = None,
    start: Instant | None = None,
    end: Instant | None = None,
) -> Showback:
    """What each month of [start, end) cost by org, user, or value of a label; the caller's org, or
    for operators any, all where none is named. Without `start`, of this month."""
    if (by == "label") != (label is not None):
        raise problem("invalid", "label: the key of a label, with by=label and only then")
    from_us, to_us = _window(context, start, end)
    if to_us - from_us > MOST_MONTHS * LONGEST_MONTH_US:
        raise problem("invalid", f"start: at most {MOST_MONTHS} months before the end")
    orgs, places = await _scope(context, org)
    archive, sums = context.plane.archive, Sums(by, label)
    for name in orgs:
        for month, first_us, last_us in months(from_us, to_us):
            moved = await archive.moved(
                org_account(name), from_us=first_us, to_us=last_us, limit=MOST_SUMS + 1
            )
            if len(moved) > MOST_SUMS:
                raise problem(
                    "invalid",
                    f"{name} had too many workloads in {month} for one answer; ask for"
                    " a shorter time, or add up what /v1/costs has",
                )
            works = {it.workload for it in moved if it.is_paid and it.workload}
            origins = {} if by == "org" else await archive.origins(works)
            sums.add(month, name, moved, origins)
    return Showback(
        by=by,
        label=label,
        start=instant(from_us),
        end=instant(to_us),
        unit=places.unit,
        lines=sums.lines(),
    )


def _window(
    context: RequestContext, start: datetime | None, end: datetime | None
) -> tuple[int, int]:
    """[from, to) in microseconds: from the month's begin and up to now where nothing is said."""
    now_us = context.plane.present_us()
    to_us = now_us + 1 if end is None else min(microseconds(end), LAST_US)
    month = instant(min(now_us, to_us - 1))
    first = month.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    from_us = max(FIRST_US, microseconds(first if start is None else start))
    if from_us >= to_us:
        raise problem("invalid", "start: an instant before the end")
    return from_us, to_us


async def _scope(context: RequestContext, org: str | None) -> tuple[list[str], focus.Places]:
    """The orgs that are asked for, and where their things are."""
    viewer = context.viewer
    if not viewer.is_operator:
        org = context.own_org(org)
        context.require(Read.STATEMENT, org=org)

    def view(world: World, _: int) -> tuple[list[str], focus.Places] | Refusal:
        records = world.records
        if org is not None and org not in records.orgs:
            return no_such(f"org {org}")
        return [org] if org is not None else list(records.orgs), focus.Places(
            markets={it.reservation: it.market for it in records.reservations.values()},
            sites={name: it.site for name, it in records.markets.items()},
            unit=context.settings.unit,
        )

    return await context.view(view)


async def _rows(
    context: RequestContext, orgs: list[str], places: focus.Places, from_us: int, to_us: int
) -> AsyncIterator[list[focus.Row]]:
    """Page by page; raises where the token is good no more."""
    archive = context.plane.archive
    for org in orgs:
        account = org_account(org)
        async for page in archive.pages(account, from_us=from_us, to_us=to_us):
            context.refuse_if_it_was_revoked()
            lines = [line for line in page if focus.is_cost(line)]
            paid = (it.transfer for it in lines if it.transfer.kind.is_paid_by_user)
            origins = await archive.origins({it.workload for it in paid if it.workload})
            yield [
                focus.row(it, org, account, origins.get(it.transfer.workload or ""), places)
                for it in lines
            ]


async def _csv(pages: AsyncIterator[list[focus.Row]]) -> AsyncIterator[str]:
    yield csv_head(focus.COLUMNS)
    async for page in pages:
        yield csv_lines(focus.COLUMNS, page)


async def _json(pages: AsyncIterator[list[focus.Row]]) -> AsyncIterator[str]:
    """An array, a row a line."""
    begin = "[\n"
    async for page in pages:
        if page:
            yield begin + ",\n".join(json.dumps(row, ensure_ascii=False) for row in page)
            begin = ",\n"
    yield "[]\n" if begin == "[\n" else "\n]\n"
