"""Effects of sanitising between two orgs."""

from msgspec.structs import replace

from parkade.core.healing.turnaround import MOST_RECENT, Turnaround, TurnaroundTimes
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.changes import put_node


def order_turnaround(world: World, event: events.TurnaroundOrdered) -> None:
    """Nothing starts on the node until it ended."""
    assert not world.held_on[event.node], "a node is sanitised when it is free"
    before = world.records.turnarounds.get(event.node)
    assert before is None or before.order is None, "one order at a time"
    world.records.counters["turnaround"] = world.records.counters.get("turnaround", 0) + 1
    world.records.turnarounds[event.node] = Turnaround(
        node=event.node, order=event.order, failed=0 if before is None else before.failed
    )


def end_turnaround(world: World, event: events.TurnaroundEnded) -> None:
    """Counted for its market; promises of the node are looked at again."""
    before = world.records.turnarounds.pop(event.node)
    assert before.order is not None and before.order.order == event.report.order
    market = world.records.nodes[event.node].market
    times = world.records.turnaround_times.get(market, TurnaroundTimes())
    if event.report.is_done:
        times = replace(
            times,
            passed=times.passed + 1,
            longest_us=max(times.longest_us, event.took_us),
            recent=(*times.recent, event.took_us)[-MOST_RECENT:],
        )
    else:
        times = replace(times, failed=times.failed + 1)
        failed = replace(before, order=None, failed=before.failed + 1)
        world.records.turnarounds[event.node] = failed
    world.records.turnaround_times[market] = times
    world.wake_promises(event.node)


def sanitise(world: World, event: events.NodeSanitised) -> None:
    """No org was there since."""
    turnaround = world.records.turnarounds.get(event.node)
    assert turnaround is None or turnaround.order is None, "it ends before the node is clean"
    world.records.turnarounds.pop(event.node, None)
    assert not world.held_on[event.node], "a node is sanitised when it is free"
    put_node(world, event.node, last_org=None)
