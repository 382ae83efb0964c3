"""Budgets, breakers, reporters, parents and lemons."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.core.healing.guards import (
    Breaker,
    BreakerState,
    GuardLimits,
    Rejected,
    admit,
    ask,
    breaker_of,
    needs_second_source,
    reporter_at,
    settle,
)
from parkade.core.healing.lemons import LemonLimits, NodeRecord, Signal, find_lemons
from parkade.core.healing.parents import (
    ParentLimits,
    note_sick,
    parent_memory,
    suspicion_of,
)
from parkade.core.healing.symptom import Source
from parkade.core.healing.topology import NodePlace, ParentKind
from parkade.core.units.fraction import Fraction
from parkade.core.units.time import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from tests.core.healing.builder import symptom, xid

LIMITS = GuardLimits()
TENTH = Fraction(numerator=1, denominator=10)


def _ask_all(breaker: Breaker, requests: list[tuple[str, int]]) -> tuple[Breaker, list[bool]]:
    answers = []
    for node, at_us in requests:
        breaker, fits = ask(breaker, node, at_us, LIMITS)
        answers.append(fits)
    return breaker, answers


def test_the_worked_example_of_a_breaker() -> None:
    minutes = [("n1", 0), ("n2", 1), ("n3", 2), ("n4", 3), ("n5", 13), ("n6", 34)]
    requests = [(node, at * MINUTE_US) for node, at in minutes]
    breaker, answers = _ask_all(breaker_of(32, TENTH), requests)
    assert answers == [True, True, True, False, False, True]
    assert breaker.state is BreakerState.HALF_OPEN
    breaker = settle(breaker, 45 * MINUTE_US, LIMITS)
    assert breaker.state is BreakerState.CLOSED
    assert [node for node, _ in breaker.taken] == ["n1", "n2", "n3", "n6"]


def test_a_storm_that_goes_on_after_the_probe_opens_the_breaker_again() -> None:
    minutes = [("n1", 0), ("n2", 1), ("n3", 31), ("n4", 33), ("n5", 50)]
    requests = [(node, at * MINUTE_US) for node, at in minutes]
    breaker, answers = _ask_all(breaker_of(5, TENTH), requests)
    assert answers == [True, False, True, False, False]
    assert breaker.state is BreakerState.OPEN


def test_a_node_under_action_takes_no_more_of_the_budget() -> None:
    _, answers = _ask_all(breaker_of(5, TENTH), [("n1", 0), ("n1", 1), ("n2", 2), ("n1", 3)])
    assert answers == [True, True, False, True]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 40 * MINUTE_US)), max_size=80),
    st.integers(1, 200),
)
def test_no_window_takes_more_than_its_budget_and_a_probe_each_cooling(
    gaps: list[tuple[int, int]], nodes: int
) -> None:
    breaker, now_us, taken = breaker_of(nodes, TENTH), 0, dict[str, int]()
    for number, gap_us in gaps:
        now_us += gap_us
        breaker, fits = ask(breaker, f"n{number}", now_us, LIMITS)
        if fits and f"n{number}" not in taken:
            taken[f"n{number}"] = now_us
        taken = {name: at for name, at in taken.items() if now_us - at < LIMITS.window_us}
        probes = LIMITS.window_us // LIMITS.cool_us + 1
        assert len(taken) <= breaker.budget + probes


def test_a_mass_action_needs_two_sources() -> None:
    fleet, one = breaker_of(1_000, TENTH), frozenset({Source.KERNEL_LOG})
    two = one | {Source.NVML}
    assert not needs_second_source(fleet, one, 0, LIMITS)
    fleet, _ = _ask_all(fleet, [("n1", 0), ("n2", 0), ("n3", 0)])
    assert needs_second_source(fleet, one, 1, LIMITS)
    assert not needs_second_source(fleet, two, 1, LIMITS)
    assert not needs_second_source(fleet, one, 2 * HOUR_US, LIMITS)


def test_a_reporter_speaks_for_its_own_nodes_within_its_rate_and_not_of_the_future() -> None:
    own, reporter = frozenset({"n1"}), reporter_at(0, LIMITS)
    _, rejected = admit(reporter, symptom(xid(79), node="n2"), 0, own_nodes=own, limits=LIMITS)
    assert rejected is Rejected.NOT_ITS_NODE
    late = symptom(xid(79), 3_600)
    _, rejected = admit(reporter, late, 0, own_nodes=own, limits=LIMITS)
    assert rejected is Rejected.FROM_THE_FUTURE
    believed = 0
    for _ in range(1_000):
        reporter, rejected = admit(reporter, symptom(xid(79)), 0, own_nodes=own, limits=LIMITS)
        believed += rejected is None
    assert believed == LIMITS.reports_at_once
    now_us = 6 * SECOND_US
    for _ in range(1_000):
        reporter, rejected = admit(reporter, symptom(xid(79)), now_us, own_nodes=own, limits=LIMITS)
        believed += rejected is None
    assert believed == LIMITS.reports_at_once + 60


@pytest.mark.parametrize(("members", "threshold"), [(8, 3), (10_000, 7)])
def test_a_parent_is_suspected_from_a_number_that_chance_does_not_give(
    members: int, threshold: int
) -> None:
    limits = ParentLimits()
    parent = parent_memory(ParentKind.DRIVER, "570.86", members, limits)
    assert abs(parent.threshold - threshold) <= 1
    for number in range(parent.threshold - 1):
        parent = note_sick(parent, f"n{number}", number, limits)
    assert suspicion_of(parent, 100, limits) is None
    parent = note_sick(parent, "n0", 200, limits)
    assert suspicion_of(parent, 200, limits) is None
    parent = note_sick(parent, "another", 300, limits)
    found = suspicion_of(parent, 300, limits)
    assert found is not None
    assert len(found.nodes) == parent.threshold
    assert suspicion_of(parent, limits.window_us + 300, limits) is None


@given(
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from([0, 1, 30, 100, 299, 300])), max_size=60)
)
def test_a_parents_window_holds_each_node_once_by_its_last_instant(
    story: list[tuple[int, int]],
) -> None:
    limits = ParentLimits()
    parent = parent_memory(ParentKind.RACK, "r1", 8, limits)
    last: dict[str, int] = {}
    now_us = 0
    for number, gap_s in story:
        now_us += gap_s * SECOND_US
        last.pop(f"n{number}", None)
        last[f"n{number}"] = now_us
        parent = note_sick(parent, f"n{number}", now_us, limits)
        recent = {name: at for name, at in last.items() if now_us - at < limits.window_us}
        assert dict(parent.sick) == recent and len(parent.sick) == len(recent)
        found = suspicion_of(parent, now_us, limits)
        assert (found is None) == (len(recent) < parent.threshold)
        if found is not None:
            assert set(found.nodes) == set(recent) and found.since_us == min(recent.values())


def test_a_node_knows_its_parents_the_smallest_first() -> None:
    place = NodePlace(node="n1", fabric="f1", rack="r1", switch=None, driver="570.86")
    assert place.parents == (
        (ParentKind.RACK, "r1"),
        (ParentKind.FABRIC, "f1"),
        (ParentKind.DRIVER, "570.86"),
    )


def _record(node: str, *incidents: int, **signals: int) -> NodeRecord:
    return NodeRecord(node, incidents, {Signal(name): value for name, value in signals.items()})


def test_two_fatal_incidents_in_two_weeks_make_a_lemon_and_in_three_weeks_not() -> None:
    often, seldom = _record("n1", 7 * DAY_US, 20 * DAY_US), _record("n2", 0, 20 * DAY_US)
    found = find_lemons((often, seldom), 20 * DAY_US, limits=LemonLimits())
    assert [lemon.node for lemon in found] == ["n1"]
    assert find_lemons((often, seldom), 22 * DAY_US, limits=LemonLimits()) == ()


def test_the_worst_of_the_fleet_in_three_signals_is_a_lemon_and_in_two_not() -> None:
    healthy = tuple(_record(f"h{number}", xids=1, tickets=0) for number in range(100))
    three = _record("lemon", xids=40, tickets=5, times_out=6)
    two = _record("unlucky", xids=40, tickets=5)
    found = find_lemons((*healthy, three, two), 0, limits=LemonLimits())
    assert [lemon.node for lemon in found] == ["lemon"]


def test_a_healthy_fleet_has_no_lemons() -> None:
    fleet = tuple(
        _record(f"n{number}", **{each.value: number % 2 for each in Signal})
        for number in range(200)
    )
    assert find_lemons(fleet, 0, limits=LemonLimits()) == ()
