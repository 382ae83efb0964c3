"""Hours near, days far."""

import pytest

from parkade.core.book.grid import HOURS_AHEAD, MOST_HOURS_AHEAD, grid
from parkade.core.book.orders import MOST_SLOTS


def test_a_near_window_has_its_hours_alone() -> None:
    assert grid(7, 10) == (7, 8, 9, 10)


def test_behind_four_weeks_come_days_that_end_at_midnight() -> None:
    found = grid(7, 7 + HOURS_AHEAD + 30)
    assert found[: HOURS_AHEAD + 1] == tuple(range(7, 7 + HOURS_AHEAD + 1))
    assert found[HOURS_AHEAD + 1 :] == (HOURS_AHEAD + 24, HOURS_AHEAD + 48)


@pytest.mark.parametrize("first", [0, 7, 23, 24 * 1000 + 1])
def test_half_a_year_is_826_slots_or_one_more(first: int) -> None:
    found = grid(first, first + MOST_HOURS_AHEAD)
    assert len(found) - 1 == (826 if first % 24 == 0 else 827)
    assert list(found) == sorted(set(found)) and len(found) <= MOST_SLOTS + 1
    assert all(hour % 24 == 0 for hour in found[HOURS_AHEAD + 1 :])
