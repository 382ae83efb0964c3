"""Automatic action stops before it takes a fleet down, and goes on by itself when that was rare."""

import msgspec

from parkade.core.fleet.node import Health
from parkade.core.healing.incident import IncidentOutcome, RepairKind
from parkade.core.healing.symptom import Source
from parkade.core.healing.verdict import Action
from parkade.core.state import commands, events
from parkade.core.state.codec import encode_snapshot
from parkade.core.state.people import Role
from parkade.core.units.fraction import Fraction
from tests import builders
from tests.core.repairing.sick import AT_IDLE, DEGRADED, WHOLE, Sick, verdict

FIFTH = Fraction(numerator=1, denominator=5)
TENTH = Fraction(numerator=1, denominator=10)


def out(it: Sick) -> list[str]:
    """The nodes that Mars took out of play."""
    return [node.node for node in it.world.records.nodes.values() if not node.is_in_play]


def test_a_fabrics_budget_holds_the_next_node_and_half_opens_later() -> None:
    it = Sick(fabrics={"a": 10, "b": 30}, limited=True)
    it.do(commands.SetAutomation(by=None, reason="t", fabric_share=FIFTH, fleet_share=FIFTH))
    for at, node in enumerate(("a1", "a2", "a3")):
        it.tick(400)
        it.verdict(node, f"v{at}")
    assert out(it) == ["a1", "a2"]
    held = it.world.open_incident("a3")
    assert held is not None and held.held == "fabric_budget"
    assert it.health("a3") is Health.HEALTHY, "what is held changes nothing about the node"
    it.tick(31 * 60)
    assert "a3" in out(it), "after half an hour one node is let through"


def test_a_lying_reporter_takes_out_no_more_than_the_budget() -> None:
    it = Sick(fabrics={"a": 40}, limited=True)
    for number in range(1, 41):
        it.verdict(f"a{number}")
    assert out(it) == ["a1", "a2"]
    reasons = {it.world.open_incident(f"a{n}").held for n in range(3, 41)}  # type: ignore[union-attr]
    assert reasons <= {"parent_suspected", "second_source_needed", "fleet_budget", "fabric_budget"}


def test_nodes_that_fall_sick_together_suspect_their_fabric_instead() -> None:
    it = Sick(fabrics={"a": 8}, limited=True)
    it.do(
        commands.SetAutomation(
            by=None,
            reason="t",
            fabric_share=Fraction(numerator=1, denominator=1),
            fleet_share=Fraction(numerator=1, denominator=1),
        )
    )
    for number in range(1, 6):
        it.verdict(f"a{number}", sources=(Source.KERNEL_LOG, Source.NVML))
    assert len(out(it)) == 2
    held = it.world.open_incident("a5")
    assert held is not None and held.held == "parent_suspected"


def test_a_second_kind_of_sensor_makes_a_mass_action_credible() -> None:
    it = Sick(fabrics={"a": 100}, limited=True)
    whole = Fraction(numerator=1, denominator=1)
    it.do(commands.SetAutomation(by=None, reason="t", fabric_share=whole, fleet_share=whole))
    for number in range(1, 5):
        it.tick(400)
        it.verdict(f"a{number}")
    assert out(it) == ["a1", "a2", "a3"]
    held = it.world.open_incident("a4")
    assert held is not None and held.held == "second_source_needed"
    it.verdict("a4", "v2", sources=(Source.NVML,))
    assert "a4" in out(it)


def held_by_the_budget() -> Sick:
    """Three nodes at two of a budget."""
    it = Sick(fabrics={"a": 10, "b": 30}, limited=True)
    it.do(commands.SetAutomation(by=None, reason="t", fabric_share=FIFTH, fleet_share=FIFTH))
    for node in ("a1", "a2", "a3", "a4"):
        it.tick(400)
        it.verdict(node, sources=(Source.KERNEL_LOG, Source.NVML))
    assert out(it) == ["a1", "a2"]
    return it


def test_what_the_budgets_hold_is_asked_again_at_once_when_they_are_lifted() -> None:
    it = held_by_the_budget()
    it.do(commands.SetAutomation(by=None, reason="a drill", is_limited=False))
    it.tick(1)
    assert out(it) == ["a1", "a2", "a3", "a4"]
    assert it.replayed() == encode_snapshot(it.world)


def test_a_stop_and_start_makes_what_a_budget_holds_wait_no_longer() -> None:
    it = held_by_the_budget()
    held = it.world.open_incident("a3")
    assert held is not None
    it.tick(60)
    it.do(commands.SetAutomation(by=None, reason="a look", is_on=False))
    it.do(commands.SetAutomation(by=None, reason="over", is_on=True))
    again = it.world.open_incident("a3")
    assert again is not None and again.retry_us == held.retry_us


def test_a_start_lets_no_more_through_than_the_budgets() -> None:
    it = Sick(fabrics={"a": 10, "b": 30}, limited=True)
    it.do(
        commands.SetAutomation(
            by=None, reason="works", is_on=False, fabric_share=FIFTH, fleet_share=FIFTH
        )
    )
    for node in ("a1", "a2", "a3"):
        it.tick(400)
        it.verdict(node, sources=(Source.KERNEL_LOG, Source.NVML))
    assert out(it) == []
    it.do(commands.SetAutomation(by=None, reason="over", is_on=True))
    it.tick(1)
    assert len(out(it)) == 2
    held = it.world.open_incident("a3")
    assert held is not None and held.held == "fabric_budget"


def test_an_automation_set_of_an_older_journal_asks_nothing() -> None:
    old = msgspec.convert({"at_us": 1, "automation": {}}, events.AutomationSet)
    assert old.asks_held is False


def test_a_held_incident_expires_after_a_day_without_the_fault() -> None:
    it = Sick(limited=True)
    it.do(commands.SetAutomation(by=None, reason="stop", is_on=False))
    it.verdict("a1")
    it.tick(25 * 3600)
    assert it.incident().outcome is IncidentOutcome.EXPIRED
    assert it.health("a1") is Health.HEALTHY
    assert it.way("a1") == []


def test_what_is_raised_while_it_is_held_is_repaired_by_its_worst_verdict() -> None:
    it = Sick(limited=True)
    it.do(commands.SetAutomation(by=None, reason="works", is_on=False))
    it.verdict("a1", "v1", **DEGRADED)
    it.verdict("a1", "v2", device="0000:5e:00")
    it.do(commands.SetAutomation(by=None, reason="over", is_on=True))
    it.tick(31 * 60)
    assert it.order("a1").kind is RepairKind.REBOOT
    assert it.replayed() == encode_snapshot(it.world)


def test_what_another_sensor_raises_while_it_is_held_is_repaired_by_that_verdict() -> None:
    it = Sick(fabrics={"a": 100}, limited=True)
    whole = Fraction(numerator=1, denominator=1)
    it.do(commands.SetAutomation(by=None, reason="t", fabric_share=whole, fleet_share=whole))
    for node in ("a2", "a3", "a4"):
        it.tick(400)
        it.verdict(node)
    it.tick(400)
    it.verdict("a1", "v1", **DEGRADED)
    it.verdict("a1", "v2", device="0000:5e:00", sources=(Source.NVML,))
    assert it.order("a1").kind is RepairKind.REBOOT
    (asked,) = (event for event in it.journal if isinstance(event, events.IncidentHeld))
    assert (asked.held, asked.next) == (None, "reboot")
    raised = it.world.open_incident("a1")
    assert raised is not None and raised.device == "0000:5e:00"


def test_a_fatal_verdict_that_asks_for_no_repair_keeps_the_step_of_the_first() -> None:
    it = Sick(limited=True)
    it.do(commands.SetAutomation(by=None, reason="works", is_on=False))
    it.verdict("a1", "v1", **DEGRADED)
    it.verdict("a1", "v2", action=Action.CONTACT_SUPPORT)
    it.do(commands.SetAutomation(by=None, reason="over", is_on=True))
    it.tick(31 * 60)
    assert it.order("a1").kind is RepairKind.RESET


def test_a_fatal_verdict_that_asks_for_no_repair_still_takes_the_node_from_its_work() -> None:
    it = Sick(fabrics={"a": 2})
    job = it.bid("lab", 9)
    it.clear()
    it.started(job)
    (node,) = it.nodes_of(job)
    it.verdict(node, "v1", **DEGRADED)
    it.verdict(node, "v2", action=Action.CONTACT_SUPPORT)
    assert it.attempt(job).broken_us is not None


def closed_with_work(**first: object) -> tuple[Sick, str, str]:
    """A job runs on a node that a degraded verdict closed: the node, and the job."""
    it = Sick(fabrics={"a": 4}, limited=True)
    job = it.bid("lab", 9)
    it.clear()
    it.started(job)
    (node,) = it.nodes_of(job)
    it.verdict(node, "v1", **(first or AT_IDLE))
    return it, node, job


def test_a_fatal_verdict_takes_no_node_out_while_all_is_stopped() -> None:
    it, node, job = closed_with_work()
    it.do(commands.SetAutomation(by=None, reason="hands off", is_on=False))
    it.verdict(node, "v2", sources=(Source.NVML,))
    assert it.health(node) is Health.SUSPECT and it.attempt(job).broken_us is None
    assert it.incident().held == "observe_only"
    it.tick(25 * 3600)
    assert it.incident().outcome is None, "a node that left play is not forgotten"
    it.do(commands.SetAutomation(by=None, reason="over", is_on=True))
    it.tick(31 * 60)
    assert it.health(node) is not Health.SUSPECT
    assert it.replayed() == encode_snapshot(it.world)


def test_a_fatal_verdict_breaks_no_job_that_leaves_with_notice_while_all_is_stopped() -> None:
    it, node, job = closed_with_work(**DEGRADED)
    it.do(commands.SetAutomation(by=None, reason="hands off", is_on=False))
    it.verdict(node, "v2")
    assert it.attempt(job).broken_us is None


def test_a_fatal_verdict_on_a_closed_node_asks_the_budgets_again() -> None:
    it, node, job = closed_with_work()
    it.tick(2 * 3600)
    others = [name for name in it.world.records.nodes if name != node]
    it.verdict(others[0], "v1")
    assert it.health(others[0]) is not Health.HEALTHY
    it.verdict(node, "v2")
    assert it.attempt(job).broken_us is None
    assert it.incident().held in ("fabric_budget", "parent_suspected")


def test_an_agent_that_lies_uses_up_no_budget_that_another_pool_needs() -> None:
    it = Sick(fabrics={f"a{n:02}x": 2 for n in range(20)}, limited=True)
    it.do(commands.SetAutomation(by=None, reason="t", fabric_share=WHOLE))
    it.do(
        builders.open_pool("honest", {f"b{n:02}x": 2 for n in range(20)}, market="pool", opens=None)
    )
    for number in range(20):
        it.tick(400)
        it.verdict(f"a{number:02}x1", f"v{number}", sources=(Source.KERNEL_LOG, Source.NVML))
    lies = out(it)
    held = {it.world.open_incident(f"a{n:02}x1").held for n in range(20)}  # type: ignore[union-attr]
    assert "pool_budget" in held and len(lies) <= 6
    sick = commands.ReportVerdict(by=None, pool="honest", verdict=verdict("b00x1", at_us=it.now_us))
    it.do(sick)
    assert "b00x1" in out(it), "one kind of sensor is enough there, and its budget is its own"
    assert it.replayed() == encode_snapshot(it.world)


def test_who_stopped_mars_and_when_is_kept() -> None:
    it = Sick(limited=True)
    it.org("house")
    it.do(builders.create_user("ann", "house", role=Role.OPERATOR))
    it.tick(5)
    it.do(commands.SetAutomation(by="ann", reason="works", is_on=False))
    automation = it.world.records.automation
    assert (automation.by, automation.set_us) == ("ann", it.now_us)
    before = len(it.journal)
    it.do(commands.SetAutomation(by="ann", reason="again", is_on=False))
    assert len(it.journal) == before, "what changes nothing is no event"
