"""Runs of compound that were submitted on the marketplace: how far each is, and what it costs."""

import asyncio
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from parkade.api.routes import logs, workloads
from parkade.api.streams import PlacedStream
from parkade.compound.shards.labels import LABEL
from parkade.compound.shards.progress import Progress
from parkade.console.context import Page, PageContext, router
from parkade.console.routes.front import colours
from parkade.wire.workloads import Workload

routes = router()
PAGE = 30


@routes.get("/runs")
async def index(
    context: Page,
    after: Annotated[str | None, Query(pattern="^w[0-9]{1,18}$")] = None,
) -> Response:
    """The newest first, ended ones too."""
    found = await workloads.list_workloads(
        context.api, all=True, label=LABEL, limit=PAGE, after=after
    )
    found_progress = await asyncio.gather(*(_progress(context, it) for it in found.workloads))
    return context.page(
        "runs.html",
        runs=tuple(zip(found.workloads, found_progress, strict=True)),
        upcoming=found.next,
        orgs=await colours(context),
    )


async def _progress(context: PageContext, it: Workload) -> Progress | None:
    if not it.attempts:
        return None

    async def output(offset: int) -> PlacedStream:
        stream = await logs.logs(it.workload, context.api, offset=offset)
        assert isinstance(stream, PlacedStream)
        return stream

    attempt = it.attempt.attempt if it.attempt else f"{it.workload}.{it.attempts}"
    return await context.console.runs.progress(
        it.workload, attempt, output, has_ended=it.ended is not None
    )
