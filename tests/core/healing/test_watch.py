"""Storms over a fleet: no false mass cordon, whatever fails together or whoever lies."""

import random

from parkade.core.healing.guards import BreakerState, GuardLimits, HoldReason, Rejected
from parkade.core.healing.parents import ParentLimits
from parkade.core.healing.symptom import Fact, NodeCondition, RecoveryAction, Source, Symptom
from parkade.core.healing.topology import NodePlace, ParentKind
from parkade.core.healing.verdict import Action, Level, Scope, Verdict
from parkade.core.healing.watch import Decision, FleetWatch, WatchSettings, asks
from parkade.core.units.time import HOUR_US, SECOND_US
from tests.core.healing.builder import condition, policy, rule, symptom, wish, xid

RULES = policy(
    rule("xid/79", Level.FATAL, Action.REBOOT, scope=Scope.NODE),
    rule("xid/119", Level.FATAL, Action.RESET_GPU),
    rule("xid/63", Level.DEGRADED, Action.RESET_AT_IDLE),
    rule("gpu_lost", Level.FATAL, Action.REBOOT, scope=Scope.NODE),
    rule("link_flapping", Level.WARN, Action.NONE),
    rule("sxid/fatal", Level.FATAL, Action.RESET_FABRIC, scope=Scope.NODE),
)


def places(count: int, *, rack_of: int = 8, fabric_of: int = 32) -> tuple[NodePlace, ...]:
    """So many nodes, in racks and fabrics, half of them with a new driver."""
    return tuple(
        NodePlace(
            node=f"n{number}",
            fabric=f"f{number // fabric_of}",
            rack=f"r{number // rack_of}",
            switch=f"s{number // (rack_of * 2)}",
            driver="570" if number < count // 2 else "580",
        )
        for number in range(count)
    )


def watch(
    count: int = 256,
    *,
    acts: bool = True,
    defers: bool = False,
    own: dict[str, frozenset[str]] | None = None,
) -> FleetWatch:
    """A fleet of so many nodes."""
    settings = WatchSettings(
        policy=RULES, guards=GuardLimits(), parents=ParentLimits(), acts=acts, defers=defers
    )
    return FleetWatch(places(count), settings, own_nodes=own)


def play(fleet: FleetWatch, symptoms: list[Symptom]) -> list[Decision]:
    """Everything that is decided, in order of time."""
    decisions: list[Decision] = []
    for each in sorted(symptoms, key=lambda one: one.at_us):
        decisions += fleet.tick(each.at_us)
        decisions += fleet.observe(each, each.at_us).decisions
    last_us = max(each.at_us for each in symptoms)
    return [*decisions, *fleet.tick(last_us + HOUR_US)]


def acted(decisions: list[Decision]) -> set[str]:
    return {each.verdict.node for each in decisions if each.is_allowed}


def test_a_single_sick_node_is_acted_on_at_once() -> None:
    (decision,) = watch().observe(symptom(xid(79), 1, node="n7"), SECOND_US).decisions
    assert (decision.is_allowed, decision.held) == (True, None)


def test_a_rack_that_fails_is_suspected_instead_of_its_nodes() -> None:
    fleet = watch()
    decisions = play(fleet, [symptom(xid(79), n * 2, node=f"n{n}") for n in range(8)])
    assert len(acted(decisions)) <= 2
    held = {each.held for each in decisions if each.held}
    assert HoldReason.PARENT_SUSPECTED in held
    fleet = watch()
    for n in range(8):
        fleet.observe(symptom(xid(79), n * 2, node=f"n{n}"), n * 2 * SECOND_US)
    assert (ParentKind.RACK, "r0") in {(each.kind, each.name) for each in fleet.suspicions()}


def test_a_roll_out_that_breaks_half_of_the_fleet_is_blamed_on_the_driver() -> None:
    fleet = watch(2_048)
    order = list(range(1_024))
    random.Random(3).shuffle(order)
    symptoms = [symptom(xid(119), at * 2, node=f"n{number}") for at, number in enumerate(order)]
    decisions = play(fleet, symptoms)
    assert len(acted(decisions)) < 15
    fleet = watch(2_048)
    for each in symptoms:
        fleet.observe(each, each.at_us)
    kinds = {(each.kind, each.name) for each in fleet.suspicions()}
    assert (ParentKind.DRIVER, "570") in kinds
    assert (ParentKind.DRIVER, "580") not in kinds


def test_a_lying_reporter_of_a_node_harms_its_own_node_only() -> None:
    fleet = watch()
    lies = [symptom(xid(79), at, node=f"n{at % 256}", reporter="n9") for at in range(2_000)]
    assert acted(play(fleet, lies)) == {"n9"}
    assert fleet.rejections[Rejected.NOT_ITS_NODE] >= 1_900


def test_a_lying_agent_of_a_whole_pool_is_stopped_by_budgets_and_second_sources() -> None:
    every = frozenset(f"n{number}" for number in range(1_024))
    slow_lies = [
        symptom(xid(79), at * 400, node=f"n{at * 61 % 1_024}", reporter="agent")
        for at in range(200)
    ]
    fleet = watch(1_024, own={"agent": every})
    decisions = play(fleet, slow_lies)
    days = 200 * 400 / 86_400
    # One source only: three nodes under action in any hour.
    assert len(acted(decisions)) <= 3 * 24 * (days + 1)
    per_hour: dict[int, set[str]] = {}
    for each in decisions:
        if each.is_allowed:
            per_hour.setdefault(each.verdict.at_us // HOUR_US, set()).add(each.verdict.node)
    assert max(map(len, per_hour.values())) <= 2 * GuardLimits().mass_nodes
    assert HoldReason.SECOND_SOURCE_NEEDED in {each.held for each in decisions}


def test_real_failures_seen_by_two_sensors_are_acted_on_up_to_the_budget() -> None:
    fleet = watch(1_024)
    facts: list[tuple[Fact, Source]] = [
        (condition(NodeCondition.GPU_LOST), Source.NVML),
        (xid(79), Source.KERNEL_LOG),
    ]
    symptoms = [
        symptom(fact, number * 200 + at, node=f"n{number * 33}", source=source)
        for number in range(12)
        for at, (fact, source) in enumerate(facts)
    ]
    assert len(acted(play(fleet, symptoms))) == 12


def test_flapping_links_everywhere_take_no_node() -> None:
    fleet = watch()
    flaps = [
        symptom(
            condition(NodeCondition.LINK_FLAPPING), at * 7 + n / 1_000, node=f"n{n}", device="p"
        )
        for n in range(256)
        for at in range(20)
    ]
    assert acted(play(fleet, flaps)) == set()


def test_a_watch_that_only_observes_acts_on_nothing() -> None:
    (decision,) = watch(acts=False).observe(symptom(xid(79)), 0).decisions
    assert (decision.is_allowed, decision.held) == (False, HoldReason.OBSERVE_ONLY)


def test_unknown_nodes_and_reporters_are_rejected_and_take_no_memory() -> None:
    fleet = watch()
    for number in range(100):
        fleet.observe(symptom(xid(79), node=f"ghost{number}"), 0)
        fleet.observe(symptom(xid(79), node="n1", reporter=f"ghost{number}"), 0)
    assert fleet.rejections[Rejected.UNKNOWN_NODE] == 100
    assert fleet.rejections[Rejected.NOT_ITS_NODE] == 100
    assert fleet.next_due_us() is None


STORM: list[Fact] = [xid(79), xid(119), xid(63), wish(RecoveryAction.REBOOT), xid(5)]


def test_in_any_storm_the_budget_of_fleet_and_fabrics_holds_and_every_fatal_is_decided_once() -> (
    None
):
    guards = GuardLimits()
    for seed in range(6):
        chance = random.Random(seed)
        fleet = watch(256)
        symptoms = []
        for _ in range(3_000):
            node = f"n{chance.choice([chance.randrange(256), chance.randrange(16)])}"
            fact = chance.choice(STORM)
            source = chance.choice([Source.KERNEL_LOG, Source.NVML])
            at = chance.randrange(6 * 3_600)
            symptoms.append(symptom(fact, at, node=node, source=source))
        decisions = play(fleet, symptoms)
        allowed = [each for each in decisions if each.is_allowed]
        names = [each.verdict.verdict for each in decisions]
        assert len(names) == len(set(names))
        assert all(
            (each.is_allowed is None) == (each.verdict.level.rank < Level.DEGRADED.rank)
            or each.verdict.action is Action.CONTACT_SUPPORT
            for each in decisions
        )
        first: dict[str, int] = {}
        for each in allowed:
            first.setdefault(each.verdict.node, each.verdict.at_us)
        for start_us in first.values():
            inside = [at for at in first.values() if 0 <= at - start_us < guards.window_us]
            assert len(inside) <= fleet.fleet.budget + 3


def sick(fleet: FleetWatch, number: int, at: int) -> Verdict:
    """The verdict on a node that fails; what it asks for is not decided yet."""
    (decision,) = fleet.observe(symptom(xid(79), at, node=f"n{number}"), at * SECOND_US).decisions
    assert decision.is_allowed is None and asks(decision.verdict)
    return decision.verdict


def test_an_action_that_was_not_done_leaves_the_budgets_as_they_were() -> None:
    fleet = watch(20, defers=True)
    first, second = sick(fleet, 0, 0), sick(fleet, 9, 700)
    assert fleet.permit(first, 701 * SECOND_US) is None
    fleet.give_back()
    assert fleet.permit(second, 702 * SECOND_US) is None, "a fleet of twenty has a budget of one"
    third = sick(fleet, 18, 1_400)
    assert fleet.permit(third, 1_401 * SECOND_US) is HoldReason.FLEET_BUDGET


def test_a_probe_that_was_not_done_leaves_the_next_one_to_probe() -> None:
    fleet, cool = watch(20, defers=True), GuardLimits().cool_us // SECOND_US
    for number in (0, 9):
        fleet.permit(sick(fleet, number, number), number * SECOND_US)
    assert fleet.fleet.state is BreakerState.OPEN
    probe, next_one, last = (sick(fleet, number, cool + number) for number in (10, 12, 18))
    later_us = 2 * cool * SECOND_US
    assert fleet.permit(probe, later_us) is None
    fleet.give_back()
    assert fleet.permit(next_one, later_us) is None
    assert fleet.permit(last, later_us) is HoldReason.FLEET_BUDGET


def test_what_is_decided_later_knows_what_failed_meanwhile() -> None:
    fleet = watch(defers=True)
    verdicts = [sick(fleet, number, number) for number in range(8)]
    assert fleet.permit(verdicts[0], 9 * SECOND_US) is HoldReason.PARENT_SUSPECTED


def test_what_only_observes_is_held_at_once() -> None:
    (decision,) = watch(acts=False, defers=True).observe(symptom(xid(79)), 0).decisions
    assert decision.held is HoldReason.OBSERVE_ONLY
