"""Sizes of the buffer: golden numbers, shortage by hand, and the replay of a real history."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.mars_buffer import (
    END_US,
    START_US,
    TRACE,
    down_of,
    read_faults,
    ways,
)
from parkade.core.healing.buffer_size import (
    Steps,
    fixed_size,
    growths_of,
    mean_of,
    poisson_size,
    shortage_of,
    state_conditional_size,
    steps_of,
)
from parkade.core.healing.walk_forward import Replay, history, replay
from parkade.core.units.fraction import Fraction
from parkade.core.units.time import DAY_US, HOUR_US
from tests.shared_data import shared_data


@pytest.mark.parametrize(
    ("nodes", "per_thousand_days", "repair_hours", "quantile", "size"),
    [
        (128, 6.5, 24, 0.99, 4),
        (128, 6.5, 240, 0.99, 16),
        (512, 2.34, 240, 0.99, 21),
        (512, 6.5, 2.2, 0.999, 3),
        (2048, 6.5, 2.2, 0.999, 6),
        (2048, 6.5, 240, 0.99, 161),
        (2048, 2.34, 240, 0.999, 71),
    ],
)
def test_poisson_sizes_are_those_of_the_published_table(
    nodes: int, per_thousand_days: float, repair_hours: float, quantile: float, size: int
) -> None:
    mean = nodes * per_thousand_days / 1_000 * repair_hours / 24
    assert poisson_size(mean, quantile=quantile) == size


@given(st.floats(0.001, 5_000), st.sampled_from([0.5, 0.9, 0.99, 0.999]))
def test_the_poisson_size_is_the_first_that_reaches_the_quantile(
    mean: float, quantile: float
) -> None:
    size = poisson_size(mean, quantile=quantile)

    def at_most(most: int) -> float:
        logs = [k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(most + 1)]
        return math.fsum(math.exp(each) for each in logs)

    assert at_most(size) >= quantile - 1e-9
    assert size == 0 or at_most(size - 1) < quantile + 1e-9


@pytest.mark.parametrize("quantile", [0.0, 1.0, -1.0, 2.0])
def test_a_quantile_outside_of_zero_and_one_is_refused(quantile: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        poisson_size(1.0, quantile=quantile)
    with pytest.raises(ValueError, match="between 0 and 1"):
        state_conditional_size(1, (1,), quantile=quantile, least=0)


def test_a_fixed_size_is_rounded_up() -> None:
    assert fixed_size(401, Fraction(numerator=5, denominator=100)) == 21


def test_the_worked_example_of_the_state_conditional_size() -> None:
    growths = (0, 0, 1, 1, 2, 2, 3, 4, 5, 9)
    assert state_conditional_size(6, growths, quantile=0.9, least=0) == 11
    assert state_conditional_size(6, (), quantile=0.9, least=0) == 6
    assert state_conditional_size(0, (), quantile=0.9, least=2) == 2


DOWN = steps_of([(0, 2), (10, 1), (20, -2), (30, 4), (40, -5)])


def test_steps_mean_and_shortage_by_hand() -> None:
    assert Steps((0, 10, 20, 30, 40), (2, 3, 1, 5, 0)) == DOWN
    assert [DOWN.at(at_us) for at_us in (-1, 0, 9, 10, 35, 99)] == [0, 2, 2, 3, 5, 0]
    assert mean_of(DOWN, start_us=0, end_us=40) == (20 + 30 + 10 + 50) / 40
    assert shortage_of(DOWN, 2, start_us=0, end_us=50) == (50, 20, 3)
    assert growths_of(DOWN, start_us=0, end_us=40, horizon_us=10, every_us=10) == (1, 0, 4, 0)


def test_no_size_sees_the_future() -> None:
    seen: list[tuple[int, int]] = []

    def size(past: Steps, now_us: int) -> int:
        seen.append((max(past.times_us, default=0), now_us))
        return 0

    replay(DOWN, size, start_us=5, end_us=45, resize_us=10)
    assert seen == [(0, 5), (10, 15), (20, 25), (30, 35)]
    assert history(DOWN, 25) == Steps((0, 10, 20), (2, 3, 1))


@given(
    st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 3)), min_size=1, max_size=20),
    st.integers(0, 20),
)
def test_more_held_is_never_longer_short(changes: list[tuple[int, int]], held: int) -> None:
    down = steps_of(changes)
    less = shortage_of(down, held, start_us=0, end_us=1_100)
    more = shortage_of(down, held + 1, start_us=0, end_us=1_100)
    assert more.short_us <= less.short_us
    assert more.worst <= less.worst


def _replays(path: Path) -> dict[str, Replay]:
    down = down_of(read_faults(path))
    return {
        name: replay(down, size, start_us=START_US, end_us=END_US, resize_us=DAY_US)
        for name, size in ways().items()
    }


def test_on_real_faults_poisson_is_short_and_state_conditional_holds_less_than_a_safe_share() -> (
    None
):
    found = _replays(shared_data(TRACE))
    conditional, poisson = found["state-conditional, 1 day"], found["Poisson 99 %"]
    assert poisson.short_share > 0.10
    assert conditional.short_share < 0.02
    assert conditional.mean_held < found["fixed 5 %"].mean_held
    assert found["fixed 5 %"].short_share > 0.30
    assert found["fixed 10 %"].short_share == 0
    assert found["state-conditional, 7 days"].worst <= 2
    assert all(size_us % HOUR_US == 0 for size_us, _ in conditional.sizes)
