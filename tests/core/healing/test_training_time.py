"""The effective training time ratio: published values, and simulation beside the closed form."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.mars_training import GPUS, RATES, RESTARTS_MIN, row
from parkade.core.healing.training_time import (
    Spares,
    TrainingJob,
    best_interval,
    closed_form,
    renewal_form,
    simulate,
)
from parkade.core.units.time import DAY_US, HOUR_US, MINUTE_US, SECOND_US


def _job(gpus: int, rate: float, restart_min: float, checkpoint_s: int = 10) -> TrainingJob:
    restart_us = round(restart_min * MINUTE_US)
    return TrainingJob(gpus // 8, rate / 1_000, restart_us, checkpoint_s * SECOND_US)


def _draws(seed: int) -> Callable[[], float]:
    generator = random.Random(seed)
    return lambda: generator.expovariate(1.0)


@pytest.mark.parametrize(
    ("gpus", "rate", "restart_min", "ratio"),
    [
        (1_024, 6.5, 20, 0.975),
        (4_096, 6.5, 12, 0.945),
        (16_384, 6.5, 5, 0.901),
        (16_384, 3.79, 20, 0.853),
        (16_384, 2.34, 1, 0.964),
        (98_304, 2.34, 5, 0.83),
    ],
)
def test_the_closed_form_gives_the_published_values(
    gpus: int, rate: float, restart_min: float, ratio: float
) -> None:
    job = _job(gpus, rate, restart_min)
    assert closed_form(job, best_interval(job)) == pytest.approx(ratio, abs=0.005)


@pytest.mark.parametrize(("interval_min", "ratio"), [(60, 0.676), (5, 0.931)])
def test_the_closed_form_without_a_cost_of_checkpoints(interval_min: int, ratio: float) -> None:
    job = _job(16_384, 6.5, 5, checkpoint_s=0)
    assert closed_form(job, interval_min * MINUTE_US) == pytest.approx(ratio, abs=0.001)


CASES = [(rate, gpus, restart) for rate in RATES for gpus in GPUS for restart in RESTARTS_MIN]


@pytest.mark.parametrize(("rate", "gpus", "restart_min"), CASES)
def test_the_exact_mean_is_within_two_hundredths_of_the_closed_form(
    rate: str, gpus: int, restart_min: int
) -> None:
    job = _job(gpus, RATES[rate], restart_min)
    interval_us = best_interval(job)
    assert abs(renewal_form(job, interval_us) - closed_form(job, interval_us)) < 0.02


@pytest.mark.parametrize(("rate", "gpus", "restart_min"), CASES)
def test_simulation_gives_the_exact_mean_where_spares_are_always_there(
    rate: str, gpus: int, restart_min: int
) -> None:
    job = _job(gpus, RATES[rate], restart_min)
    interval_us, horizon_us = best_interval(job), 400 * DAY_US
    found = [
        simulate(job, interval_us, spares=None, horizon_us=horizon_us, draw=_draws(seed))
        for seed in range(5)
    ]
    assert sum(found) / 5 == pytest.approx(renewal_form(job, interval_us), abs=0.003)


def test_a_buffer_of_few_nodes_keeps_the_ratio_and_none_loses_most_of_it() -> None:
    for rate in RATES:
        for restart in RESTARTS_MIN:
            found = row(rate, GPUS[-1], restart, days=200)
            assert found.spares <= 6 and abs(found.buffered - found.exact) < 0.005, found
            assert found.bare < found.buffered / 1.8, found


def test_without_failures_only_checkpoints_cost() -> None:
    job = _job(8, 1e-12, 5)
    ratio = simulate(job, 10 * MINUTE_US, spares=None, horizon_us=DAY_US, draw=_draws(1))
    assert ratio == pytest.approx(600 / 610, abs=0.01)


def test_the_same_seed_gives_the_same_ratio() -> None:
    job = _job(4_096, 6.5, 5)
    one, two = (
        simulate(job, 10 * MINUTE_US, spares=None, horizon_us=50 * DAY_US, draw=_draws(7))
        for _ in range(2)
    )
    assert one == two


def test_without_spares_a_job_waits_for_each_repair() -> None:
    job = _job(1_024, 6.5, 5)
    waits = simulate(
        job,
        10 * MINUTE_US,
        spares=Spares(0, 10 * HOUR_US),
        horizon_us=200 * DAY_US,
        draw=_draws(3),
    )
    has_spares = simulate(
        job,
        10 * MINUTE_US,
        spares=Spares(50, 10 * HOUR_US),
        horizon_us=200 * DAY_US,
        draw=_draws(3),
    )
    # 0.83 failures a day that each cost 10 h: about a quarter of the time.
    assert has_spares - waits > 0.15


@given(
    st.integers(1, 4_000),
    st.floats(0.0001, 0.02),
    st.integers(0, 3_600),
    st.integers(0, 3),
    st.integers(0, 1_000),
)
def test_a_ratio_is_a_share_of_the_time(
    nodes: int, rate: float, restart_s: int, held: int, seed: int
) -> None:
    job = TrainingJob(nodes, rate, restart_s * SECOND_US, 10 * SECOND_US)
    ratio = simulate(
        job,
        10 * MINUTE_US,
        spares=Spares(held, HOUR_US),
        horizon_us=2 * DAY_US,
        draw=_draws(seed),
    )
    assert 0 <= ratio <= 1
