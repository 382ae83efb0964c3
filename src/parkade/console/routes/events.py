"""The journal's newest events, as the user may see them."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from parkade.console.context import Page, router
from parkade.console.journal import newest

routes = router()
MOST = 200


@routes.get("/events")
async def events(context: Page, about: Annotated[str, Query(max_length=200)] = "") -> Response:
    """The newest first; `about`: those that name it."""
    found = await newest(context)
    kept = [
        each
        for each in found
        if not about
        or about in (each.workload, each.node, each.reservation, each.claim, each.org, each.type)
    ]
    return context.page("events.html", found=kept[:MOST], has_more=len(kept) > MOST, about=about)
