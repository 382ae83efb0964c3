"""Effects on maintenance windows. Their cordons are events of their own."""

from collections.abc import Collection

from msgspec.structs import replace

from parkade.core.state import events
from parkade.core.state.agenda import Entry
from parkade.core.state.world import World
from parkade.core.steps.changes import count


def schedule(world: World, event: events.MaintenanceScheduled) -> None:
    """A window takes its place in the calendar and on the agenda."""
    name = event.maintenance.maintenance
    assert name not in world.records.maintenance and event.maintenance.nodes
    assert not event.maintenance.has_begun
    count(world, "maintenance")
    world.records.maintenance[name] = event.maintenance
    world.agenda.add(Entry.MAINTENANCE, name)


def change(world: World, event: events.MaintenanceChanged) -> None:
    """Another time for it."""
    before = world.records.maintenance[event.maintenance]
    assert not before.has_begun or before.window.start_us == event.window.start_us
    known_us = before.known_us if before.has_begun else event.at_us
    world.records.maintenance[event.maintenance] = replace(
        before, window=event.window, known_us=known_us, lead_us=event.lead_us
    )
    world.agenda.add(Entry.MAINTENANCE, event.maintenance)


def begin(world: World, event: events.MaintenanceBegun) -> None:
    """Its nodes are being emptied."""
    before = world.records.maintenance[event.maintenance]
    assert not before.has_begun, "a window begins once"
    world.records.maintenance[event.maintenance] = replace(
        before, has_begun=True, known_us=event.at_us
    )
    world.agenda.add(Entry.MAINTENANCE, event.maintenance)


def end(world: World, event: events.MaintenanceEnded) -> None:
    """The window leaves the world; its cordons were lifted before."""
    gone = world.records.maintenance.pop(event.maintenance)
    for node in gone.nodes:
        cordons = world.records.nodes[node].cordons
        assert all(it.holder != gone.holder for it in cordons), "its cordons are lifted first"


def note_terms(world: World, at_us: int) -> None:
    """Terms changed: windows without a lead of their own, in journals of before, give their notice
    from now on at the earliest. Grows with the windows."""
    for name, window in world.records.maintenance.items():
        if window.lead_us is None and not window.has_begun:
            world.records.maintenance[name] = replace(window, known_us=at_us)


def forget_nodes(world: World, gone: Collection[str]) -> None:
    """Nodes left their pool: windows are of the others, and end with their last node. Grows with
    the windows."""
    for name, window in tuple(world.records.maintenance.items()):
        left = tuple(node for node in window.nodes if node not in gone)
        if not left:
            del world.records.maintenance[name]
        elif left != window.nodes:
            world.records.maintenance[name] = replace(window, nodes=left)
