"""The journal as server-sent events, resumable, filtered to what the caller may see."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Header, Query, Request

from parkade.api import routing
from parkade.api.context import Authenticated, RequestContext
from parkade.api.problems import problem
from parkade.api.streams import PlacedStream
from parkade.api.views import events as views
from parkade.api.views.audience import Owners, Reader, look_up
from parkade.core.state.events import AnyEvent
from parkade.core.steps.permissions import Read

router = routing.router("events")
Number = Annotated[int | None, Query(ge=0, le=2**62)]


class EventStream(PlacedStream):
    """Its media type is what OpenAPI shows."""

    media_type = "text/event-stream"


@router.get("/events", response_class=EventStream)
async def events(
    request: Request,
    context: Authenticated,
    after: Number = None,
    follow: bool = True,
    last_event_id: Annotated[str | None, Header()] = None,
) -> EventStream:
    """Events after a position, or from now on; `Last-Event-ID` goes on where a stream broke.

    Without `follow` it ends with what is committed now.
    """
    now = context.plane.health().sequence
    if last_event_id is not None:
        if not (last_event_id.isascii() and last_event_id.isdecimal() and len(last_event_id) < 19):
            raise problem("invalid", "Last-Event-ID: not a position of this journal")
        after = int(last_event_id)
    start = now if after is None else after
    owners: Owners = request.app.state.owners
    stream = _stream(context, owners, start, until=None if follow else now)
    return EventStream(
        context.place(), stream, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


async def _stream(
    context: RequestContext, owners: Owners, after: int, *, until: int | None
) -> AsyncIterator[str]:
    if until is not None and after >= until:
        return
    seen, clock = after, asyncio.get_running_loop().time
    rest_s = context.settings.keep_alive_s
    spoke_at = clock()
    source = context.plane.events(after=after)
    waiting: asyncio.Future[tuple[int, AnyEvent] | None] | None = None
    try:
        while until is None or seen < until:
            if clock() - spoke_at >= rest_s:
                # Also tells how far was looked, so that nothing is looked at twice.
                if not context.is_current():
                    return
                yield f"event: position\nid: {seen}\ndata: \n\n"
                spoke_at = clock()
            waiting = waiting or asyncio.ensure_future(anext(source, None))
            silent_s = max(0.0, rest_s - (clock() - spoke_at))
            done, _ = await asyncio.wait([waiting], timeout=silent_s)
            if not done:
                continue
            arrived, waiting = waiting.result(), None
            if arrived is None:
                return
            seen, event = arrived
            text = await _frame(context, owners, seen, event)
            if text is not None:
                yield text
    finally:
        if waiting is not None:
            waiting.cancel()


async def _frame(
    context: RequestContext, owners: Owners, sequence: int, event: AnyEvent
) -> str | None:
    viewer = context.viewer
    unknown = owners.unknown([event])
    if unknown:
        owners.learn(
            await context.plane.read(lambda world, _: look_up(world, unknown), org=viewer.org)
        )
    reader = Reader(
        org=viewer.org,
        is_operator=viewer.is_operator,
        may_see_money=viewer.may_read(Read.STATEMENT, org=viewer.org),
    )
    seen = views.event(sequence, event, owners, reader)
    if seen is None:
        return None
    return f"event: event\nid: {sequence}\ndata: {seen.model_dump_json()}\n\n"
