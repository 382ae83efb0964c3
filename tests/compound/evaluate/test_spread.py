import random

import pytest

from parkade.compound.evaluate.forecast import forecast, forecast_coverage
from parkade.compound.evaluate.spread import fit_spread
from parkade.compound.theory.coverage import coverage
from parkade.compound.theory.domain import DomainError


def counts_of(
    alpha: float, beta: float, questions: int, samples: int, seed: int
) -> list[tuple[int, int]]:
    chance = random.Random(seed)
    found = []
    for _ in range(questions):
        p = chance.betavariate(alpha, beta)
        found.append((samples, sum(chance.random() < p for _ in range(samples))))
    return found


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 12.0), (1.5, 3.0), (4.0, 1.0), (0.15, 2.0)])
def test_many_questions_give_back_the_beta_that_they_came_from(alpha: float, beta: float) -> None:
    spread = fit_spread(counts_of(alpha, beta, 1_500, 60, seed=4))
    assert spread.alpha == pytest.approx(alpha, rel=0.15)
    assert spread.beta == pytest.approx(beta, rel=0.25)


def test_weights_sum_to_one_and_quantiles_are_in_order() -> None:
    spread = fit_spread(counts_of(0.4, 8, 50, 20, seed=1))
    assert sum(point.weight for point in spread.points) == pytest.approx(1)
    low, middle, high = (
        spread.quantile(share, lambda alpha, _: alpha) for share in (0.025, 0.5, 0.975)
    )
    assert low < middle < high
    assert low < spread.alpha < high


def test_questions_that_stopped_at_their_first_success_are_as_good() -> None:
    chance, stopped = random.Random(7), []
    for _ in range(1_500):
        p = chance.betavariate(0.5, 6)
        for n in range(1, 61):
            if chance.random() < p:
                stopped.append((n, 1))
                break
        else:
            stopped.append((60, 0))
    spread = fit_spread(stopped)
    assert spread.alpha == pytest.approx(0.5, rel=0.2)
    assert coverage(spread.alpha, spread.beta, 60) == pytest.approx(coverage(0.5, 6, 60), abs=0.03)


@pytest.mark.slow
def test_the_interval_of_a_forecast_covers_what_was_drawn_as_often_as_it_says() -> None:
    chance, covered, trials = random.Random(11), 0, 60
    for _ in range(trials):
        alpha, beta = 0.2 + 0.4 * chance.random(), 5 + 20 * chance.random()
        ps = [chance.betavariate(alpha, beta) for _ in range(100)]
        counts = [(50, sum(chance.random() < p for _ in range(50))) for p in ps]
        truth = sum(1 - (1 - p) ** 5_000 for p in ps) / len(ps)
        (found,) = forecast_coverage(counts, [5_000])
        assert found.low <= found.coverage <= found.high
        covered += found.low <= truth <= found.high
    assert covered >= 0.9 * trials


def test_error_bars_shrink_with_samples_and_grow_with_distance() -> None:
    few = forecast_coverage(counts_of(0.3, 12, 128, 30, seed=3), [100, 10_000])
    many = forecast_coverage(counts_of(0.3, 12, 128, 1_000, seed=3), [100, 10_000])
    assert many[1].high - many[1].low < few[1].high - few[1].low
    assert few[0].coverage < few[1].coverage


def test_nothing_seen_leaves_the_prior_and_its_doubt() -> None:
    found = forecast(fit_spread(()), 100)
    assert found.low < 0.2
    assert found.high > 0.9
    solved_none = forecast(fit_spread([(100, 0)] * 40), 1_000)
    assert solved_none.coverage < 0.3


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(DomainError, match=r"right must lie in 0\.\.samples 3"):
        fit_spread([(3, 4)])
