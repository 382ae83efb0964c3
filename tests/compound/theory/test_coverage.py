import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.theory.coverage import coverage, draws_for, expected_draws, log_missing, tail
from parkade.compound.theory.domain import DomainError

alphas, betas = st.floats(0.02, 5), st.floats(0.1, 2_000)


@given(alphas, betas, st.integers(0, 300))
def test_coverage_is_one_minus_a_product(alpha: float, beta: float, k: int) -> None:
    missing = math.prod((beta + j) / (alpha + beta + j) for j in range(k))
    assert coverage(alpha, beta, k) == pytest.approx(1 - missing, abs=1e-12)


@given(alphas, betas, st.integers(0, 300))
def test_early_stop_draws_are_the_sum_of_what_is_missing(alpha: float, beta: float, k: int) -> None:
    summed = math.fsum(math.exp(log_missing(alpha, beta, j)) for j in range(k))
    assert expected_draws(alpha, beta, k) == pytest.approx(summed, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("alpha", [1, 1 - 9.9e-6, 1 + 9.9e-6, 1 + 1e-12, 1 - 1.1e-5])
def test_an_alpha_near_one_is_no_exception(alpha: float) -> None:
    for beta, k in ((12.0, 1_000), (0.5, 2), (900.0, 300)):
        summed = math.fsum(math.exp(log_missing(alpha, beta, j)) for j in range(k))
        assert expected_draws(alpha, beta, k) == pytest.approx(summed, rel=1e-7)


def test_what_is_missing_tends_to_a_power_law_with_exponent_alpha() -> None:
    missing = 1 - coverage(0.296, 12.36, 10**7)
    assert tail(0.296, 12.36, 10**7) == pytest.approx(missing, rel=1e-5)
    ratio = tail(0.296, 12.36, 10**6) / tail(0.296, 12.36, 10**7)
    assert math.log10(ratio) == pytest.approx(0.296)


@given(st.floats(0.1, 3), st.floats(0.5, 100), st.floats(0, 0.9))
def test_the_draws_for_a_target_are_the_least_that_reach_it(
    alpha: float, beta: float, target: float
) -> None:
    draws = draws_for(alpha, beta, target)
    if draws is None:
        assert coverage(alpha, beta, 10**12) < target
        return
    assert coverage(alpha, beta, draws) >= target
    assert draws == 0 or coverage(alpha, beta, draws - 1) < target


def test_a_target_out_of_reach_is_none() -> None:
    assert draws_for(0.01, 100, 0.99) is None
    with pytest.raises(DomainError, match="k must be at least 0"):
        coverage(1, 1, -1)
