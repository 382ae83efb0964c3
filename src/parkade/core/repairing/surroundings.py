"""Racks, switches and drivers that nodes share, and whether one of them is suspected.

What a pool's agent says counts among the nodes of its own pool, so that an agent that lies holds
back no repair elsewhere. Of a driver only the same signal counts. `healing.parents` has the rule.
"""

from collections.abc import Iterator

import msgspec

from parkade.core.healing.parents import MOST_SICK, parent_memory, suspicion_of
from parkade.core.healing.topology import ParentKind, Surroundings
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.refusals import Decision, not_found

MOST_PARENTS = 4_000
"""Parents whose sick nodes are remembered; those without a recent one make room."""


def report_surroundings(
    world: World, command: commands.ReportSurroundings, now_us: int
) -> Decision:
    """Noted where it is news; what is ours of another pool's nodes is left out."""
    if command.pool not in world.records.pools:
        return not_found("pool", command.pool)
    ours = tuple(
        each
        for each in command.nodes
        if (node := world.records.nodes.get(each.node)) is not None and node.pool == command.pool
    )
    if ours == _of_pool(world, command.pool):
        return ()
    return (events.SurroundingsKnown(at_us=now_us, pool=command.pool, nodes=ours),)


def know_surroundings(world: World, event: events.SurroundingsKnown) -> None:
    """In place of all that was known of the pool. Cost grows with the nodes that are known."""
    for each in _of_pool(world, event.pool):
        del world.records.surroundings[each.node]
    for each in event.nodes:
        assert world.records.nodes[each.node].pool == event.pool
        world.records.surroundings[each.node] = each


def _of_pool(world: World, pool: str) -> tuple[Surroundings, ...]:
    records = world.records
    return tuple(it for it in records.surroundings.values() if records.nodes[it.node].pool == pool)


def note_sick_parents(world: World, node: str, signal: str, at_us: int) -> None:
    """The node fell sick, under each of its parents."""
    sick = world.records.sick
    for _, _, key in _parents(world, node, signal):
        others = [each for each in sick.pop(key, ()) if each[0] != node]
        sick[key] = (*others, (node, at_us))[-MOST_SICK:]
    if len(sick) > MOST_PARENTS:
        since_us = at_us - world.records.automation.parents.window_us
        for key in [it for it, seen in sick.items() if seen[-1][1] < since_us]:
            del sick[key]


def suspected_parent(world: World, node: str, signal: str, now_us: int) -> str | None:
    """The first of its rack, switch and driver of which so many other nodes fell sick that it is
    suspected; the node's own present verdict counts. Cost grows with the pool's nodes."""
    limits = world.records.automation.parents
    for kind, name, key in _parents(world, node, signal):
        members = sum(
            getattr(each, kind.value) == name
            for each in _of_pool(world, world.records.nodes[node].pool)
        )
        before = [each for each in world.records.sick.get(key, ()) if each[0] != node]
        memory = msgspec.structs.replace(
            parent_memory(kind, name, members, limits), sick=(*before, (node, now_us))
        )
        if suspicion_of(memory, now_us, limits) is not None:
            return f"{kind.value} {name}"
    return None


def _parents(world: World, node: str, signal: str) -> Iterator[tuple[ParentKind, str, str]]:
    """(kind, name, key among the sick) of each parent that is known."""
    shared = world.records.surroundings.get(node)
    if shared is None:
        return
    pool = world.records.nodes[node].pool
    for kind in (ParentKind.RACK, ParentKind.SWITCH, ParentKind.DRIVER):
        name = getattr(shared, kind.value)
        if name is not None:
            of = f" {signal}" if kind is ParentKind.DRIVER else ""
            yield kind, name, f"{kind.value} {pool}/{name}{of}"
