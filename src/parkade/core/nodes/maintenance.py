"""Maintenance windows: scheduled, changed, begun with notice, and over by themselves.

Theory of operation
-------------------
A window is an entry of the calendar, like a reservation: from the moment at which its nodes are
emptied until its end they are not sold (`steps.capacity.sellable`). What happens next, and
when, follows from its record alone (`maintenance_due_us`):

    scheduled   nothing happens to its nodes
    begins      notice + kill before its start: each node gets a cordon whose holder is the window,
                and the workloads there get the market's notice, so that the nodes are free at the
                start; the next clearing seats them elsewhere
    ends        its cordons are lifted: the nodes take work again, unless something else keeps them

A claim stays until its owner gives it up, as on a drained node. Mars leaves nodes with a cordon
that is not its own alone.

Invariants
  - A window takes no node that was sold, unless an operator says so; then its owners are credited
    like those of any node that is not there. The buffer may be used for it.
  - A window keeps the lead with which it was scheduled or last changed, whatever the notice
    becomes: it never grows over what was sold before it (decision record 195).
  - A node is in one window at a time.
  - Only its window lifts its cordon.

Example (`tests/core/nodes/test_maintenance.py`). Notice 30 s and kill 5 s; acme reserved two of
three nodes. A window of one node from 12:00 to 14:00 begins at 11:59:25, and nothing more can be
sold until 14:00. One of two nodes is refused. Decision record 164.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from parkade.core.fleet.maintenance import Maintenance
from parkade.core.fleet.node import Cordon, Node
from parkade.core.reservations.calendar import peak_nodes
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.capacity import (
    begins_us,
    empties_us,
    lead_now_us,
    maintained,
    rights_in,
    sold,
)
from parkade.core.steps.notices import order_stop
from parkade.core.steps.refusals import Decision, conflict, invalid, not_found
from parkade.core.units import bounds
from parkade.core.units.phrases import some_of
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import SECOND_US, Window
from parkade.core.workloads.life import Cause, Phase

START_SLACK_US = 5 * SECOND_US


def schedule_maintenance(
    world: World, command: commands.ScheduleMaintenance, now_us: int
) -> Decision:
    """A new window. Cost grows with what is sold and scheduled in the markets of its nodes."""
    if not bounds.NODES.holds(len(command.nodes)):
        return invalid("nodes", f"name 1 to {bounds.NODES.most} nodes")
    found: dict[str, Node] = {}
    for name in command.nodes:
        node = world.node(name)
        if node is None:
            return not_found("node", name)
        found[node.node] = node
    start_us = now_us if command.start_us is None else command.start_us
    if start_us < now_us - START_SLACK_US:
        return invalid("start", "the start lies in the past; leave it out to begin now")
    number = world.records.counters.get("maintenance", 0) + 1
    made = Maintenance(
        maintenance=f"m{number}",
        nodes=tuple(found),
        window=Window(start_us=max(now_us, start_us), end_us=command.end_us),
        reason=command.reason,
        known_us=now_us,
        lead_us=lead_now_us(world, tuple(found)),
    )
    if (refusal := _refused(world, made, now_us, is_forced=command.is_forced)) is not None:
        return refusal
    return (events.MaintenanceScheduled(at_us=now_us, maintenance=made),)


def change_maintenance(world: World, command: commands.ChangeMaintenance, now_us: int) -> Decision:
    """Another time for a window, and the lead of the terms in force; one that has begun keeps its
    start."""
    before = world.records.maintenance.get(command.maintenance)
    if before is None:
        return not_found("maintenance window", command.maintenance)
    window = before.window
    if command.start_us is not None:
        if before.has_begun:
            return conflict("its nodes have their notice already; only its end can change")
        if command.start_us < now_us - START_SLACK_US:
            return invalid("start", "the start lies in the past; give a later one")
        window = Window(start_us=max(now_us, command.start_us), end_us=window.end_us)
    if command.end_us is not None:
        window = Window(start_us=window.start_us, end_us=command.end_us)
    lead_us = before.lead_us if before.has_begun else lead_now_us(world, before.nodes)
    changed = replace(before, window=window, lead_us=lead_us)
    if changed == before or command.start_us is command.end_us is None:
        return ()
    if (refusal := _refused(world, changed, now_us, is_forced=command.is_forced)) is not None:
        return refusal
    event = events.MaintenanceChanged(
        at_us=now_us, maintenance=before.maintenance, window=window, lead_us=lead_us
    )
    return (event,)


def cancel_maintenance(world: World, command: commands.CancelMaintenance, now_us: int) -> Decision:
    """A window is given up; where it has begun, its nodes take work again. Notices stand."""
    window = world.records.maintenance.get(command.maintenance)
    if window is None:
        return not_found("maintenance window", command.maintenance)
    return _ended(world, window, now_us, is_cancelled=True)


def maintenance_due_us(world: World, maintenance: Maintenance) -> int:
    """When something next happens to the window by itself."""
    if maintenance.has_begun:
        return maintenance.end_us
    return begins_us(world, maintenance)


def take_maintenance(
    world: World, maintenance: Maintenance, at_us: int
) -> tuple[events.AnyEvent, ...]:
    """What happens to the window at this instant. Cost grows with its nodes and the work there."""
    if maintenance.has_begun:
        return _ended(world, maintenance, at_us, is_cancelled=False)
    cordon = Cordon(holder=maintenance.holder, reason=maintenance.reason, at_us=at_us)
    return (
        events.MaintenanceBegun(at_us=at_us, maintenance=maintenance.maintenance),
        *(events.NodeCordoned(at_us=at_us, node=node, cordon=cordon) for node in maintenance.nodes),
        *_notices(world, maintenance, at_us),
    )


def _notices(world: World, maintenance: Maintenance, at_us: int) -> Iterator[events.StopOrdered]:
    """One for each workload on its nodes that has none yet."""
    holders = {name: None for node in maintenance.nodes for name in world.held_on[node]}
    for name in holders:
        workload = world.records.workloads.get(name)
        if workload is None:
            continue
        assert workload.attempt is not None, "what holds a node runs there"
        if workload.attempt.stop is None:
            yield order_stop(world, workload, Cause.OPERATOR, at_us=at_us, becomes=Phase.PREEMPTING)


def _ended(
    world: World, maintenance: Maintenance, at_us: int, *, is_cancelled: bool
) -> tuple[events.AnyEvent, ...]:
    name, holder = maintenance.maintenance, maintenance.holder
    lifted = tuple(
        events.NodeUncordoned(at_us=at_us, node=node, holder=holder)
        for node in maintenance.nodes
        if any(it.holder == holder for it in world.records.nodes[node].cordons)
    )
    ended = events.MaintenanceEnded(at_us=at_us, maintenance=name, is_cancelled=is_cancelled)
    return (*lifted, ended)


def _refused(world: World, window: Maintenance, now_us: int, *, is_forced: bool) -> Refusal | None:
    """A window that is over before it begins, that shares a node with another, or that takes
    nodes which were sold."""
    end_us = window.end_us
    if end_us <= max(now_us, window.window.start_us):
        return invalid("end", "the end must lie after the start, and after now")
    span = Window(start_us=empties_us(world, window), end_us=end_us)
    for other in world.records.maintenance.values():
        if other.maintenance == window.maintenance:
            continue
        shared = sorted(set(other.nodes) & set(window.nodes))
        of_other = Window(start_us=empties_us(world, other), end_us=other.window.end_us)
        if shared and of_other.overlaps(span):
            return conflict(
                f"{some_of(shared)} is in maintenance window {other.maintenance} at that time;"
                " change or cancel that one, or choose another time"
            )
    return None if is_forced else _short(world, window, span)


def _short(world: World, window: Maintenance, span: Window) -> Refusal | None:
    """The refusal where a fabric would have fewer nodes than are sold of it."""
    going: dict[tuple[str, str], int] = {}
    for name in window.nodes:
        node = world.records.nodes[name]
        going[node.market, node.fabric] = going.get((node.market, node.fabric), 0) + 1
    for (market_name, fabric), leaving in going.items():
        market = world.records.markets[market_name]
        others = maintained(world, market, besides=window.maintenance)
        peak = peak_nodes((*sold(world, market), *others), fabric, span)
        left = world.sizes[market_name][fabric] - leaving
        if peak > left:
            rights = rights_in(world, market_name, fabric)
            to = f", to {some_of(rights)}" if rights else ""
            return conflict(
                f"up to {peak} nodes of fabric {fabric!r} are sold or in maintenance in this"
                f" time{to}, and {max(0, left)} would be left: take fewer nodes at once, choose"
                " another time, or force it; then owners that are short are credited"
            )
    return None
