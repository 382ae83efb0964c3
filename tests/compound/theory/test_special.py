import math
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.theory.domain import DomainError
from parkade.compound.theory.special import (
    beta_cdf,
    beta_quantile,
    binomial_tail,
    log_beta,
    log_choose,
)


@pytest.mark.parametrize(
    ("a", "b"), [(1, 1), (0.5, 0.5), (3, 4), (1, 10_000), (40, 60), (0.3, 10), (7, 49), (7, 51)]
)
def test_log_beta_agrees_with_lgamma_where_that_does_not_cancel(a: float, b: float) -> None:
    plain = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    assert log_beta(a, b) == pytest.approx(plain, rel=1e-10, abs=1e-10)
    assert log_beta(a, b) == log_beta(b, a)


@given(st.integers(0, 10_000), st.data())
def test_log_choose_is_the_logarithm_of_the_exact_number(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    assert log_choose(n, k) == pytest.approx(math.log(comb(n, k)), rel=1e-12, abs=1e-11)
    assert log_choose(n, n + 1) == -math.inf


@given(st.integers(1, 60), st.data())
def test_a_binomial_tail_is_the_exact_sum(n: int, data: st.DataObject) -> None:
    least = data.draw(st.integers(0, n + 1))
    p = Fraction(data.draw(st.integers(0, 100)), 100)
    exact = sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(least, n + 1))
    assert binomial_tail(n, least, float(p)) == pytest.approx(float(exact), abs=1e-12)


@given(st.floats(0.05, 500), st.floats(0.05, 5_000), st.floats(0.001, 0.999))
def test_a_quantile_is_where_the_distribution_has_that_share(
    a: float, b: float, share: float
) -> None:
    x = beta_quantile(share, a, b)
    if x > 1e-290:
        below, above = x * (1 - 1e-13), min(1.0, x * (1 + 1e-13))
        assert beta_cdf(below, a, b) - 1e-12 <= share <= beta_cdf(above, a, b) + 1e-12


def test_a_quantile_next_to_one_is_as_near_as_a_float_can_be() -> None:
    x = beta_quantile(0.5, 30, 0.0546875)
    assert beta_cdf(x * (1 - 1e-13), 30, 0.0546875) < 0.5 < beta_cdf(x * (1 + 1e-13), 30, 0.0546875)


def test_closed_forms_at_the_edges() -> None:
    assert beta_cdf(0.3, 1, 1) == pytest.approx(0.3)
    assert beta_cdf(0.25, 0.5, 0.5) == pytest.approx(2 / math.pi * math.asin(0.5))
    assert beta_cdf(0.5, 5_000, 5_000) == pytest.approx(0.5)
    assert beta_quantile(0.5, 1, 1) == pytest.approx(0.5)
    assert beta_quantile(0.001, 0.001, 5) == 0
    with pytest.raises(DomainError, match="a must be"):
        log_beta(0, 1)
