"""Effects on the sizes of buffers, and on the steps of the number of nodes down."""

from parkade.core.fleet.buffer import SizedBuffers
from parkade.core.healing.buffer_size import Steps
from parkade.core.state import events
from parkade.core.state.agenda import Entry
from parkade.core.state.world import World

MOST_STEPS = 4_096


def size_buffers(world: World, event: events.BuffersSized) -> None:
    """Held from now on; the number of nodes down is known anew."""
    sized = SizedBuffers(at_us=event.at_us, policy=event.policy, fabrics=event.fabrics)
    world.records.buffers[event.market] = sized
    known = {f"{event.market}/{each.fabric}": each.down for each in event.fabrics}
    for key in [it for it in world.records.downs if it.rpartition("/")[0] == event.market]:
        if key not in known:
            del world.records.downs[key]
    for key, down in known.items():
        _step(world, key, event.at_us, down)
    world.agenda.add(Entry.BUFFER, event.market)


def note_down(world: World, event: events.NodeHealthSet, *, was_in_play: bool) -> None:
    """One node more or fewer is down, where its market's buffers are sized by a policy."""
    node = world.records.nodes[event.node]
    key = f"{node.market}/{node.fabric}"
    steps = world.records.downs.get(key)
    if steps is None or node.is_in_play == was_in_play:
        return
    last = steps.counts[-1]
    _step(world, key, event.at_us, max(0, last - 1 if node.is_in_play else last + 1))


def _step(world: World, key: str, at_us: int, count: int) -> None:
    steps = world.records.downs.get(key, Steps((), ()))
    if steps.counts and steps.counts[-1] == count:
        return
    if steps.times_us and steps.times_us[-1] >= at_us:
        world.records.downs[key] = Steps(steps.times_us, (*steps.counts[:-1], count))
        return
    world.records.downs[key] = Steps(
        (*steps.times_us, at_us)[-MOST_STEPS:], (*steps.counts, count)[-MOST_STEPS:]
    )
