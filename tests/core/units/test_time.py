"""Windows are half-open: one ends where the next begins, and they do not overlap."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from parkade.core.units.time import DAY_US, Window, month_of

INSTANTS = st.integers(min_value=0, max_value=30)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    start_us = draw(INSTANTS)
    length = draw(st.none() | st.integers(min_value=1, max_value=10))
    return Window(start_us=start_us, end_us=None if length is None else start_us + length)


@given(windows(), windows())
def test_windows_overlap_where_they_hold_one_instant_in_common(one: Window, other: Window) -> None:
    common = any(one.holds(at) and other.holds(at) for at in range(60))
    assert one.overlaps(other) == other.overlaps(one) == common


@given(st.dates())
def test_months_follow_the_calendar(day: date) -> None:
    at_us = (day - date(1970, 1, 1)) // timedelta(days=1) * DAY_US
    expected = day.year * 12 + day.month - 1
    assert month_of(at_us) == month_of(at_us + DAY_US - 1) == expected
