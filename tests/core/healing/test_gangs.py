"""Gangs with a buffer: by hand, and what must hold of any history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.core.healing.gangs import NodeOutage, Setting, play
from parkade.core.units.time import HOUR_US, MINUTE_US

TWO_GANGS = Setting(nodes=5, reserved=4, gang_size=2, lost_us=10 * MINUTE_US, recall_us=0)


def test_the_worked_example() -> None:
    faults = (NodeOutage(1, HOUR_US, 5 * HOUR_US), NodeOutage(3, 2 * HOUR_US, None))
    played = play(faults, ((0, 1),), TWO_GANGS, end_us=10 * HOUR_US)
    assert played.gangs == 2
    assert played.goodput == pytest.approx(1 - (200 * MINUTE_US) / (20 * HOUR_US))
    assert (played.waited_us, played.lent_us, played.failures) == (3 * HOUR_US, HOUR_US, 2)


def test_a_resize_serves_a_gang_that_waits() -> None:
    setting = TWO_GANGS._replace(nodes=6)
    faults = (NodeOutage(0, HOUR_US, None), NodeOutage(2, HOUR_US, None))
    sizes = ((0, 1), (4 * HOUR_US, 3))
    played = play(faults, sizes, setting, end_us=10 * HOUR_US)
    assert played.waited_us == 3 * HOUR_US


def test_a_fault_of_a_node_that_serves_no_gang_stops_none() -> None:
    played = play((NodeOutage(4, HOUR_US, None),), ((0, 1),), TWO_GANGS, end_us=10 * HOUR_US)
    assert (played.goodput, played.failures) == (1.0, 0)


def test_a_second_failure_while_a_gang_restarts_begins_the_restart_anew() -> None:
    setting = Setting(nodes=4, reserved=2, gang_size=2, lost_us=10, recall_us=0)
    faults = (NodeOutage(0, 100, None), NodeOutage(1, 104, None))
    played = play(faults, ((0, 2),), setting, end_us=1_000)
    assert played.goodput == pytest.approx(1 - 14 / 1_000)


FAULTS = st.lists(
    st.builds(
        lambda node, start, length: NodeOutage(node, start, start + length),
        st.integers(0, 19),
        st.integers(0, 900),
        st.integers(0, 200),
    ),
    max_size=40,
)


@given(FAULTS, st.integers(0, 4), st.sampled_from([1, 2, 4, 8]))
def test_goodput_is_a_share_and_no_node_time_is_invented(
    faults: list[NodeOutage], held: int, gang: int
) -> None:
    setting = Setting(nodes=20, reserved=16, gang_size=gang, lost_us=5, recall_us=1)
    played = play(tuple(faults), ((0, held), (500, held)), setting, end_us=1_000)
    assert 0 <= played.goodput <= 1
    assert 0 <= played.lent_us <= held * 1_000 + 20 * 1_000
    assert played.waited_us <= played.gangs * 1_000
    assert played.lent_us + played.on_demand_us <= 20 * 1_000


@given(FAULTS)
def test_with_a_spare_for_every_node_no_gang_waits(faults: list[NodeOutage]) -> None:
    setting = Setting(nodes=20, reserved=4, gang_size=2, lost_us=5, recall_us=1)
    few = tuple({fault.node: fault for fault in faults}.values())[:8]
    played = play(few, ((0, 16),), setting, end_us=1_000)
    assert played.waited_us == 0
