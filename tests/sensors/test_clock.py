"""How far a clock is off: beside a server's time, and by what the kernel knows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.sensors.clock import (
    HeardClock,
    ServerTime,
    is_clock_kept,
    kernel_clock,
    least_skew,
)

HEARD = ServerTime(server_us=HOUR_US, asked_us=100_000_000, answered_us=100_400_000)


@pytest.mark.parametrize(
    ("wall_us", "skew_us"),
    [
        (HOUR_US + 10_200_000, 0),
        (HOUR_US + 9_995_000, 0),
        (HOUR_US + 13_405_000, 3 * SECOND_US),
        (HOUR_US + 6_995_000, -3 * SECOND_US),
    ],
)
def test_a_clock_within_the_way_of_the_answer_is_not_off(wall_us: int, skew_us: int) -> None:
    steady_us = (110_400_000, 110_400_000)
    assert least_skew(HEARD, wall_us=wall_us, steady_us=steady_us) == skew_us


def test_an_old_answer_tells_nothing() -> None:
    later_us = HEARD.answered_us + 5 * MINUTE_US + 1
    assert least_skew(HEARD, wall_us=0, steady_us=(later_us, later_us)) is None
    assert HeardClock().read().skew_us is None


@settings(max_examples=30)
@given(
    there=st.integers(0, 20 * SECOND_US),
    back=st.integers(0, 20 * SECOND_US),
    age=st.integers(0, 4 * MINUTE_US),
    pause=st.integers(0, 10 * SECOND_US),
    off=st.integers(-HOUR_US, HOUR_US),
)
def test_no_delay_makes_a_good_clock_look_off_nor_a_bad_one_worse(
    there: int, back: int, age: int, pause: int, off: int
) -> None:
    start_us = 2 * HOUR_US
    answered_us = there + back
    heard = ServerTime(server_us=start_us + there, asked_us=0, answered_us=answered_us)
    before_us = answered_us + age
    wall_us = start_us + before_us + pause // 2 + off
    skew_us = least_skew(heard, wall_us=wall_us, steady_us=(before_us, before_us + pause))
    assert skew_us is not None
    assert 0 <= skew_us <= off or off <= skew_us <= 0
    assert abs(off - skew_us) <= there + back + pause + 2 * (age + pause) // 1_000


def test_a_clock_is_not_kept_once_the_kernel_knows_no_bound() -> None:
    assert is_clock_kept(0x2001, 5_000)
    assert is_clock_kept(0x40, 15_000_000)
    assert not is_clock_kept(0x40, 16_000_000)


def test_the_kernel_is_asked_and_names_no_skew() -> None:
    reading = kernel_clock()
    assert reading.skew_us is None and reading.is_kept in (True, False)
