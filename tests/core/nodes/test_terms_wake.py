"""New terms move what is due by itself, in a server that runs as in one that starts again."""

from typing import Any

import pytest

from parkade.core.kernel.deadlines import next_deadline_us, take_deadline
from parkade.core.state import commands, events
from parkade.core.state.codec import decode_snapshot, encode_snapshot
from parkade.core.state.world import World
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.core.workloads.life import Cause, Phase
from tests.core.kernel.story import Parkade


def change(parkade: Parkade, **terms: Any) -> None:
    changed = commands.TermsChange(**terms)
    parkade.do(commands.ChangeTerms(by=None, market="pool", change=changed, from_us=None))


def restarted(parkade: Parkade) -> World:
    return decode_snapshot(encode_snapshot(parkade.world))


def on_demand() -> tuple[Parkade, str]:
    """An hour on demand that runs."""
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    name = parkade.on_demand("lab", hours=1)
    parkade.clear()
    parkade.start_all()
    return parkade, name


@pytest.mark.parametrize("notice_us", [20 * MINUTE_US, 40 * SECOND_US])
def test_on_demand_ends_with_its_window_whatever_the_notice_becomes(notice_us: int) -> None:
    parkade, name = on_demand()
    must_end_us = parkade.workload(name).must_end_us
    change(parkade, notice_us=notice_us)
    parkade.run((HOUR_US + MINUTE_US) / SECOND_US)
    told = [it for it in parkade.journal if isinstance(it, events.StopOrdered)]
    assert [(it.workload, it.stop.cause, it.stop.kill_us) for it in told] == [
        (name, Cause.EXPIRED, must_end_us)
    ]


def test_a_notice_that_becomes_too_long_for_a_window_is_as_long_as_is_left() -> None:
    parkade, name = on_demand()
    must_end_us = parkade.workload(name).must_end_us
    assert must_end_us is not None
    parkade.tick((must_end_us - parkade.now_us) / SECOND_US - 300)
    change(parkade, notice_us=20 * MINUTE_US)
    parkade.run(1)
    (told,) = (it for it in parkade.journal if isinstance(it, events.StopOrdered))
    assert (told.workload, told.stop.kill_us) == (name, must_end_us)


def test_seats_are_handed_over_when_a_longer_turnaround_is_over() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0, turnaround_us=10 * SECOND_US)
    first = parkade.bid("cedar", 9)
    parkade.clear()
    parkade.start_all()
    parkade.tick(3)
    parkade.ended(first)
    second = parkade.bid("birch", 9)
    parkade.clear()
    assert parkade.phase(second) is Phase.PLACED
    change(parkade, turnaround_us=MINUTE_US)
    parkade.run(30)
    assert parkade.phase(second) is Phase.PLACED
    parkade.run(31)
    assert parkade.phase(second) is not Phase.PLACED


def test_what_never_starts_is_with_notice_once_the_market_has_a_limit() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    name = parkade.bid("cedar", 9)
    parkade.clear()
    change(parkade, start_limit_us=5 * MINUTE_US)
    parkade.tick(301)
    told = [it.workload for it in parkade.journal if isinstance(it, events.StopOrdered)]
    assert told == [name]


@pytest.mark.parametrize(
    "terms",
    [
        {"notice_us": 20 * MINUTE_US},
        {"kill_us": 90 * SECOND_US},
        {"turnaround_us": 10 * MINUTE_US},
        {"start_limit_us": MINUTE_US},
        {"retention_us": HOUR_US},
        {"release_grace_us": 5 * SECOND_US},
    ],
)
def test_what_is_due_is_the_same_after_a_restart(terms: dict[str, int]) -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0, turnaround_us=10 * SECOND_US)
    parkade.on_demand("lab", hours=1)
    ends = parkade.bid("cedar", 9)
    parkade.clear()
    parkade.tick(3)
    parkade.ended(ends)
    parkade.bid("birch", 9)
    parkade.clear()
    change(parkade, **terms)
    again = restarted(parkade)
    assert next_deadline_us(parkade.world) == next_deadline_us(again)
    assert take_deadline(parkade.world) == take_deadline(again)
