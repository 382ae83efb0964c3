"""The newest events as a user may see them."""

from collections.abc import Sequence

from parkade.api.views import events as views
from parkade.api.views.audience import Owners, Reader, look_up
from parkade.console.context import PageContext
from parkade.core.state.events import AnyEvent
from parkade.core.steps.permissions import Read
from parkade.wire.feed import Event

LOOKED_AT = 2_000


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


async def newest(context: PageContext, *, kinds: Sequence[str] = ()) -> list[Event]:
    """Of the last `LOOKED_AT` events, the newest first; `kinds`: of these types alone."""
    recent = context.console.recent
    await recent.catch_up()
    found = [
        (sequence, event)
        for sequence, event in recent.newest(LOOKED_AT)
        if not kinds or type(event).__name__ in kinds
    ]
    return await shown(context, found)


async def about(context: PageContext, workload: str) -> list[Event]:
    """What is kept of a workload, the oldest first."""
    recent = context.console.recent
    await recent.catch_up()
    return await shown(context, recent.about(workload))
