"""Effects on incidents, on what is remembered of nodes, and on the guards' counts."""

from msgspec.structs import replace

from parkade.core.fleet.seat import by_node
from parkade.core.healing.guards import MOST_TAKEN, Breaker, BreakerState, HoldReason
from parkade.core.healing.incident import (
    MOST_CLOSED,
    MOST_HURT,
    MOST_LINES,
    MOST_RECENT,
    MOST_VERDICTS,
    BudgetNote,
    Care,
    Hurt,
    Incident,
    Next,
    RepairKind,
    StoryLine,
    TakenVerdict,
    is_passed,
    raised,
)
from parkade.core.healing.memory import MOST_REPAIRS
from parkade.core.healing.parents import MOST_SICK
from parkade.core.healing.verdict import Level
from parkade.core.repairing.guarding import fabric_of
from parkade.core.repairing.surroundings import note_sick_parents
from parkade.core.state import events, lines
from parkade.core.state.agenda import Entry
from parkade.core.state.world import World
from parkade.core.workloads.life import Cause
from parkade.core.workloads.workload import Workload


def know_repairs(world: World, event: events.RepairsKnown) -> None:
    """What the pool's agent can do from now on; what waits for a person goes on waiting.
    Its nodes are looked at again, for a promise may wait for a sanitising. Grows with the nodes."""
    world.records.repair_kinds[event.pool] = event.kinds
    for node in world.records.nodes.values():
        if node.pool == event.pool:
            world.wake_promises(node.node)


def set_automation(world: World, event: events.AutomationSet) -> None:
    """Every open incident is looked at again, and a held one asked again where the event says so.
    Cost grows with the nodes that were ever sick."""
    world.records.automation = event.automation
    for node in world.records.cares:
        incident = world.open_incident(node)
        if event.asks_held and incident is not None and _is_let(incident, event):
            asked = replace(incident, retry_us=event.at_us)
            world.records.incidents[incident.incident] = asked
        world.agenda.add(Entry.REPAIR, node)


def _is_let(incident: Incident, event: events.AutomationSet) -> bool:
    """Whether what held it is gone. What a budget holds keeps its own time, unless all are
    lifted: asked earlier, it would only wait anew."""
    if event.automation.is_limited:
        return incident.held is HoldReason.OBSERVE_ONLY
    return incident.held is not None


def give_verdict(world: World, event: events.VerdictGiven) -> None:
    """Remembered with its node, its fabric and its incident."""
    verdict = event.verdict
    care = world.records.cares.get(event.node) or Care(node=event.node)
    recent = TakenVerdict(
        verdict=verdict.verdict, level=verdict.level, sources=verdict.sources, at_us=event.at_us
    )
    fatal_us = care.fatal_us
    if verdict.level is Level.FATAL:
        fatal_us = (*fatal_us, event.at_us)[-MOST_RECENT:]
    kept = (*care.recent, recent)[-MOST_RECENT:]
    world.records.cares[event.node] = replace(care, recent=kept, fatal_us=fatal_us)
    if verdict.level.rank >= Level.DEGRADED.rank:
        fabric = fabric_of(world.records.nodes[event.node])
        others = [it for it in world.records.sick.get(fabric, ()) if it[0] != event.node]
        world.records.sick[fabric] = (*others, (event.node, event.at_us))[-MOST_SICK:]
        note_sick_parents(world, event.node, verdict.signal, event.at_us)
    incident = world.open_incident(event.node)
    if incident is None:
        return
    assert event.incident == incident.incident
    is_fatal = verdict.level is Level.FATAL
    after = replace(
        raised(incident, verdict),
        verdicts=(*incident.verdicts, verdict)[-MOST_VERDICTS:],
        struck_us=event.at_us if is_fatal else incident.struck_us,
    )
    says = f"{verdict.level.value}: {verdict.signal}"
    _put(world, after, event.at_us, "verdict", says)


def open_incident(world: World, event: events.IncidentOpened) -> None:
    """The node's one open incident."""
    incident = event.incident
    assert world.open_incident(event.node) is None, "a node has one open incident"
    assert incident.incident not in world.records.incidents
    world.records.counters["incident"] = world.records.counters.get("incident", 0) + 1
    care = world.records.cares.get(event.node) or Care(node=event.node)
    world.records.cares[event.node] = replace(care, incident=incident.incident)
    _count(world, event.budgets, event.at_us)
    says = f"{incident.level.value}: {incident.signal}, {incident.action.value}"
    if incident.held is not None:
        says = f"{says}; held: {incident.held.value}{_of(event.parent)}"
    _put(world, incident, event.at_us, "opened", says)


def hold(world: World, event: events.IncidentHeld) -> None:
    """The guards' new answer, and the next step of what they let through."""
    incident = _named(world, event.node, event.incident)
    _count(world, event.budgets, event.at_us)
    says = (
        "let through"
        if event.held is None
        else f"still held: {event.held.value}{_of(event.parent)}"
    )
    after = replace(
        incident,
        held=event.held,
        retry_us=event.retry_us,
        next=incident.next if event.next is None else event.next,
        changed_us=event.at_us,
    )
    _put(world, after, event.at_us, "guards", says)


def _of(parent: str | None) -> str:
    return "" if parent is None else f" ({parent})"


def turn(world: World, event: events.IncidentTurned) -> None:
    """Another next step."""
    incident = _named(world, event.node, event.incident)
    after = replace(incident, next=event.next, changed_us=event.at_us)
    _put(world, after, event.at_us, "turned", event.says)


def order_repair(world: World, event: events.RepairOrdered) -> None:
    """One order is under way; nothing else begins before it ended."""
    order = event.order
    incident = _named(world, event.node, order.incident)
    assert incident.order is None, "one order at a time"
    after = replace(incident, order=order, orders=incident.orders + 1, changed_us=event.at_us)
    grade = f" ({order.grade.value})" if order.grade is not None else ""
    _put(world, after, event.at_us, "repair", f"{order.kind.value} ordered{grade}")


def end_repair(world: World, event: events.RepairEnded) -> None:
    """The order is over, also one of a closed incident (its ticket)."""
    incident = world.records.incidents[event.incident]
    order = incident.order
    assert order is not None and order.order == event.report.order
    if event.repair is not None:
        care = world.records.cares[event.node]
        repairs = (*care.repairs, event.repair)[-MOST_REPAIRS:]
        world.records.cares[event.node] = replace(care, repairs=repairs)
    is_failed = not event.report.is_done or (
        order.kind is RepairKind.VALIDATE and event.next not in (Next.SANITISE, Next.RETURN)
    )
    validations = incident.failed_validations
    sanitisings = incident.failed_sanitisings
    if is_failed and event.next is not None:
        validations += order.kind is RepairKind.VALIDATE and event.next is not Next.PERSON
        sanitisings += order.kind is RepairKind.SANITISE
    validated_us = incident.validated_us
    if order.kind is RepairKind.VALIDATE and is_passed(incident, order, event.report):
        validated_us = order.ordered_us
    after = replace(
        incident,
        order=None,
        validated_us=validated_us,
        next=incident.next if event.next is None else event.next,
        changed_us=event.at_us,
        failed_validations=validations,
        failed_sanitisings=sanitisings,
    )
    words = f": {event.report.says}" if event.report.says else ""
    _put(world, after, event.at_us, "repair", f"{event.says}{words}")


def close_incident(world: World, event: events.IncidentClosed) -> None:
    """Its one outcome. The oldest closed incident makes room."""
    incident = _named(world, event.node, event.incident)
    assert incident.outcome is None, "an incident ends once"
    care = world.records.cares[event.node]
    world.records.cares[event.node] = replace(care, incident=None)
    for workload, name in list(world.records.hurt.items()):
        if name == event.incident and not _waits(incident, workload):
            del world.records.hurt[workload]
    after = replace(
        incident, outcome=event.outcome, closed_us=event.at_us, held=None, retry_us=None
    )
    _put(world, after, event.at_us, event.outcome.value, event.says)
    closed = [it.incident for it in world.records.incidents.values() if it.outcome is not None]
    for name in closed[: max(0, len(closed) - MOST_CLOSED)]:
        gone = world.records.incidents.pop(name)
        for hurt in gone.hurt:
            world.records.hurt.pop(hurt.workload, None)


def note_health(world: World, event: events.NodeHealthSet) -> None:
    """The node's way is part of its incident's story."""
    incident = world.open_incident(event.node)
    if incident is not None:
        _put(world, incident, event.at_us, "node", f"node is {event.health.value}")


def note_broken(world: World, event: events.Broken) -> None:
    """A workload stands still from now on because of the nodes' incidents."""
    workload = world.records.workloads[event.workload]
    for incident in _incidents_under(world, workload):
        _hurt(world, incident, workload, with_notice=False, at_us=event.at_us)


def note_stop(world: World, event: events.StopOrdered) -> None:
    """A workload was told to leave a sick node, with notice."""
    workload = world.records.workloads[event.workload]
    for incident in _incidents_under(world, workload):
        _hurt(world, incident, workload, with_notice=True, at_us=event.at_us)


def note_cleared(world: World, event: events.Cleared) -> None:
    """Workloads that got a place elsewhere leave degraded nodes, with notice."""
    for leaving in event.left:
        if leaving.stop is None or leaving.stop.cause is not Cause.HEALED:
            continue
        workload = world.records.workloads[lines.name_of(leaving.demand)]
        assert workload.attempt is not None, "what has a notice has an attempt"
        if workload.attempt.broken_us is None:
            for incident in _incidents_under(world, workload):
                _hurt(world, incident, workload, with_notice=True, at_us=event.at_us)


def note_ended(world: World, event: events.Ended) -> None:
    """From now on one that left with notice stands still; one that is over waits no more."""
    incident = _waited_for(world, event.workload)
    if incident is None:
        return
    workload = world.records.workloads[event.workload]
    hurt = _hurt_of(incident, event.workload)
    if hurt is None:
        return
    from_us = event.at_us if hurt.from_us is None else hurt.from_us
    step = workload.checkpoint_step
    after = replace(hurt, from_us=from_us, checkpoint_step=step)
    says = f"{event.workload} left"
    if event.phase.is_ended:
        after = replace(after, until_us=event.at_us)
        del world.records.hurt[event.workload]
        says = f"{event.workload} {event.phase.value}"
    _put(world, _with_hurt(incident, after), event.at_us, "work", says)


def note_launched(world: World, event: events.Launched) -> None:
    """Where it goes on."""
    incident = _waited_for(world, event.workload)
    hurt = None if incident is None else _hurt_of(incident, event.workload)
    if incident is None or hurt is None:
        return
    nodes = tuple(seat.node for seat in by_node(event.attempt.seats))
    moved = _with_hurt(incident, replace(hurt, moved_to=nodes))
    says = f"{event.workload} goes on, on {', '.join(nodes[:4])}"
    _put(world, moved, event.at_us, "swap", f"{says}, …" if len(nodes) > 4 else says)


def note_started(world: World, event: events.Started) -> None:
    """It runs again."""
    incident = _waited_for(world, event.workload)
    hurt = None if incident is None else _hurt_of(incident, event.workload)
    if incident is None or hurt is None:
        return
    if hurt.from_us is None or not hurt.moved_to:
        return
    del world.records.hurt[event.workload]
    seconds = max(0, event.at_us - hurt.from_us) / 1e6
    after = _with_hurt(incident, replace(hurt, until_us=event.at_us))
    says = f"{event.workload} runs again, {seconds:.1f} s after it stood still"
    _put(world, after, event.at_us, "work", says)


def _incidents_under(world: World, workload: Workload) -> list[Incident]:
    """The open incidents of the nodes that it sits on. Cost grows with its seats."""
    assert workload.attempt is not None
    found = (world.open_incident(seat.node) for seat in by_node(workload.attempt.seats))
    return [each for each in found if each is not None and each.held is None]


def _hurt(
    world: World, incident: Incident, workload: Workload, *, with_notice: bool, at_us: int
) -> None:
    name = workload.workload
    known = _hurt_of(incident, name)
    from_us = None if with_notice else at_us
    if known is not None:
        if known.from_us is not None or from_us is None:
            return
        hurt = replace(known, from_us=from_us, with_notice=False)
    else:
        hurt = Hurt(
            workload=name,
            org=workload.org,
            with_notice=with_notice,
            from_us=from_us,
            until_us=None,
            moved_to=(),
            checkpoint_step=workload.checkpoint_step,
        )
    world.records.hurt[name] = incident.incident
    how = "has its notice" if with_notice else "is broken"
    _put(world, _with_hurt(incident, hurt), at_us, "work", f"{name} {how}")


def _hurt_of(incident: Incident, workload: str) -> Hurt | None:
    return next((it for it in incident.hurt if it.workload == workload), None)


def _with_hurt(incident: Incident, hurt: Hurt) -> Incident:
    """The incident with this entry in its place, or at the end while there is room."""
    if _hurt_of(incident, hurt.workload) is None:
        return replace(incident, hurt=(*incident.hurt, hurt)[:MOST_HURT])
    return replace(
        incident,
        hurt=tuple(hurt if it.workload == hurt.workload else it for it in incident.hurt),
    )


def _waits(incident: Incident, workload: str) -> bool:
    hurt = _hurt_of(incident, workload)
    return hurt is not None and hurt.until_us is None


def _waited_for(world: World, workload: str) -> Incident | None:
    name = world.records.hurt.get(workload)
    return None if name is None else world.records.incidents.get(name)


def _named(world: World, node: str, name: str) -> Incident:
    """The open incident of a node, which is the one named."""
    incident = world.open_incident(node)
    assert incident is not None and incident.incident == name, f"{name} is not open on {node}"
    return incident


def _put(world: World, incident: Incident, at_us: int, kind: str, says: str) -> None:
    """Stores it with one more line; its node is looked at again."""
    line = StoryLine(at_us=at_us, kind=kind, says=says[:300])
    lines = (*incident.lines, line)
    if len(lines) > MOST_LINES:
        lines = (*lines[: MOST_LINES // 2], *lines[MOST_LINES // 2 + 1 :])
    world.records.incidents[incident.incident] = replace(incident, lines=lines)
    world.agenda.add(Entry.REPAIR, incident.node)


def _count(world: World, notes: tuple[BudgetNote, ...], at_us: int) -> None:
    """What the guards counted; old entries leave when the next is taken."""
    window_us = world.records.automation.guards.window_us
    for note in notes:
        before = world.records.budgets.get(note.budget)
        taken = () if before is None else before.taken
        if note.taken is not None:
            kept = tuple(each for each in taken if at_us - each[1] < window_us)
            taken = (*kept, (note.taken, at_us))[-MOST_TAKEN:]
        world.records.budgets[note.budget] = Breaker(
            budget=note.nodes,
            state=BreakerState(note.state),
            changed_us=note.changed_us,
            taken=taken,
        )
