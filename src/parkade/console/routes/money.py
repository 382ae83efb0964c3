"""Statements: what came in, what went out, and why."""

from datetime import timedelta
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from parkade.api.routes import people, statements
from parkade.api.translate import instant
from parkade.console.context import Page, router

routes = router()
MOST = 300
SPANS = {"hour": 1, "day": 24, "week": 24 * 7, "month": 24 * 30}


@routes.get("/money")
async def money(
    context: Page, account: Annotated[str, Query(max_length=200)] = "", span: str = "day"
) -> Response:
    """An account's statement over a span that ends now: the org's own, for operators any."""
    now = instant(context.api.plane.present_us())
    hours = SPANS.get(span, SPANS["day"])
    statement = await statements.statement(
        context.api, account=account or None, start=now - timedelta(hours=hours), end=None
    )
    orgs = (await people.list_orgs(context.api)).orgs if context.viewer.is_operator else ()
    return context.page(
        "money.html",
        it=statement,
        lines=tuple(reversed(statement.transfers))[:MOST],
        has_more=len(statement.transfers) > MOST,
        span=span if span in SPANS else "day",
        spans=tuple(SPANS),
        account=account,
        orgs=orgs,
    )
