"""What a workload prints, from a byte or an instant on."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import Query
from fastapi.responses import StreamingResponse

from parkade.api import routing
from parkade.api.context import Authenticated, RequestContext
from parkade.api.problems import problem, refused
from parkade.api.routes.workloads import looking_for
from parkade.api.streams import PlacedStream
from parkade.api.translate.scalars import instant, microseconds
from parkade.core.running.expiry import folder_due_us
from parkade.core.state.world import World
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.workload import Workload
from parkade.wire import workloads as wire
from parkade.wire.scalars import Instant

router = routing.router("workloads")
PATIENCE_S = 1.0
Rank = Annotated[int, Query(ge=0, le=100_000)]


@router.get("/workloads/{workload}/logs", response_class=StreamingResponse)
async def logs(
    workload: str,
    context: Authenticated,
    rank: Rank = 0,
    offset: Annotated[int, Query(ge=0, le=2**62)] = 0,
    follow: bool = False,
    attempt: str | None = None,
    since: Instant | None = None,
) -> StreamingResponse:
    """The output of a rank from a byte offset on, of the present or last attempt; with `since` no
    earlier than where the line begins that came then or next."""
    found, name = await _meant(workload, context, rank, attempt)
    if since is not None:
        offset = max(offset, await _offset(context, found, name, rank, since))
    place = context.place()
    chunks = context.plane.logs(found, name, rank, offset=offset, follow=follow)
    # Waited for a moment, so that what cannot be had is a problem and not half an answer.
    first = asyncio.ensure_future(anext(chunks, None))
    first.add_done_callback(_is_told_where_it_is_read)
    try:
        await asyncio.wait([first], timeout=PATIENCE_S if follow else None)
        if first.done():
            first.result()
    except BaseException:
        first.cancel()
        place.close()
        raise
    return PlacedStream(
        place, _chained(context, first, chunks), media_type="application/octet-stream"
    )


@router.get("/workloads/{workload}/logs/offset")
async def log_offset(
    workload: str,
    context: Authenticated,
    since: Instant | None = None,
    rank: Rank = 0,
    attempt: str | None = None,
) -> wire.LogOffset:
    """Where in a rank's output the line begins that came at an instant or next, of the present or
    last attempt; without `since` the first byte that is kept. It is known to a second at first, and
    less exactly in very long outputs; `unsupported` of an attempt whose agent kept no times."""
    found, name = await _meant(workload, context, rank, attempt)
    offset = await _offset(context, found, name, rank, since)
    return wire.LogOffset(attempt=name, rank=rank, offset=offset)


async def _meant(
    workload: str, context: RequestContext, rank: int, attempt: str | None
) -> tuple[Workload, str]:
    """The workload and the name of the attempt whose output is asked for; a problem where it is not
    kept, or there is no such rank or attempt."""

    def view(world: World, now_us: int) -> Workload | Refusal:
        found = looking_for(context, workload)(world, now_us)
        until_us = None if isinstance(found, Refusal) else folder_due_us(world, found)
        if until_us is None or until_us > now_us:
            return found
        kept = f"{instant(until_us):%Y-%m-%d %H:%M} UTC"
        return Refusal(
            reason=Reason.NOT_FOUND, detail=f"the output of {workload} was kept until {kept}"
        )

    found = await context.view(view)
    most = max(found.spec.nodes, found.spec.most_nodes)
    if rank >= most and not found.spec.is_live:
        raise problem("invalid", f"rank: {workload} has ranks 0 to {most - 1}")
    return found, _attempt(found, attempt)


async def _offset(
    context: RequestContext, found: Workload, attempt: str, rank: int, since: datetime | None
) -> int:
    at_us = 0 if since is None else max(0, microseconds(since))
    async with context.place() as place:
        offset = await place.wait_for(context.plane.log_offset(found, attempt, rank, at_us=at_us))
    if offset is None:
        raise problem("not_yet", f"the output of {attempt} cannot be had now; ask again later")
    if isinstance(offset, Refusal):
        raise refused(offset)
    return offset


def _is_told_where_it_is_read(first: asyncio.Future[bytes | None]) -> None:
    """A reader that left does not ask what came; the event loop's log need not tell it either."""
    if not first.cancelled():
        first.exception()


def _attempt(found: Workload, named: str | None) -> str:
    """The attempt of that name, the present or last one where none is named; a problem where there
    was never such an attempt."""
    workload, last = found.workload, found.generation
    if found.array is not None:
        says = f"{workload} is an array; name a member, like {workload}_{_least(found)}"
        raise problem("unsupported", says)
    if last == 0:
        raise problem("not_found", f"{workload} has no attempt yet, so nothing was printed")
    if named is None:
        return found.attempt.attempt if found.attempt else f"{workload}.{last}"
    number = named.removeprefix(f"{workload}.")
    if not re.fullmatch("[1-9][0-9]{0,8}", number) or named == number or int(number) > last:
        known = f"{workload}.1" if last == 1 else f"{workload}.1 to {workload}.{last}"
        raise problem("not_found", f"there is no attempt {named[:80]!r} of {workload}, but {known}")
    return named


def _least(array: Workload) -> int:
    assert array.spec.array is not None
    return array.spec.array.members[0][0]


async def _chained(
    context: RequestContext, first: asyncio.Future[bytes | None], rest: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    """Ends where the token is good no longer, with nothing more that was printed."""
    chunk = await first
    while chunk is not None and context.is_current():
        yield chunk
        chunk = await anext(rest, None)
