"""Entries of the journal as a user may see them: the newest, those before a position, one alone."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from fastapi import Query

from parkade.api.views import events as views
from parkade.api.views.audience import Owners, Reader, look_up
from parkade.console.context import PageContext
from parkade.core.state.events import AnyEvent
from parkade.core.steps.permissions import Read
from parkade.wire.feed import Event

LOOKED_AT = 2_000
Before = Annotated[int | None, Query(ge=2, le=2**62)]
"""A position of the journal: what is before it is asked for."""


def reader_of(context: PageContext) -> Reader:
    """The user as a reader of the journal, as the API's own event stream has it."""
    viewer = context.viewer
    return Reader(
        org=viewer.org,
        is_operator=viewer.is_operator,
        may_see_money=viewer.may_read(Read.STATEMENT, org=viewer.org),
    )


async def shown(context: PageContext, found: Sequence[tuple[int, AnyEvent]]) -> list[Event]:
    """Those that the user may see, as the API shows them."""
    owners: Owners = context.request.app.state.owners
    unknown = owners.unknown([event for _, event in found])
    if unknown:
        org = context.viewer.org
        owners.learn(
            await context.api.plane.read(lambda world, _: look_up(world, unknown), org=org)
        )
    reader = reader_of(context)
    seen = (views.event(sequence, event, owners, reader) for sequence, event in found)
    return [each for each in seen if each is not None]


class Looked(NamedTuple):
    """What a user may see of the entries `first` to `last`, the newest first."""

    events: list[Event]
    first: int
    last: int


async def look(
    context: PageContext, *, before: int | None = None, kinds: Sequence[str] = ()
) -> Looked:
    """The newest `LOOKED_AT` entries, or those before a position; `kinds`: of these types alone."""
    recent = context.console.recent
    await recent.catch_up()
    last = recent.last if before is None else min(before - 1, recent.last)
    first = max(1, last - LOOKED_AT + 1)
    if first >= recent.first:
        entries = recent.between(first, last)
    else:
        entries = await _stored(context, first, last)
    found = [it for it in entries if not kinds or type(it[1]).__name__ in kinds]
    return Looked(await shown(context, found[::-1]), first, last)


async def entry(context: PageContext, sequence: int) -> Event | None:
    """The one at a position; None where there is none that the user may see."""
    if not 1 <= sequence <= context.api.plane.health().sequence:
        return None
    found = await shown(context, await _stored(context, sequence, sequence))
    return found[0] if found else None


async def _stored(context: PageContext, first: int, last: int) -> list[tuple[int, AnyEvent]]:
    """Entries of the journal that are committed, in order."""
    found: list[tuple[int, AnyEvent]] = []
    if first > last:
        return found
    async for sequence, event in context.api.plane.events(after=first - 1):
        found.append((sequence, event))
        if sequence >= last:
            break
    return found


async def about(context: PageContext, workload: str) -> list[Event]:
    """What is kept of a workload, the oldest first."""
    recent = context.console.recent
    await recent.catch_up()
    return await shown(context, recent.about(workload))
