"""Effects on what is counted of each node day by day. Each costs as much as the event names."""

from parkade.core.fleet.node import Health
from parkade.core.fleet.seat import by_node
from parkade.core.healing.incident import RepairKind
from parkade.core.healing.wear import with_one_more
from parkade.core.state import events
from parkade.core.state.world import World

XID = "xid/"


def wear_verdict(world: World, event: events.VerdictGiven) -> None:
    """A burst of driver errors; one that only raises an earlier verdict is the same burst."""
    if event.verdict.signal.startswith(XID) and event.verdict.supersedes is None:
        _add(world, event.node, "xids", event.at_us)


def wear_order(world: World, event: events.RepairOrdered) -> None:
    """A ticket to the vendor."""
    if event.order.kind is RepairKind.TICKET:
        _add(world, event.node, "tickets", event.at_us)


def wear_health(world: World, event: events.NodeHealthSet, *, was_in_play: bool) -> None:
    """The node left play."""
    is_out = was_in_play and not world.records.nodes[event.node].is_in_play
    if is_out and event.health is not Health.JOINING:
        _add(world, event.node, "times_out", event.at_us)


def wear_broken(world: World, event: events.Broken) -> None:
    """An attempt broke by its nodes that are out of play."""
    attempt = world.records.workloads[event.workload].attempt
    assert attempt is not None, "what broke ran"
    nodes = [seat.node for seat in by_node(attempt.seats)]
    what = "multi_node_failures" if len(nodes) > 1 else "single_node_failures"
    for node in nodes:
        if not world.records.nodes[node].is_in_play:
            _add(world, node, what, event.at_us)


def wear_launched(world: World, event: events.Launched) -> None:
    """An attempt on one node alone; what share of them breaks is a signal."""
    nodes = by_node(event.attempt.seats)
    if len(nodes) == 1:
        _add(world, nodes[0].node, "single_node_runs", event.at_us)


def _add(world: World, node: str, what: str, at_us: int) -> None:
    world.records.wear[node] = with_one_more(world.records.wear.get(node, ()), what, at_us)
