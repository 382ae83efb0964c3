"""The journal's newest events, as the user may see them: by what they are about, or in order."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from starlette.responses import Response

from parkade.api.problems import ProblemError
from parkade.api.translate.scalars import instant, when
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
from parkade.console.journal import Before, Looked, look
from parkade.wire.feed import Event

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
    before: Before = None,
) -> Response:
    """Of the newest `journal.LOOKED_AT` entries, or those before a position: `about` what they
    name, `kind` what they are about, `type` their own, within [from, to). `view=order`: one after
    another, not by what they are about."""
    now_us = context.api.plane.present_us()
    fault, start, end = "", None, None
    try:
        start = instant(when(since.strip(), now_us)) if since.strip() else None
        end = instant(when(to.strip(), now_us)) if to.strip() else None
        if start is not None and end is not None and start >= end:
            fault = "from has to be before to"
    except ProblemError as error:
        fault = error.problem.detail
    looked = await look(context, before=before)
    is_in_order = view == "order"
    asked = Asked(
        kind=kind if kind in KINDS else "",
        about=about.strip(),
        type=type,
        start=None if fault else start,
        end=None if fault else end,
    )
    kept = chosen(looked.events, asked)
    by_subject, left_out = groups(kept)
    given = {"about": about, "kind": asked.kind, "type": type, "from": since, "to": to}
    return context.page(
        "events.html",
        422 if fault else 200,
        fault=fault,
        is_in_order=is_in_order,
        looked=looked,
        before=before,
        older=_older(looked, kept if is_in_order else ()),
        groups=by_subject,
        left_out=left_out,
        found=kept[:MOST_IN_ORDER],
        count=len(kept),
        kinds=KINDS,
        types=types_of(looked.events),
        given=given,
        view="order" if is_in_order else "",
        is_chosen=any(given.values()),
        link=partial(_link, given),
        page_of=page_of,
        subject_of=subject_of,
    )


def _link(given: Mapping[str, str], **changes: str | int | None) -> str:
    """The page with the same choice, but for what changes."""
    asked = {name: value for name, value in (dict(given) | changes).items() if value}
    return f"/events?{urlencode(asked)}"


def _older(looked: Looked, in_order: Sequence[Event]) -> int | None:
    """Before which position older ones are; None where there are none."""
    if len(in_order) > MOST_IN_ORDER:
        return in_order[MOST_IN_ORDER - 1].sequence
    return looked.first if looked.first > 1 else None
