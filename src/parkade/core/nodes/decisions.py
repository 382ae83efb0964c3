"""Nodes: drained, removed, cordoned, broken, restored."""

from collections.abc import Iterable

from parkade.core.fleet.node import MARS, OBSERVED, Cordon, Health, Node, is_step
from parkade.core.healing.incident import IncidentOutcome, Next, RepairKind, is_validated
from parkade.core.reservations.calendar import peak_nodes
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.capacity import rights_in, sold
from parkade.core.steps.incidents import can, closing, validation
from parkade.core.steps.lost_nodes import loses_node
from parkade.core.steps.notices import order_stop
from parkade.core.steps.refusals import (
    Decision,
    conflict,
    not_found,
)
from parkade.core.units.phrases import some_of
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import Window
from parkade.core.workloads.life import Cause, Phase


def is_drained(world: World, node: Node) -> bool:
    """Whether a draining node is empty: draining is not drained."""
    return (
        node.draining_us is not None
        and not world.held_on[node.node]
        and not world.promised_on[node.node]
    )


def drain_node(world: World, command: commands.DrainNode, now_us: int) -> Decision:
    """No new work there; workloads get the market's notice and are seated elsewhere if they can be.
    A claim stays until its owner gives it up."""
    node = world.node(command.node)
    if node is None:
        return not_found("node", command.node)
    return _drained(world, [node], command.reason, now_us)


def observe_pool(world: World, command: commands.ObservePool, now_us: int) -> Decision:
    """Drain all nodes of a pool in one step, so that no guest is moved to one that is next, or end
    those drains; drains for another reason stay. Cost grows with the marketplace's nodes."""
    if command.pool not in world.records.pools:
        return not_found("pool", command.pool)
    nodes = [node for node in world.records.nodes.values() if node.pool == command.pool]
    if command.is_on:
        return _drained(world, nodes, OBSERVED, now_us)
    return tuple(
        events.NodeUndrained(at_us=now_us, node=node.node)
        for node in nodes
        if node.drain_reason == OBSERVED
    )


def _drained(world: World, nodes: Iterable[Node], reason: str, now_us: int) -> Decision:
    """The nodes that are not draining yet, and then a notice for each workload there."""
    drained = [node for node in nodes if node.draining_us is None]
    holders = dict.fromkeys(holder for node in drained for holder in world.held_on[node.node])
    found: list[events.AnyEvent] = [
        events.NodeDraining(at_us=now_us, node=node.node, reason=reason) for node in drained
    ]
    for holder in holders:
        workload = world.records.workloads.get(holder)
        if workload is None:
            continue
        assert workload.attempt is not None
        if workload.attempt.stop is None:
            found.append(
                order_stop(world, workload, Cause.OPERATOR, at_us=now_us, becomes=Phase.PREEMPTING)
            )
    return tuple(found)


def undrain_node(world: World, command: commands.UndrainNode, now_us: int) -> Decision:
    """The node takes work again; notices that were given stand."""
    node = world.node(command.node)
    if node is None:
        return not_found("node", command.node)
    if node.draining_us is None:
        return ()
    return (events.NodeUndrained(at_us=now_us, node=node.node),)


def remove_node(world: World, command: commands.RemoveNode, now_us: int) -> Decision:
    """Only drained nodes that no reservation needs are removed."""
    node = world.node(command.node)
    if node is None:
        return not_found("node", command.node)
    if not is_drained(world, node):
        state = "still draining" if node.draining_us is not None else "not draining"
        return conflict(f"{node.node} is {state}; it is removed once it is drained")
    if (refusal := needed_by_calendar(world, [node], now_us)) is not None:
        return refusal
    ended = closing(world, node.node, IncidentOutcome.WAIVED, "the node leaves its pool", now_us)
    return (*ended, events.NodeRemoved(at_us=now_us, node=node.node, pool=node.pool))


def needed_by_calendar(world: World, leaving: list[Node], now_us: int) -> Refusal | None:
    """Reservations and on-demand that were sold keep their nodes."""
    assert all(is_drained(world, node) for node in leaving), "only drained nodes leave"
    ahead = Window(start_us=now_us, end_us=None)
    for market in {node.market: None for node in leaving}:
        entries = sold(world, world.records.markets[market])
        for fabric in {node.fabric: None for node in leaving if node.market == market}:
            going = sum(node.market == market and node.fabric == fabric for node in leaving)
            peak = peak_nodes(entries, fabric, ahead)
            buffer = world.records.markets[market].terms.buffer_nodes if peak else 0
            if world.sizes[market][fabric] - going < peak + buffer:
                return conflict(
                    f"{some_of(rights_in(world, market, fabric))} hold up to {peak} nodes of fabric"
                    f" {fabric!r} beside a buffer of {buffer}; they end first"
                )
    return None


def fail_node(world: World, command: commands.FailNode, now_us: int) -> Decision:
    """Out of play at once; every attempt with a seat there is broken and will be healed."""
    node = world.node(command.node)
    if node is None:
        return not_found("node", command.node)
    if node.health is Health.FAILED:
        return ()
    found: list[events.AnyEvent] = [
        *closing(
            world, node.node, IncidentOutcome.WAIVED, f"failed by hand: {command.reason}", now_us
        ),
        events.NodeHealthSet(
            at_us=now_us, node=node.node, health=Health.FAILED, reason=command.reason
        ),
    ]
    for holder in world.held_on[node.node]:
        workload = world.records.workloads.get(holder)
        if workload is None:
            continue
        assert workload.attempt is not None
        if workload.attempt.broken_us is None:
            found.append(loses_node(world, workload, node.node, now_us))
    return tuple(found)


def restore_node(world: World, command: commands.RestoreNode, now_us: int) -> Decision:
    """Back in play; refused while something of a broken attempt still runs there. Where the pool's
    agent has checks, the node is validated first; else a person's word is enough."""
    node = world.node(command.node)
    if node is None:
        return not_found("node", command.node)
    if node.health is Health.HEALTHY:
        return ()
    still = [holder for holder in world.held_on[node.node] if holder in world.records.workloads]
    if still:
        return Refusal(
            reason=Reason.BUSY,
            detail=f"{', '.join(still)} has not been seen gone from {node.node}; try again then",
        )
    is_to_check = node.health is not Health.SUSPECT and can(world, node, RepairKind.VALIDATE)
    if is_to_check and not _waits_to_be_clean(world, node):
        return _validated_first(world, node, now_us)
    path: tuple[Health, ...] = (Health.HEALTHY,)
    if not is_step(node.health, Health.HEALTHY):
        path = (Health.QUARANTINED, Health.HEALTHY)
    well = tuple(
        events.NodeHealthSet(at_us=now_us, node=node.node, health=health, reason="")
        for health in path
    )
    lifted = tuple(
        events.NodeUncordoned(at_us=now_us, node=node.node, holder=MARS)
        for cordon in node.cordons
        if cordon.holder == MARS
    )
    return (
        *well,
        *lifted,
        *closing(world, node.node, IncidentOutcome.WAIVED, "restored by hand", now_us),
    )


def _waits_to_be_clean(world: World, node: Node) -> bool:
    """Whether it was validated and cannot be sanitised: a person says that it is clean."""
    incident = world.open_incident(node.node)
    is_waiting = incident is not None and incident.next is Next.PERSON and is_validated(incident)
    return is_waiting and not can(world, node, RepairKind.SANITISE)


def _validated_first(world: World, node: Node, now_us: int) -> Decision:
    """A node returns by its checks: an incident of its own, or the open one turned to it."""
    incident = world.open_incident(node.node)
    if incident is None:
        begun = validation(world, node, now_us)
        opened = events.IncidentOpened(at_us=now_us, node=node.node, incident=begun, budgets=())
        return (opened,)
    if incident.order is not None or incident.next is Next.VALIDATE:
        return ()
    return (
        events.IncidentTurned(
            at_us=now_us,
            node=node.node,
            incident=incident.incident,
            next=Next.VALIDATE,
            says="a person says that it is repaired",
        ),
    )


def cordon_node(world: World, command: commands.CordonNode, now_us: int) -> Decision:
    """No new work there, in the asker's name; twice is once."""
    node = world.node(command.node)
    if node is None:
        return not_found("node", command.node)
    holder = command.by or "server"
    if any(cordon.holder == holder for cordon in node.cordons):
        return ()
    cordon = Cordon(holder=holder, reason=command.reason, at_us=now_us)
    return (events.NodeCordoned(at_us=now_us, node=node.node, cordon=cordon),)


def uncordon_node(world: World, command: commands.UncordonNode, now_us: int) -> Decision:
    """The asker's own cordon is lifted; another holder's stays."""
    node = world.node(command.node)
    if node is None:
        return not_found("node", command.node)
    holder = command.by or "server"
    if any(cordon.holder == holder for cordon in node.cordons):
        return (events.NodeUncordoned(at_us=now_us, node=node.node, holder=holder),)
    if node.cordons:
        holders = ", ".join(cordon.holder for cordon in node.cordons)
        return Refusal(
            reason=Reason.CORDONED_BY_ANOTHER,
            detail=f"{node.node} is cordoned by {holders}; only the holder lifts its own",
        )
    return ()
