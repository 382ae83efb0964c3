import itertools
import math
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.theory.counting import (
    all_succeed,
    draws_until_right,
    log_miss,
    pass_at,
    rank_score,
    verified_at,
)
from parkade.compound.theory.domain import DomainError


@given(st.data(), st.integers(1, 400))
def test_pass_at_k_is_the_exact_fraction(data: st.DataObject, n: int) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(0, n))
    exact = 1 - Fraction(comb(n - c, k), comb(n, k))
    assert pass_at(n, c, k) == pytest.approx(float(exact), abs=1e-12, rel=1e-11)
    assert all_succeed(n, c, k) == pytest.approx(comb(c, k) / comb(n, k), abs=1e-12)


@given(st.data())
def test_ten_thousand_samples_keep_eleven_digits(data: st.DataObject) -> None:
    n = 10_000
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(0, n))
    exact = 1 - Fraction(comb(n - c, k), comb(n, k))
    assert abs(pass_at(n, c, k) - float(exact)) < 1e-11


@pytest.mark.parametrize(("c", "k"), [(199, 5_000), (200, 201), (201, 201), (5_000, 300)])
def test_the_sum_and_the_closed_form_meet(c: int, k: int) -> None:
    exact = Fraction(comb(10_000 - c, k), comb(10_000, k))
    expected = math.log(exact.numerator) - math.log(exact.denominator)
    assert log_miss(10_000, c, k) == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 7), st.data())
def test_draws_until_right_is_the_mean_over_all_orders(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(0, n))
    counts = []
    for right in itertools.combinations(range(n), c):
        first = min(right, default=n) + 1
        counts.append(min(first, k))
    assert draws_until_right(n, c, k) == pytest.approx(sum(counts) / len(counts))


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.data())
def test_rank_score_is_the_mean_over_all_choices(passed: list[bool], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(passed)))
    best = [passed[min(drawn)] for drawn in itertools.combinations(range(len(passed)), k)]
    assert rank_score(passed, k) == pytest.approx(sum(best) / len(best))


@given(st.tuples(*[st.integers(0, 2)] * 4).filter(any), st.data())
def test_verified_at_is_the_mean_over_all_orders(
    counts: tuple[int, int, int, int], data: st.DataObject
) -> None:
    samples = [
        (right, accepted)
        for (right, accepted), count in zip(
            [(True, True), (False, True), (True, False), (False, False)], counts, strict=True
        )
        for _ in range(count)
    ]
    k = data.draw(st.integers(1, min(len(samples), 4)))
    rights = []
    for order in itertools.permutations(samples, k):
        accepted = [right for right, is_accepted in order if is_accepted]
        rejected = [right for right, _ in order]
        rights.append(accepted[0] if accepted else sum(rejected) / len(rejected))
    assert verified_at(*counts, k) == pytest.approx(sum(rights) / len(rights))


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(DomainError, match="may not exceed n = 3"):
        pass_at(3, 4, 1)
    with pytest.raises(DomainError, match="may not exceed n = 3"):
        pass_at(3, 1, 4)
    with pytest.raises(DomainError, match="whole number"):
        pass_at(3, 1.0, 1)  # type: ignore[arg-type]
