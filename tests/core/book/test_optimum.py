"""Books of some size beside HiGHS, a solver that knows nothing of prices."""

import random
from typing import Any

import pytest

from benchmarks.book import draw_book, optimum
from parkade.core.book.matching import match
from parkade.core.units.money import MICROS
from tests.core.book.drawn import worth


def share_of_optimum(seed: int, slots: int, orders: int, **knobs: Any) -> float:
    batch = draw_book(random.Random(seed), slots, orders, **knobs)
    return worth(batch, match(batch)) / MICROS / optimum(batch)


@pytest.mark.parametrize("seed", range(5))
def test_divisible_orders_reach_the_optimum(seed: int) -> None:
    share = share_of_optimum(seed, 72, 80, whole=0.0, by_slot=0.5)
    assert share == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_with_half_of_the_buys_all_or_nothing_99_percent_are_reached(seed: int) -> None:
    assert 0.99 <= share_of_optimum(seed, 168, 200) <= 1 + 1e-6
