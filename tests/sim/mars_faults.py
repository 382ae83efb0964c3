"""Faults planted into what is decided about sick nodes, one at a time, for the fuzz to find.

As in `faults`: each is a wrong line of the shipped program. All are met in stories of sick nodes.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

import parkade.agent.repairs as agent_repairs
import parkade.control.health_intake as intake
import parkade.core.kernel.deadlines as deadlines
import parkade.core.repairing.guarding as guarding
import parkade.core.repairing.progress as progress
import parkade.core.repairing.turnarounds as turnarounds
import parkade.core.running.promises as promises
from parkade.core.fleet.node import MARS, Node
from parkade.core.healing.guards import Breaker
from parkade.core.healing.incident import Next, RepairReport
from parkade.core.healing.verdict import Level
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.turnaround import is_sanitising
from tests.sim.faults import Patch, in_decisions


def takes_a_failed_validation_for_passed(patch: Patch) -> None:
    """Whatever the check says, the node goes on to service."""
    patch.setattr(progress, "is_passed", lambda *_: True)


def believes_a_validation_of_before_the_fault(patch: Patch) -> None:
    """A check that was under way when a fatal fault came passes all the same."""
    patch.setattr(progress, "is_passed", lambda _incident, _order, report: report.is_done)


def forgets_a_fault_after_the_validation(patch: Patch) -> None:
    """A node that falls sick while it is sanitised returns."""

    def change(world: World, event: events.AnyEvent) -> Iterator[events.AnyEvent]:
        if isinstance(event, events.IncidentTurned) and event.says.startswith("fatal now"):
            incident = world.open_incident(event.node)
            if incident is not None and incident.next in (Next.SANITISE, Next.RETURN):
                return
        yield event

    in_decisions(patch, change)


def returns_a_node_unsanitised(patch: Patch) -> None:
    """What was repaired comes back with what the last org left."""
    patch.setattr(progress, "_after_validation", lambda *_: Next.RETURN)


def starts_on_what_another_org_left(patch: Patch) -> None:
    """No node is sanitised between two orgs."""
    patch.setattr(promises, "must_sanitise", lambda *_: False)


def takes_a_failed_sanitising_for_passed(patch: Patch) -> None:
    """A node between two orgs counts as clean whatever the agent says."""
    shipped = turnarounds.end_turnaround

    def end(
        world: World, node: Node, report: RepairReport, now_us: int
    ) -> tuple[events.AnyEvent, ...]:
        return shipped(world, node, msgspec.structs.replace(report, is_done=True), now_us)

    patch.setattr(progress, "end_turnaround", end)


def ignores_its_budgets(patch: Patch) -> None:
    """Every node is taken out that looks sick."""
    patch.setattr(guarding, "ask", _let_through)


def _let_through(breaker: Breaker, *_: Any) -> tuple[Breaker, bool]:
    return breaker, True


def suspects_no_parent(patch: Patch) -> None:
    """A rack without power is a rack of sick nodes."""
    patch.setattr(guarding, "is_fabric_suspected", lambda *_: False)
    patch.setattr(guarding, "suspected_parent", lambda *_: None)


def believes_one_kind_of_sensor(patch: Patch) -> None:
    """Many nodes are taken out on the word of one kind of sensor."""
    patch.setattr(guarding, "needs_second_source", lambda *_: False)


def goes_on_while_it_is_stopped(patch: Patch) -> None:
    """A stop, or a person's cordon, holds no repair."""

    def due_us(world: World, name: str) -> int | None:
        incident = world.open_incident(name)
        is_free = incident is not None and incident.held is None and incident.order is None
        if incident is None or not is_free or incident.next is Next.PERSON:
            return progress.repair_due_us(world, name)
        is_busy = bool(world.held_on[name]) or is_sanitising(world, name)
        return None if is_busy else incident.changed_us

    patch.setattr(deadlines, "repair_due_us", due_us)


def lifts_a_persons_cordon(patch: Patch) -> None:
    """What a person cordons is taken over by a repair."""

    def change(world: World, event: events.AnyEvent) -> Iterator[events.AnyEvent]:
        yield event
        if not isinstance(event, events.RepairEnded):
            return
        for cordon in world.records.nodes[event.node].cordons:
            if cordon.holder != MARS:
                yield events.NodeUncordoned(
                    at_us=event.at_us, node=event.node, holder=cordon.holder
                )

    in_decisions(patch, change)


def leaves_its_own_cordon(patch: Patch) -> None:
    """A node that was repaired stays cordoned."""

    def change(_world: World, event: events.AnyEvent) -> Iterator[events.AnyEvent]:
        if not (isinstance(event, events.NodeUncordoned) and event.holder == MARS):
            yield event

    in_decisions(patch, change)


def notes_a_fatal_fault_only(patch: Patch) -> None:
    """A fatal verdict begins no incident."""

    def change(_world: World, event: events.AnyEvent) -> Iterator[events.AnyEvent]:
        if isinstance(event, events.VerdictGiven) and event.verdict.level is Level.FATAL:
            yield msgspec.structs.replace(event, incident=None)
        elif isinstance(event, events.VerdictGiven | events.NodeRemoved) or not hasattr(
            event, "node"
        ):
            yield event

    in_decisions(patch, change)


def never_asks_the_guards_again(patch: Patch) -> None:
    """What was held once is held for ever."""

    def due_us(world: World, name: str) -> int | None:
        incident = world.open_incident(name)
        is_held = incident is not None and incident.held is not None
        return None if is_held else progress.repair_due_us(world, name)

    patch.setattr(deadlines, "repair_due_us", due_us)


def carries_an_order_out_twice(patch: Patch) -> None:
    """An agent that starts anew does not know what it did."""
    patch.setattr(agent_repairs, "_load", lambda _: {})


def believes_a_report_of_anothers_node(patch: Patch) -> None:
    """An agent may say of any node that it was repaired."""

    def repairs(_self: object, report: Any, _nodes: object) -> Iterator[commands.ReportRepair]:
        for ended in report.repairs:
            yield commands.ReportRepair(by=None, pool=report.pool, report=ended)

    shipped = progress.report_repair

    def take(world: World, command: commands.ReportRepair, now_us: int) -> Any:
        node = world.records.nodes.get(command.report.node)
        if node is not None:
            command = msgspec.structs.replace(command, pool=node.pool)
        return shipped(world, command, now_us)

    patch.setattr(intake.HealthIntake, "_repairs", repairs)
    patch.setattr(progress, "report_repair", take)


SICK = ("mars",)
MARS_FAULTS: dict[str, tuple[Callable[[Patch], None], tuple[str, ...]]] = {
    fault.__name__: (fault, troubles)
    for fault, troubles in (
        (takes_a_failed_validation_for_passed, SICK),
        (believes_a_validation_of_before_the_fault, SICK),
        (forgets_a_fault_after_the_validation, SICK),
        (returns_a_node_unsanitised, SICK),
        (starts_on_what_another_org_left, SICK),
        (takes_a_failed_sanitising_for_passed, SICK),
        (ignores_its_budgets, SICK),
        (suspects_no_parent, SICK),
        (believes_one_kind_of_sensor, SICK),
        (goes_on_while_it_is_stopped, SICK),
        (lifts_a_persons_cordon, ("operators", "mars")),
        (leaves_its_own_cordon, SICK),
        (notes_a_fatal_fault_only, SICK),
        (never_asks_the_guards_again, SICK),
        (carries_an_order_out_twice, ("agents", "mars")),
        (believes_a_report_of_anothers_node, SICK),
    )
}
"""By name: the fault, and the troubles of stories that can meet it."""
