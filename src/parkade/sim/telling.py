"""A story in words: its acts by number, and each event of its journal as `parkade events` says it.

The journal is read once more from its beginning, into a world of its own, for an event is told with
what its names meant just before. An act stands where the journal was when it happened; what came
of it follows once it was committed.

    at 118.6 s, act 9: cancels
        92. 118.6 s: w4: cancelled
"""

from collections.abc import Iterator

from parkade.api.views.audience import Owners, Reader, look_up
from parkade.api.views.events import event as shown
from parkade.core.kernel.evolve import evolve
from parkade.core.state import events
from parkade.core.state.codec import decode_event
from parkade.core.state.world import Records, World
from parkade.core.units.time import SECOND_US
from parkade.sim.story import PlayedAct, Story

_READER = Reader(org="", is_operator=True, may_see_money=True)


def lines_of(story: Story) -> Iterator[str]:
    """The lines of a story that was played. Cost grows with its journal."""
    world, owners = World(Records()), Owners()
    acts = iter(story.played)
    act = next(acts, None)
    began_us = None
    for entry in story.server.disk.entries:
        while act is not None and act.sequence < entry.sequence:
            yield _act_line(act)
            act = next(acts, None)
        event = decode_event(entry.body, entry.version)
        began_us = event.at_us if began_us is None else began_us
        owners.learn(_known(world, owners, event))
        evolve(world, event)
        owners.learn(_known(world, owners, event))
        line = shown(entry.sequence, event, owners, _READER)
        if line is not None:
            at_s = (event.at_us - began_us) / SECOND_US
            yield f"    {entry.sequence:4}. {at_s:g} s: {line.says}"
    while act is not None:
        yield _act_line(act)
        act = next(acts, None)


def _act_line(act: PlayedAct) -> str:
    return f"at {act.at_us / SECOND_US:g} s, act {act.number}: {act.name}"


def _known(
    world: World, owners: Owners, event: events.AnyEvent
) -> dict[tuple[str, str], str | None]:
    """The orgs of the things that an event names, as far as the world knows."""
    return {key: org for key, org in look_up(world, owners.unknown((event,))).items() if org}
