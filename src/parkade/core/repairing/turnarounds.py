"""A node in service that changes its tenant: sanitised between two orgs, where its agent can.

A free node that an org left is sanitised as soon as another org is promised it, and without a
promise once it idled for a minute, or the market's `turnaround` where that is longer, so that the
next org need not wait. Nothing
starts there meanwhile; the org that was there last needs none. One that fails is tried once more;
where that fails too, the node closes and has an incident: it is validated, sanitised and returned
like any other, or waits for a person.

It is a term of the market, no repair on a sensor's word: no guard holds it, and it goes on while
Mars is stopped. A person's cordon keeps it away, as it keeps the next org away.

Worked example. 10:00:00 lab leaves n1, which acme is promised: TurnaroundOrdered. 10:00:09 the
agent reports that it passed: TurnaroundEnded (9 s), NodeSanitised, and acme is launched.
"""

from parkade.core.fleet.node import Health, Node
from parkade.core.healing.incident import Incident, Next, RepairKind, RepairOrder, RepairReport
from parkade.core.healing.verdict import Action, Level
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.incidents import can, next_incident
from parkade.core.steps.turnaround import is_sanitising
from parkade.core.units.time import MINUTE_US

SIGNAL = "sanitise/failed"
PREFIX = "turnaround-"
MOST_FAILED = 2
IDLE_US = MINUTE_US


def sanitise_due_us(world: World, name: str) -> int | None:
    """When a free node is to be sanitised; None where it need not or cannot be."""
    node = world.records.nodes.get(name)
    if node is None or node.last_org is None or not can(world, node, RepairKind.SANITISE):
        return None
    if not node.is_open or world.held_on[name] or is_sanitising(world, name):
        return None
    orgs = {world.org_of(holder) for holder in world.promised_on[name]}
    if not orgs:
        turnaround_us = world.records.markets[node.market].terms.turnaround_us
        return node.vacated_us + max(IDLE_US, turnaround_us)
    return None if orgs == {node.last_org} else node.vacated_us


def order_sanitising(world: World, name: str, at_us: int) -> tuple[events.TurnaroundOrdered]:
    """The order, at the instant that it is due."""
    at_us = max(at_us, world.records.now_us)
    assert not world.held_on[name], "a node is sanitised when it is free"
    number = world.records.counters.get("turnaround", 0) + 1
    order = RepairOrder(
        order=f"{PREFIX}{number}",
        incident="",
        node=name,
        kind=RepairKind.SANITISE,
        grade=None,
        device=None,
        ordered_us=at_us,
    )
    return (events.TurnaroundOrdered(at_us=at_us, node=name, order=order),)


def is_of_turnaround(report: RepairReport) -> bool:
    """Whether a report is of an order between two orgs, and of no incident's."""
    return report.order.startswith(PREFIX)


def end_turnaround(
    world: World, node: Node, report: RepairReport, now_us: int
) -> tuple[events.AnyEvent, ...]:
    """The node is clean; or it is tried once more; or the node closes, with an incident. Nothing
    follows of any other order than the one under way."""
    turnaround = world.records.turnarounds.get(node.node)
    order = None if turnaround is None else turnaround.order
    if turnaround is None or order is None or order.order != report.order:
        return ()
    took_us = now_us - order.ordered_us
    ended = events.TurnaroundEnded(at_us=now_us, node=node.node, report=report, took_us=took_us)
    if report.is_done:
        return (ended, events.NodeSanitised(at_us=now_us, node=node.node))
    if turnaround.failed + 1 < MOST_FAILED or node.health is not Health.HEALTHY:
        return (ended,)
    reason = f"{SIGNAL}: {report.says or 'the sanitising failed'}"[:300]
    closed = events.NodeHealthSet(
        at_us=now_us, node=node.node, health=Health.SUSPECT, reason=reason
    )
    if world.open_incident(node.node) is not None:
        return (ended, closed)
    opened = events.IncidentOpened(
        at_us=now_us, node=node.node, incident=_incident(world, node, now_us), budgets=()
    )
    return (ended, closed, opened)


def _incident(world: World, node: Node, now_us: int) -> Incident:
    """A node that could not be made clean is looked at before it is sanitised once more."""
    return Incident(
        incident=next_incident(world),
        node=node.node,
        pool=node.pool,
        market=node.market,
        fabric=node.fabric,
        opened_us=now_us,
        level=Level.DEGRADED,
        action=Action.DIAGNOSE,
        device=None,
        signal=SIGNAL,
        next=Next.VALIDATE if can(world, node, RepairKind.VALIDATE) else Next.PERSON,
        changed_us=now_us,
    )
