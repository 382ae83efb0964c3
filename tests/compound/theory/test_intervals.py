import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.theory.domain import DomainError
from parkade.compound.theory.intervals import (
    bootstrap_mean,
    bootstrap_ratio,
    normal_quantile,
    ratio_interval,
    wilson,
    wilson_of_mean,
)


def test_wilsons_interval_has_known_values() -> None:
    assert normal_quantile(0.95) == pytest.approx(1.959964, abs=1e-6)
    assert wilson(10, 10) == pytest.approx((0.7225, 1), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson(0, 0) == (0, 1)


@given(st.integers(0, 500), st.data())
def test_wilsons_ends_are_where_the_share_is_just_credible(
    trials: int, data: st.DataObject
) -> None:
    successes = data.draw(st.integers(0, trials))
    low, high = wilson(successes, trials)
    z = normal_quantile(0.95)
    for end in (low, high):
        if trials and 0 < end < 1:
            distance = abs(successes / trials - end)
            assert distance == pytest.approx(z * (end * (1 - end) / trials) ** 0.5, abs=1e-9)


def test_the_bootstrap_covers_the_truth_as_often_as_it_says() -> None:
    chance, covered = random.Random(9), 0
    for trial in range(200):
        values = [float(chance.random() < 0.3) for _ in range(60)]
        low, high = bootstrap_mean(values, resamples=300, seed=trial)
        covered += low <= 0.3 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_candidates_of_one_question_do_not_count_as_many() -> None:
    rights = [100.0] * 3 + [0.0] * 7
    low, high = bootstrap_ratio(rights, [100.0] * 10)
    assert high - low > 0.4
    assert bootstrap_ratio(rights, [100.0] * 10) == (low, high)


def test_shares_are_worth_between_one_trial_a_question_and_all_candidates() -> None:
    assert wilson_of_mean([1.0, 0.0] * 50, most_trials=900) == pytest.approx(wilson(50, 100))
    assert wilson_of_mean([0.5] * 100, most_trials=900) == pytest.approx(wilson(450, 900))
    low, high = wilson_of_mean([0.2, 0.8] * 50, most_trials=900)
    assert wilson(50, 100)[0] < low < wilson(450, 900)[0]
    assert low + high == pytest.approx(1)


def test_the_delta_method_takes_over_where_it_agrees_with_the_bootstrap() -> None:
    chance = random.Random(2)
    bottoms = [float(chance.randrange(1, 9)) for _ in range(2_500)]
    tops = [float(chance.randrange(0, int(bottom) + 1)) for bottom in bottoms]
    drawn = bootstrap_ratio(tops, bottoms, resamples=300)
    assert ratio_interval(tops, bottoms) == pytest.approx(drawn, abs=0.002)
    assert ratio_interval(tops[:50], bottoms[:50]) == bootstrap_ratio(tops[:50], bottoms[:50])
    with pytest.raises(DomainError, match="more than 0"):
        ratio_interval([0.0] * 3_000, [0.0] * 3_000)


def test_what_cannot_be_resampled_is_refused() -> None:
    with pytest.raises(DomainError, match="pairs of one length"):
        bootstrap_mean([])
    with pytest.raises(DomainError, match="bottom above 0"):
        bootstrap_ratio([1.0], [0.0])
    with pytest.raises(DomainError, match="exceed trials"):
        wilson(2, 1)
