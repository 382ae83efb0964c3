"""The journal's newest events, as the user may see them: by what they are about, or in order."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from starlette.responses import Response

from parkade.api.problems import ProblemError
from parkade.api.translate import instant, when
from parkade.console.context import Page, router
from parkade.console.event_groups import (
    KINDS,
    MOST_IN_ORDER,
    Asked,
    chosen,
    groups,
    page_of,
    subject_of,
    types_of,
)
from parkade.console.journal import LOOKED_AT, newest

routes = router()
Short = Annotated[str, Query(max_length=200)]


@routes.get("/events")
async def events(
    context: Page,
    about: Short = "",
    kind: Short = "",
    type: Short = "",
    since: Annotated[str, Query(max_length=200, alias="from")] = "",
    to: Short = "",
    view: Short = "",
) -> Response:
    """Of the newest `LOOKED_AT`: `about` what they name, `kind` what they are about, `type` their
    own, within [from, to). `view=order`: one after another, not by what they are about."""
    now_us = context.api.plane.present_us()
    fault, start, end = "", None, None
    try:
        start = instant(when(since.strip(), now_us)) if since.strip() else None
        end = instant(when(to.strip(), now_us)) if to.strip() else None
        if start is not None and end is not None and start >= end:
            fault = "from has to be before to"
    except ProblemError as error:
        fault = error.problem.detail
    found = await newest(context)
    asked = Asked(
        kind=kind if kind in KINDS else "",
        about=about.strip(),
        type=type,
        start=None if fault else start,
        end=None if fault else end,
    )
    kept = chosen(found, asked)
    by_subject, left_out = groups(kept)
    given = {"about": about, "kind": asked.kind, "type": type, "from": since, "to": to}
    return context.page(
        "events.html",
        422 if fault else 200,
        fault=fault,
        is_in_order=view == "order",
        groups=by_subject,
        left_out=left_out,
        found=kept[:MOST_IN_ORDER],
        has_more=len(kept) > MOST_IN_ORDER,
        count=len(kept),
        looked_at=LOOKED_AT,
        kinds=KINDS,
        types=types_of(found),
        given=given,
        same=urlencode({name: value for name, value in given.items() if value}),
        page_of=page_of,
        subject_of=subject_of,
    )
