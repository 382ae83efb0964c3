"""What follows from an agent's word about a node: its verdicts, its repairs, what it can do.

Theory of operation
===================

*Swap first, repair behind.* A bad verdict opens an incident and takes the node out of play in the
same instant, so the next clearing seats its work elsewhere: on the buffer, which is lent as spot
meanwhile, or on free nodes. A **fatal** verdict breaks the attempts on the node: they resume from
their last checkpoint, and their surviving ranks have the heal notice to save what they can. A
**degraded** one only closes the node: the clearing that has a place for an attempt gives it the
market's notice and the promise of that place, so that it saves, leaves, and loses no step; until
then it runs on. With a repair that may wait for an idle node (`reset_at_idle`), or on a node that
its owner claims, nothing is moved at all: the repair begins when the node is empty.

Only when nothing is held on the node is it repaired (`progress`): by the rung of the ladder that
was not tried lately, then validated, then sanitised, then returned. A repair or a check that fails
takes the next rung; a second failed validation retires the node. Nothing returns by another way
than a passed validation, or a person's word where the pool has no checks.

*Guards* come before all of that (`guarding`). What they hold changes nothing about the node: the
incident waits and is asked again each half hour, and expires after a day without the fault, unless
the node left play before: then it waits on.

Worked example. 09:00:00 Xid 79 on b2, a rank of the gang w7: incident-3, b2 quarantined, w7 broken.
09:00:00 clearing: w7 is promised b3 of the buffer, its ranks have 30 s. 09:00:31 all are gone: w7
starts from its checkpoint, b2 is drained: reboot ordered. 09:05 done: a short validation. 09:06
passed: sanitised, as another org may come. 09:07 healthy, incident-3 *returned*; w7 stood still
for 31 s.
"""

from msgspec.structs import replace

from parkade.core.fleet.node import MARS, Cordon, Health, Node
from parkade.core.healing.guards import ACTING
from parkade.core.healing.incident import Incident, Next, RepairKind, raised
from parkade.core.healing.verdict import Action, Level, Verdict
from parkade.core.repairing.guarding import guard, sources_on
from parkade.core.repairing.ladder import rung
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.incidents import next_incident
from parkade.core.steps.lost_nodes import loses_node
from parkade.core.steps.refusals import Decision, conflict, not_found
from parkade.core.units.time import MINUTE_US

FUTURE_US = 5 * MINUTE_US
UNWATCHED = frozenset({Health.FAILED, Health.RETIRED})
"""Nodes that a person has, or that are given up: what is seen there is only noted."""


def report_verdict(world: World, command: commands.ReportVerdict, now_us: int) -> Decision:
    """A verdict of *warn* or worse is noted; a degraded or fatal one begins an incident, or raises
    the open one. A repeated one changes nothing."""
    verdict = command.verdict
    node = world.records.nodes.get(verdict.node)
    if node is None or node.pool != command.pool:
        return not_found(f"node of pool {command.pool}", verdict.node)
    if verdict.at_us > now_us + FUTURE_US:
        return conflict(f"the verdict of {verdict.node} is of the future; set the agent's clock")
    care = world.records.cares.get(node.node)
    is_known = care is not None and any(it.verdict == verdict.verdict for it in care.recent)
    if is_known or verdict.level is Level.INFO:
        return ()
    incident = world.open_incident(node.node)
    name = None if incident is None else incident.incident
    given = events.VerdictGiven(at_us=now_us, node=node.node, verdict=verdict, incident=name)
    if incident is not None:
        return (given, *_heard_further(world, node, incident, verdict, now_us))
    is_acted_on = verdict.level.rank >= Level.DEGRADED.rank and verdict.action in ACTING
    if not is_acted_on or node.health in UNWATCHED:
        return (given,)
    sources = sources_on(world, node.node, now_us) | frozenset(verdict.sources)
    answer = guard(world, node, verdict.signal, sources, now_us)
    cool_us = world.records.automation.guards.cool_us
    opened = Incident(
        incident=next_incident(world),
        node=node.node,
        pool=node.pool,
        market=node.market,
        fabric=node.fabric,
        opened_us=now_us,
        level=verdict.level,
        action=verdict.action,
        device=verdict.device,
        signal=verdict.signal,
        next=rung(world, node, verdict.action, verdict.device, now_us),
        changed_us=now_us,
        held=answer.held,
        retry_us=None if answer.held is None else now_us + cool_us,
        struck_us=now_us if verdict.level is Level.FATAL else 0,
        verdicts=(verdict,),
    )
    begun = events.IncidentOpened(
        at_us=now_us,
        node=node.node,
        incident=opened,
        budgets=answer.budgets,
        parent=answer.parent,
    )
    taken = () if answer.held is not None else take_out(world, node, opened, now_us)
    return (replace(given, incident=opened.incident), begun, *taken)


def take_out(
    world: World, node: Node, incident: Incident, now_us: int
) -> tuple[events.AnyEvent, ...]:
    """The node leaves play and its work leaves it at once; or it only closes, and its work stays
    until a clearing has a place for it (`clearing.evacuation`), or until the node idles."""
    reason = f"{incident.signal}: {incident.level.value}, {incident.action.value}"
    found: list[events.AnyEvent] = []
    if all(cordon.holder != MARS for cordon in node.cordons):
        cordon = Cordon(holder=MARS, reason=reason, at_us=now_us)
        found.append(events.NodeCordoned(at_us=now_us, node=node.node, cordon=cordon))
    holders = world.held_on[node.node]
    is_fatal = incident.level is Level.FATAL
    if holders and not is_fatal:
        if node.health is Health.HEALTHY:
            found.append(_health(node, Health.SUSPECT, reason, now_us))
        return tuple(found)
    found.append(_health(node, Health.QUARANTINED, reason, now_us))
    for holder in holders:
        workload = world.records.workloads.get(holder)
        if workload is None:
            continue
        attempt = workload.attempt
        assert attempt is not None, "what holds seats has an attempt"
        if attempt.broken_us is None:
            found.append(loses_node(world, workload, node.node, now_us))
    if holders:
        found.append(_health(node, Health.DRAINING, reason, now_us))
    return tuple(found)


def _health(node: Node, health: Health, reason: str, at_us: int) -> events.NodeHealthSet:
    return events.NodeHealthSet(at_us=at_us, node=node.node, health=health, reason=reason)


def _heard_further(
    world: World, node: Node, incident: Incident, verdict: Verdict, now_us: int
) -> tuple[events.AnyEvent, ...]:
    """What a verdict changes of an open incident: a fatal one on a node that waits, or is left with
    notice, takes it out at once where the guards let it; what another kind of sensor sees of a held
    one is asked of them anew."""
    if incident.held is not None:
        seen = {source for it in incident.verdicts for source in it.sources}
        is_further = not seen.issuperset(verdict.sources) and world.records.automation.is_on
        return ask_again(world, node, incident, now_us, verdict) if is_further else ()
    if verdict.level is Level.FATAL and incident.next in (Next.SANITISE, Next.RETURN):
        return (_turned(world, node, incident, verdict, now_us),)
    is_raised = verdict.level is Level.FATAL and incident.level is not Level.FATAL
    if not is_raised or node.health not in (Health.SUSPECT, Health.DRAINING):
        return ()
    asked = ask_again(world, node, incident, now_us, verdict)
    held, *taken = asked
    assert isinstance(held, events.IncidentHeld)
    if held.held is not None or held.budgets:
        return asked
    return (_turned(world, node, raised(incident, verdict), verdict, now_us), *taken)


def _turned(
    world: World, node: Node, incident: Incident, verdict: Verdict, now_us: int
) -> events.IncidentTurned:
    """To the repair that a fatal verdict asks for, also where a validation passed before it."""
    step = _step_of(world, node, incident, now_us)
    if step in (Next.SANITISE, Next.RETURN):
        step = rung(world, node, Action.RESET_GPU, incident.device, now_us)
    return events.IncidentTurned(
        at_us=now_us,
        node=node.node,
        incident=incident.incident,
        next=step,
        says=f"fatal now: {verdict.signal}",
    )


def ask_again(
    world: World, node: Node, incident: Incident, at_us: int, verdict: Verdict | None = None
) -> tuple[events.AnyEvent, ...]:
    """The guards' new answer about an incident, and the node taken out where they let it."""
    sources = sources_on(world, node.node, at_us)
    if verdict is not None:
        sources |= frozenset(verdict.sources)
        incident = raised(incident, verdict)
    answer = guard(world, node, incident.signal, sources, at_us)
    cool_us = world.records.automation.guards.cool_us
    asked = events.IncidentHeld(
        at_us=at_us,
        node=node.node,
        incident=incident.incident,
        held=answer.held,
        retry_us=None if answer.held is None else at_us + cool_us,
        budgets=answer.budgets,
        parent=answer.parent,
        next=None if answer.held is not None else _step_of(world, node, incident, at_us),
    )
    if answer.held is not None:
        return (asked,)
    return (asked, *take_out(world, node, incident, at_us))


def _step_of(world: World, node: Node, incident: Incident, at_us: int) -> Next:
    """The rung that its worst verdict asks for; an action that repairs nothing changes no step."""
    if incident.action not in ACTING:
        return incident.next
    return rung(world, node, incident.action, incident.device, at_us)


def report_repair_kinds(world: World, command: commands.ReportRepairKinds, now_us: int) -> Decision:
    """Noted where it is news."""
    if command.pool not in world.records.pools:
        return not_found("pool", command.pool)
    kinds = tuple(kind for kind in RepairKind if kind in command.kinds)
    if world.records.repair_kinds.get(command.pool, ()) == kinds:
        return ()
    return (events.RepairsKnown(at_us=now_us, pool=command.pool, kinds=kinds),)
