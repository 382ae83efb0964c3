"""What changes while a page is open, as server-sent events.

`hello` tells the version of what pages load, and the journal's position from which the stream goes
on: a page that is of an earlier one asks for its parts anew. `lot` is the lot in full, then what
changed of it, where the page asked for it. `event` are events that the user may see, as the API
shows them: the page asks for its parts anew. `position` comes where nothing else does, so that a
silent connection is known to stand.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import Response

from parkade.api.routes.events import EventStream
from parkade.console import pages
from parkade.console.changes import NOTHING, change
from parkade.console.context import Page, PageContext, router
from parkade.console.journal import shown
from parkade.core.state.events import AnyEvent

routes = router()
GATHER_S = 0.02
"""How long more events are awaited before they are told together."""
MOST_AT_ONCE = 50


@routes.get("/live")
async def live(context: Page, lot: bool = False) -> Response:
    """The stream of one open page; it counts as a stream of the session's token."""
    place = context.api.place(context.is_open)
    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    return EventStream(place, _stream(context, has_lot=lot), headers=headers)


async def _stream(context: PageContext, *, has_lot: bool) -> AsyncIterator[str]:
    seen = context.api.plane.health().sequence
    yield _frame("hello", {"version": pages.version(), "sequence": seen})
    known = NOTHING
    if has_lot:
        known, before = await context.console.lots.look(context.viewer), known
        yield _frame("lot", change(before, known))
    async for batch in _batches(context, after=seen):
        if not (context.api.is_current() and context.is_open()):
            return
        if not batch:
            yield _frame("position", {})
            continue
        if has_lot:
            known, before = await context.console.lots.look(context.viewer), known
            changed = change(before, known)
            if changed is not None:
                yield _frame("lot", changed)
        shown_now = await _seen(context, batch)
        if shown_now:
            yield _frame("event", shown_now)


async def _batches(
    context: PageContext, *, after: int
) -> AsyncIterator[list[tuple[int, AnyEvent]]]:
    """Events that come together; an empty batch where none came for long."""
    source = context.api.plane.events(after=after)
    clock = asyncio.get_running_loop().time
    waiting: asyncio.Future[tuple[int, AnyEvent] | None] | None = None
    try:
        while True:
            batch: list[tuple[int, AnyEvent]] = []
            ends_at = clock() + context.api.settings.keep_alive_s
            while clock() < ends_at:
                waiting = waiting or asyncio.ensure_future(anext(source, None))
                done, _ = await asyncio.wait([waiting], timeout=max(0.0, ends_at - clock()))
                if not done:
                    break
                arrived, waiting = waiting.result(), None
                if arrived is None:
                    return
                if not batch:
                    ends_at = clock() + GATHER_S
                batch.append(arrived)
            yield batch
    finally:
        if waiting is not None:
            waiting.cancel()


async def _seen(context: PageContext, batch: list[tuple[int, AnyEvent]]) -> list[dict[str, Any]]:
    """Those that the user may see; of many, the last ones."""
    return [
        {
            "sequence": each.sequence,
            "type": each.type,
            "workload": each.workload,
            "at": f"{each.at:%H:%M:%S}",
            "says": each.says,
        }
        for each in await shown(context, batch)
    ][-MOST_AT_ONCE:]


def _frame(kind: str, value: object) -> str:
    return f"event: {kind}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n"
