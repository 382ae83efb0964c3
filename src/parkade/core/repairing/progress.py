"""How an open incident goes on: a deadline of its node, due as soon as it may.

It waits while work is held on the node, while an order is under way, also one between two orgs,
while a person cordons the node, while all automatic action is stopped, and where only a person can
go on. What the guards hold is asked again at `retry_us`.
"""

from parkade.core.fleet.node import MARS, Health, Node, is_step
from parkade.core.healing.incident import (
    Grade,
    Incident,
    IncidentOutcome,
    Next,
    RepairKind,
    RepairOrder,
    RepairReport,
    is_passed,
)
from parkade.core.healing.ladder import Repair, RepairResult
from parkade.core.healing.verdict import Action, Level
from parkade.core.repairing.decisions import ask_again
from parkade.core.repairing.ladder import grade_of, rung
from parkade.core.repairing.turnarounds import end_turnaround, is_of_turnaround
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.incidents import can, closing
from parkade.core.steps.refusals import Decision, not_found
from parkade.core.steps.turnaround import is_sanitising
from parkade.core.units.time import DAY_US

MOST_FAILED_VALIDATIONS = 2
MOST_FAILED_SANITISINGS = 2
HELD_FOR_US = DAY_US
_ORDERED = {
    Next.RESET: (RepairKind.RESET, Health.REPAIRING),
    Next.REBOOT: (RepairKind.REBOOT, Health.REPAIRING),
    Next.VALIDATE: (RepairKind.VALIDATE, Health.VALIDATING),
    Next.SANITISE: (RepairKind.SANITISE, Health.SANITISING),
}
_ACTIONS = {
    RepairKind.RESET: Action.RESET_GPU,
    RepairKind.REBOOT: Action.REBOOT,
}


def repair_due_us(world: World, name: str) -> int | None:
    """When a node's incident goes on; None while it waits for something that is no instant."""
    node, incident = world.records.nodes.get(name), world.open_incident(name)
    if node is None or incident is None:
        return None
    if incident.held is not None:
        return incident.retry_us
    is_stopped = not world.records.automation.is_on or node.is_a_persons
    if is_sanitising(world, name):
        return None
    if is_stopped or incident.order is not None or incident.next is Next.PERSON:
        return None
    return None if world.held_on[name] else incident.changed_us


def go_on(world: World, name: str, at_us: int) -> tuple[events.AnyEvent, ...]:
    """The next step of a node's incident that is due."""
    node, incident = world.records.nodes[name], world.open_incident(name)
    assert incident is not None
    at_us = max(at_us, world.records.now_us)
    if incident.held is not None:
        return _ask_again(world, node, incident, at_us)
    assert not world.held_on[name], "a node is repaired when it is empty"
    match incident.next:
        case Next.RETURN:
            return _returned(world, node, at_us)
        case Next.RETIRE:
            return _retired(world, node, incident, at_us)
        case Next.PERSON:
            raise AssertionError("what waits for a person is not due")
        case ordered:
            kind, health = _ORDERED[ordered]
            order = order_of(world, node, incident, kind, at_us)
            reason = f"{incident.signal}: {health.value}"
            return (*_stepped(node, health, reason, at_us), order)


def order_of(
    world: World, node: Node, incident: Incident, kind: RepairKind, at_us: int
) -> events.RepairOrdered:
    """The next order of an incident; its name counts them."""
    grade: Grade | None = None
    if kind is RepairKind.VALIDATE:
        grade = grade_of(world, node, incident.action, at_us)
    is_fault = incident.level.rank >= Level.DEGRADED.rank
    order = RepairOrder(
        order=f"{incident.incident}.{incident.orders + 1}",
        incident=incident.incident,
        node=node.node,
        kind=kind,
        grade=grade,
        device=incident.device if kind is RepairKind.RESET else None,
        ordered_us=at_us,
        is_diagnosis=is_fault and grade is Grade.LONG,
    )
    return events.RepairOrdered(at_us=at_us, node=node.node, order=order)


def report_repair(world: World, command: commands.ReportRepair, now_us: int) -> Decision:
    """The end of the order that is under way; of any other nothing follows."""
    report = command.report
    node = world.records.nodes.get(report.node)
    if node is None or node.pool != command.pool:
        return not_found(f"node of pool {command.pool}", report.node)
    if is_of_turnaround(report):
        return end_turnaround(world, node, report, now_us)
    incident = _incident_of(world, report)
    if incident is None or incident.order is None or incident.order.order != report.order:
        return ()
    kind = incident.order.kind
    repair = _remembered(incident, incident.order, report, now_us)
    following: Next | None = None
    if incident.outcome is None:
        following = _following(world, node, incident, report, repair, now_us)
    how = "done" if report.is_done else "failed"
    clean: tuple[events.NodeSanitised, ...] = ()
    if kind is RepairKind.SANITISE and report.is_done:
        clean = (events.NodeSanitised(at_us=now_us, node=node.node),)
    return (
        events.RepairEnded(
            at_us=now_us,
            node=node.node,
            incident=incident.incident,
            report=report,
            repair=repair,
            next=following,
            says=f"{kind.value} {how}",
            kind=kind,
        ),
        *clean,
    )


def _incident_of(world: World, report: RepairReport) -> Incident | None:
    """The incident of an order, by the order's name; also one that is closed."""
    return world.records.incidents.get(report.order.rpartition(".")[0])


def _remembered(
    incident: Incident, order: RepairOrder, report: RepairReport, now_us: int
) -> Repair | None:
    """What the ladder remembers of it: a repair however it ended, a diagnosis where it passed."""
    if order.is_diagnosis and is_passed(incident, order, report):
        action = Action.DIAGNOSE
    elif order.kind in _ACTIONS:
        action = _ACTIONS[order.kind]
    else:
        return None
    result = RepairResult.DONE if report.is_done else RepairResult.FAILED
    return Repair(device=order.device, action=action, result=result, at_us=now_us)


def _following(
    world: World,
    node: Node,
    incident: Incident,
    report: RepairReport,
    repair: Repair | None,
    now_us: int,
) -> Next:
    order = incident.order
    assert order is not None
    match order.kind:
        case RepairKind.VALIDATE:
            if is_passed(incident, order, report):
                return _after_validation(world, node)
            if incident.failed_validations + 1 >= MOST_FAILED_VALIDATIONS:
                return Next.RETIRE
            return rung(world, node, Action.RESET_GPU, incident.device, now_us)
        case RepairKind.SANITISE:
            if incident.next is not Next.SANITISE:
                return incident.next
            if report.is_done:
                return Next.RETURN
            failed = incident.failed_sanitisings + 1
            return Next.SANITISE if failed < MOST_FAILED_SANITISINGS else Next.PERSON
        case RepairKind.TICKET:
            return incident.next
        case RepairKind.RESET | RepairKind.REBOOT:
            if not report.is_done:
                action = _ACTIONS[order.kind]
                return rung(world, node, action, incident.device, now_us, also=repair)
            return Next.VALIDATE if can(world, node, RepairKind.VALIDATE) else Next.PERSON


def _after_validation(world: World, node: Node) -> Next:
    """Sanitised where any org sat there since it was last clean: another may come."""
    if node.last_org is None:
        return Next.RETURN
    return Next.SANITISE if can(world, node, RepairKind.SANITISE) else Next.PERSON


def _ask_again(
    world: World, node: Node, incident: Incident, at_us: int
) -> tuple[events.AnyEvent, ...]:
    """Asked of the guards; it expires instead where nothing was done to the node yet."""
    seen_us = max((it.at_us for it in incident.verdicts), default=incident.opened_us)
    if node.health is Health.HEALTHY and at_us - seen_us >= HELD_FOR_US:
        says = "held for a day, and the fault was not seen again"
        return closing(world, node.node, IncidentOutcome.EXPIRED, says, at_us)
    return ask_again(world, node, incident, at_us)


def _stepped(
    node: Node, health: Health, reason: str, at_us: int
) -> tuple[events.NodeHealthSet, ...]:
    """The node in its next state, by way of quarantine from where the table asks for that."""
    if node.health is health:
        return ()
    path = [health]
    if not is_step(node.health, health):
        path = [Health.QUARANTINED, health]
    return tuple(
        events.NodeHealthSet(at_us=at_us, node=node.node, health=each, reason=reason)
        for each in path
    )


def _returned(world: World, node: Node, at_us: int) -> tuple[events.AnyEvent, ...]:
    assert node.health in (Health.VALIDATING, Health.SANITISING), "returns only what was validated"
    found: list[events.AnyEvent] = [
        events.NodeHealthSet(at_us=at_us, node=node.node, health=Health.HEALTHY, reason="")
    ]
    if any(cordon.holder == MARS for cordon in node.cordons):
        found.append(events.NodeUncordoned(at_us=at_us, node=node.node, holder=MARS))
    says = "validated and back in service"
    return (*found, *closing(world, node.node, IncidentOutcome.RETURNED, says, at_us))


def _retired(
    world: World, node: Node, incident: Incident, at_us: int
) -> tuple[events.AnyEvent, ...]:
    reason = f"{incident.signal}: given up after {incident.failed_validations} failed validations"
    if incident.failed_validations == 0:
        reason = f"{incident.signal}: no repair is left to try"
    retired = _stepped(node, Health.RETIRED, reason, at_us)
    ticket: tuple[events.AnyEvent, ...] = ()
    if can(world, node, RepairKind.TICKET):
        ticket = (order_of(world, node, incident, RepairKind.TICKET, at_us),)
    return (*retired, *ticket, *closing(world, node.node, IncidentOutcome.RETIRED, reason, at_us))
