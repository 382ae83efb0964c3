"""The way of a sick node: taken out, its work swapped, repaired, validated, sanitised, returned."""

import pytest

from parkade.core.fleet.node import MARS, STEPS, Health, is_step
from parkade.core.healing.incident import IncidentOutcome, Next, RepairKind, RepairReport
from parkade.core.healing.symptom import Source
from parkade.core.healing.verdict import Action, Level
from parkade.core.state import commands
from parkade.core.state.codec import encode_snapshot
from parkade.core.state.people import Role
from parkade.core.workloads.life import Cause, Phase
from tests import builders
from tests.core.repairing.sick import AT_IDLE, DEGRADED, Sick, verdict

K = RepairKind


def gang_of(it: Sick, nodes: int = 2) -> str:
    """A gang that runs and has saved step 7."""
    gang = it.bid("lab", 9, nodes=nodes)
    it.clear()
    it.started(gang)
    it.saved(gang, 7)
    return gang


def test_a_fatal_verdict_swaps_the_gang_first_and_repairs_behind() -> None:
    it = Sick(fabrics={"a": 3}, buffer_nodes=1)
    gang = gang_of(it)
    first, second = it.nodes_of(gang)
    it.verdict(first)
    assert it.health(first) is Health.DRAINING, "its ranks are still there"
    stop = it.stop(gang)
    assert stop.cause is Cause.HEALED
    terms = it.world.records.markets["pool"].terms
    assert stop.deadline_us - it.now_us == terms.heal_notice_us
    assert set(it.nodes_of(gang)) == {second, "a3"}, it.nodes_of(gang)
    assert it.world.open_incident(first) is not None
    it.tick(10)
    it.ended(gang, code=85)
    it.tick(1)
    it.started(gang)
    assert first not in it.nodes_of(gang)
    assert it.healed(first) == [K.REBOOT, K.VALIDATE, K.SANITISE]
    assert it.node(first).is_open
    assert it.way(first) == [
        "quarantined", "draining", "repairing", "validating", "sanitising", "healthy",
    ]  # fmt: skip
    story = it.incident()
    assert story.outcome is IncidentOutcome.RETURNED
    (hurt,) = story.hurt
    assert (hurt.workload, hurt.checkpoint_step) == (gang, 7)
    assert hurt.from_us is not None and hurt.until_us is not None
    assert hurt.until_us - hurt.from_us == 11_000_000
    assert first not in hurt.moved_to and len(hurt.moved_to) == 2
    assert it.replayed() == encode_snapshot(it.world)


def test_a_degraded_verdict_gives_the_markets_notice_and_loses_no_step() -> None:
    it = Sick(fabrics={"a": 3}, buffer_nodes=1)
    gang = gang_of(it)
    sick = it.nodes_of(gang)[0]
    it.verdict(sick, **DEGRADED)
    stop, attempt = it.stop(gang), it.attempt(gang)
    assert attempt.broken_us is None
    terms = it.world.records.markets["pool"].terms
    assert stop.deadline_us - it.now_us == terms.notice_us
    assert it.phase(gang) is Phase.PREEMPTING
    it.tick(5)
    it.saved(gang, 8)
    it.ended(gang, code=85)
    it.tick(1)
    it.started(gang)
    assert it.workload(gang).failures == 0
    (hurt,) = it.incident().hurt
    assert hurt.with_notice and hurt.checkpoint_step == 8
    assert hurt.until_us is not None and hurt.from_us is not None
    assert hurt.until_us - hurt.from_us == 1_000_000, "it stood still only while it moved"
    assert it.healed(sick)[0] is K.RESET


def test_a_repair_that_may_wait_for_an_idle_node_moves_nothing() -> None:
    it = Sick(fabrics={"a": 3})
    job = it.bid("lab", 9)
    it.clear()
    it.started(job)
    (node,) = it.nodes_of(job)
    it.verdict(node, signal="xid/63", **AT_IDLE)
    assert it.health(node) is Health.SUSPECT
    assert it.attempt(job).stop is None
    it.ended(job)
    assert it.order(node).kind is K.RESET
    it.healed(node)
    assert it.node(node).is_open


def test_a_degraded_node_that_its_owner_claims_is_repaired_when_the_owner_gives_it_up() -> None:
    it = Sick(fabrics={"a": 2}, buffer_nodes=0)
    it.reserve("acme", 2)
    claim = it.claim("acme", 1)
    it.clear()
    (node,) = (seat.node for seat in it.world.records.claims[claim].seats)
    it.verdict(node, **DEGRADED)
    assert it.health(node) is Health.SUSPECT
    assert it.world.records.claims[claim].seats[0].node == node
    it.do(commands.Unclaim(by=None, claim=claim))
    assert it.order(node).kind is K.RESET


def test_two_failed_validations_retire_the_node_and_the_owner_keeps_its_shape() -> None:
    it = Sick(fabrics={"a": 4}, buffer_nodes=1)
    it.reserve("acme", 3, hours=9)
    own = it.on_reservation("acme", "acme", nodes=3)
    it.clear()
    it.started(own)
    bad = it.nodes_of(own)[0]
    it.verdict(bad)
    it.ended(own, signal=9)
    it.tick(1)
    it.start_all()
    assert it.repaired(bad) is K.REBOOT
    assert it.repaired(bad, is_done=False, says="GPU 0 fails") is K.VALIDATE
    assert it.repaired(bad) is K.RESET
    assert it.repaired(bad, is_done=False, says="GPU 0 fails again") is K.VALIDATE
    assert it.health(bad) is Health.RETIRED
    assert it.incident().outcome is IncidentOutcome.RETIRED
    ticket = it.incident().order
    assert ticket is not None and ticket.kind is K.TICKET
    it.run(300)
    assert it.phase(own) is Phase.RUNNING
    assert len(it.nodes_of(own)) == 3 and bad not in it.nodes_of(own)
    assert not it.node(bad).is_in_play


@pytest.mark.parametrize(
    ("failing", "ordered"),
    [
        (K.RESET, [K.RESET, K.REBOOT, K.VALIDATE]),
        (K.VALIDATE, [K.RESET, K.VALIDATE, K.REBOOT, K.VALIDATE]),
    ],
)
def test_a_repair_that_fails_takes_the_next_rung(failing: K, ordered: list[K]) -> None:
    it = Sick()
    it.verdict("a1", action=Action.RESET_GPU)
    made, has_failed = [], False
    while it.world.open_incident("a1") is not None:
        kind = it.order("a1").kind
        made.append(it.repaired("a1", is_done=has_failed or kind is not failing))
        has_failed = has_failed or kind is failing
    assert made == ordered, "no org sat there, so nothing is wiped"


def test_a_reset_that_did_not_last_is_a_reboot_the_next_day() -> None:
    it = Sick()
    it.verdict("a1", "v1", action=Action.RESET_GPU)
    assert it.healed("a1") == [K.RESET, K.VALIDATE]
    it.tick(24 * 3600)
    it.verdict("a1", "v2", action=Action.RESET_GPU)
    assert it.healed("a1") == [K.REBOOT, K.VALIDATE]


def test_a_fault_that_comes_again_after_a_passed_diagnosis_retires_the_node() -> None:
    it = Sick()
    it.verdict("a1", "v1", action=Action.DIAGNOSE)
    assert it.order("a1").is_diagnosis
    assert it.healed("a1") == [K.VALIDATE]
    it.tick(24 * 3600)
    it.verdict("a1", "v2", action=Action.DIAGNOSE)
    assert it.health("a1") is Health.RETIRED
    assert it.incident(2).outcome is IncidentOutcome.RETIRED
    assert it.way("a1")[-2:] == ["quarantined", "retired"]


def test_a_diagnosis_is_not_a_repair_that_makes_the_next_validation_long() -> None:
    it = Sick()
    it.verdict("a1", "v1", action=Action.DIAGNOSE)
    it.healed("a1")
    it.verdict("a1", "v2", action=Action.RESET_GPU)
    it.repaired("a1")
    assert (it.order("a1").kind, it.order("a1").grade) == (K.VALIDATE, "short")


def test_a_diagnosis_that_failed_or_that_a_person_asked_for_is_not_remembered() -> None:
    it = Sick()
    it.verdict("a1", "v1", action=Action.DIAGNOSE)
    it.repaired("a1", is_done=False)
    it.fail("a2")
    it.do(commands.RestoreNode(by=None, node="a2"))
    assert it.healed("a2") == [K.VALIDATE]
    it.verdict("a2", "v2", action=Action.DIAGNOSE)
    assert it.order("a2").kind is K.VALIDATE
    remembered = it.world.records.cares["a1"].repairs + it.world.records.cares["a2"].repairs
    assert remembered == ()


def test_a_fatal_fault_during_validation_fails_it_whatever_the_check_says() -> None:
    it = Sick()
    it.verdict("a1", "v1", action=Action.RESET_GPU)
    it.repaired("a1")
    assert it.order("a1").kind is K.VALIDATE
    it.tick(1)
    it.verdict("a1", "v2", action=Action.RESET_GPU)
    it.repaired("a1")
    assert it.order("a1").kind is K.REBOOT


def test_a_fatal_fault_while_a_node_is_sanitised_sends_it_to_repair_and_not_back_to_work() -> None:
    it = Sick(fabrics={"a": 3}, buffer_nodes=1)
    gang = gang_of(it, 1)
    (node,) = it.nodes_of(gang)
    it.verdict(node, "v1", action=Action.RESET_GPU)
    it.tick(10)
    it.ended(gang, code=85)
    assert [it.repaired(node) for _ in range(2)] == [K.RESET, K.VALIDATE]
    assert it.order(node).kind is K.SANITISE
    it.tick(1)
    it.verdict(node, "v2", action=Action.RESET_GPU)
    it.repaired(node)
    assert it.order(node).kind is K.REBOOT, "what was sanitised is sick again"
    it.healed(node)
    assert it.node(node).is_open
    assert it.replayed() == encode_snapshot(it.world)


def test_a_fatal_fault_on_a_validated_node_that_a_person_keeps_back_is_repaired_first() -> None:
    it = Sick()
    it.verdict("a1", "v1", action=Action.RESET_GPU)
    it.repaired("a1")
    it.do(commands.SetAutomation(by=None, reason="works", is_on=False))
    it.repaired("a1")
    incident = it.world.open_incident("a1")
    assert incident is not None and incident.next is Next.RETURN
    it.tick(1)
    it.verdict("a1", "v2", action=Action.RESET_GPU)
    it.do(commands.SetAutomation(by=None, reason="over", is_on=True))
    assert it.order("a1").kind is K.REBOOT


def test_a_validated_node_without_sanitising_returns_on_a_persons_word() -> None:
    it = Sick(kinds=(K.RESET, K.VALIDATE), fabrics={"a": 3}, buffer_nodes=1)
    gang = gang_of(it, 1)
    (node,) = it.nodes_of(gang)
    it.verdict(node, action=Action.RESET_GPU)
    it.tick(10)
    it.ended(gang, code=85)
    assert [it.repaired(node) for _ in range(2)] == [K.RESET, K.VALIDATE]
    incident = it.world.open_incident(node)
    assert incident is not None and incident.next is Next.PERSON
    it.do(commands.RestoreNode(by=None, node=node))
    assert it.node(node).is_open
    assert it.incident().outcome is IncidentOutcome.WAIVED


def test_a_person_who_restores_what_fell_sick_after_its_validation_has_it_validated() -> None:
    it = Sick(kinds=(K.RESET, K.VALIDATE), fabrics={"a": 3}, buffer_nodes=1)
    gang = gang_of(it, 1)
    (node,) = it.nodes_of(gang)
    it.verdict(node, action=Action.RESET_GPU)
    it.tick(10)
    it.ended(gang, code=85)
    assert [it.repaired(node) for _ in range(2)] == [K.RESET, K.VALIDATE]
    it.tick(1)
    it.verdict(node, "v2", action=Action.RESET_GPU)
    it.do(commands.RestoreNode(by=None, node=node))
    assert it.order(node).kind is K.VALIDATE


def test_a_persons_cordon_keeps_mars_hands_off_and_survives_the_return() -> None:
    it = Sick()
    it.org("house")
    it.do(builders.create_user("ann", "house", role=Role.OPERATOR))
    it.do(commands.CordonNode(by="ann", node="a1", reason="I look at it"))
    it.verdict("a1")
    incident = it.world.open_incident("a1")
    assert incident is not None and incident.order is None, "nothing is reset under a person"
    it.do(commands.UncordonNode(by="ann", node="a1"))
    assert it.order("a1").kind is K.REBOOT
    it.do(commands.CordonNode(by="ann", node="a1", reason="again"))
    it.repaired("a1")
    it.do(commands.UncordonNode(by="ann", node="a1"))
    it.healed("a1")
    it.do(commands.CordonNode(by="ann", node="a1", reason="third"))
    it.verdict("a1", "v2")
    assert [cordon.holder for cordon in it.node("a1").cordons] == ["ann", MARS]
    refusal = it.refused(commands.UncordonNode(by=None, node="a1"))
    assert refusal.reason == "cordoned_by_another"


def test_no_node_returns_without_checks_but_on_a_persons_word() -> None:
    it = Sick(kinds=(K.REBOOT,))
    it.verdict("a1")
    it.repaired("a1")
    incident = it.world.open_incident("a1")
    assert incident is not None and incident.next is Next.PERSON
    it.tick(24 * 3600)
    assert it.health("a1") is Health.REPAIRING
    it.do(commands.RestoreNode(by=None, node="a1"))
    assert it.node("a1").is_open
    assert it.incident().outcome is IncidentOutcome.WAIVED


def test_a_node_that_a_person_restores_is_validated_where_the_agent_can() -> None:
    it = Sick()
    it.fail("a1")
    it.do(commands.RestoreNode(by=None, node="a1"))
    assert it.health("a1") is Health.VALIDATING
    assert it.healed("a1") == [K.VALIDATE]
    assert it.node("a1").is_open
    assert it.way("a1") == ["failed", "quarantined", "validating", "healthy"]


def test_one_command_stops_all_automatic_action_and_nothing_is_lost() -> None:
    it = Sick()
    it.verdict("a1")
    assert it.order("a1").kind is K.REBOOT
    it.do(commands.SetAutomation(by=None, reason="network maintenance", is_on=False))
    it.repaired("a1")
    incident = it.world.open_incident("a1")
    assert incident is not None and incident.order is None, "the next step waits"
    it.verdict("a2")
    assert it.health("a2") is Health.HEALTHY
    second = it.world.open_incident("a2")
    assert second is not None and second.held == "observe_only"
    it.do(commands.SetAutomation(by=None, reason="over", is_on=True))
    it.tick(1)
    assert it.order("a1").kind is K.VALIDATE
    assert it.order("a2").kind is K.REBOOT, "start goes on at once, not at the next half hour"
    assert it.replayed() == encode_snapshot(it.world)


def test_a_repeated_report_changes_nothing() -> None:
    it = Sick()
    it.verdict("a1")
    before = len(it.journal)
    it.verdict("a1")
    order = it.order("a1")
    it.repaired("a1")
    at = len(it.journal)
    stale = RepairReport(
        order=order.order,
        node="a1",
        is_done=False,
        exit_code=1,
        says="late",
        began_us=0,
        ended_us=0,
    )
    assert it.do(commands.ReportRepair(by=None, pool="pool", report=stale)) == ()
    assert len(it.journal) == at and at > before


def test_an_agent_speaks_of_its_own_pools_nodes_only() -> None:
    it = Sick()
    it.do(builders.open_pool("other", {"x": 1}))
    for node in ("x1", "nowhere"):
        refusal = it.refused(
            commands.ReportVerdict(by=None, pool="pool", verdict=verdict(node, at_us=it.now_us))
        )
        assert refusal.reason == "not_found"


def test_warnings_are_noted_and_move_nothing() -> None:
    it = Sick()
    made = it.verdict("a1", level=Level.WARN, action=Action.NONE)
    assert [type(event).__name__ for event in made] == ["VerdictGiven"]
    assert it.world.open_incident("a1") is None


def test_a_fatal_fault_takes_a_node_out_that_was_left_with_notice() -> None:
    it = Sick(fabrics={"a": 3})
    gang = gang_of(it)
    sick = it.nodes_of(gang)[0]
    it.verdict(sick, "v1", **DEGRADED)
    before = it.stop(gang).deadline_us
    it.tick(2)
    it.verdict(sick, "v2", sources=(Source.NVML,))
    assert it.attempt(gang).broken_us is not None
    assert it.stop(gang).deadline_us <= before
    assert it.incident().level is Level.FATAL


def test_every_step_of_the_table_names_a_state_and_none_leads_back_to_work_but_by_checks() -> None:
    assert set(STEPS) == set(Health)
    into_service = {health for health in Health if is_step(health, Health.HEALTHY)}
    by_a_person = {Health.QUARANTINED, Health.DRAINING, Health.RETIRED, Health.FAILED}
    assert into_service - by_a_person == {
        Health.SUSPECT,
        Health.VALIDATING,
        Health.SANITISING,
    }


def test_nodes_that_join_are_validated_before_any_work_comes() -> None:
    it = Sick(fabrics={"a": 1}, buffer_nodes=0)
    more = commands.Supply(market="pool", opens=None, fabrics=(("a", ("n1", "n2")),))
    it.do(commands.AddNodes(by=None, pool="pool", supply=more))
    jobs = [it.bid("lab", 9) for _ in range(3)]
    it.clear()
    assert sum(bool(it.nodes_of(job)) for job in jobs) == 1, "only the old node takes work"
    assert {it.health(name) for name in ("n1", "n2")} == {Health.VALIDATING}
    assert it.healed("n1") == [K.VALIDATE]
    it.repaired("n2", is_done=False)
    it.clear()
    assert sum(bool(it.nodes_of(job)) for job in jobs) == 2
    assert it.health("n2") is not Health.HEALTHY
