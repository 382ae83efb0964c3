import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.theory.domain import DomainError
from parkade.compound.theory.selection import (
    Fallback,
    accuracy,
    draws_to_reach,
    expected_draws,
    gain,
    mean_accuracy,
    needed_ratio,
    precision,
    some_accepted,
)

shares = st.floats(0, 1)


@pytest.mark.parametrize(
    ("p", "tpr", "fpr", "k", "expected"),
    [
        (0.3, 0.9, 0.1, 5, 0.70036),
        (0.3, 0.7, 0.3, 10, 0.49851),
        (0.6, 0.8, 0.4, 3, 0.73056),
        (0.037, 1, 0, 10, 0.31410),
    ],
)
def test_accuracy_has_the_published_check_values(
    p: float, tpr: float, fpr: float, k: int, expected: float
) -> None:
    assert round(accuracy(p, tpr, fpr, k), 5) == expected


def test_the_papers_headline_needs_twelve_draws_and_a_ratio_of_fifteen() -> None:
    assert round(100 * accuracy(0.037, 1, 0, 12), 1) == 36.4
    assert round(draws_to_reach(0.037, 0.366), 2) == 12.09
    assert round(needed_ratio(0.037, 0.366), 1) == 15.0
    assert precision(0.037, 0.9, 0.9 / needed_ratio(0.037, 0.366)) == pytest.approx(0.366)


def simulate(p: float, tpr: float, fpr: float, k: int, rng: random.Random) -> tuple[bool, int]:
    """Draw one by one, stop at the first accepted; whether the answer is right, and the draws."""
    rejected = []
    for drawn in range(1, k + 1):
        is_right = rng.random() < p
        if rng.random() < (tpr if is_right else fpr):
            return is_right, drawn
        rejected.append(is_right)
    return rng.choice(rejected), k


@pytest.mark.parametrize(("p", "tpr", "fpr", "k"), [(0.2, 0.9, 0.05, 8), (0.5, 0.4, 0.6, 4)])
def test_accuracy_and_draws_are_what_a_simulation_finds(
    p: float, tpr: float, fpr: float, k: int
) -> None:
    rng = random.Random(1)
    found = [simulate(p, tpr, fpr, k, rng) for _ in range(20_000)]
    assert sum(right for right, _ in found) / 20_000 == pytest.approx(
        accuracy(p, tpr, fpr, k), abs=0.015
    )
    accepted = p * tpr + (1 - p) * fpr
    assert sum(drawn for _, drawn in found) / 20_000 == pytest.approx(
        expected_draws(accepted, k), abs=0.05
    )


@given(shares, shares, shares, st.integers(1, 10_000))
def test_accuracy_lies_between_one_draw_and_the_ceiling(
    p: float, tpr: float, fpr: float, k: int
) -> None:
    low, high = sorted((p, precision(p, tpr, fpr)))
    assert low - 1e-9 <= accuracy(p, tpr, fpr, k) <= high + 1e-9
    assert accuracy(p, tpr, fpr, k, Fallback.ABSTAIN) <= accuracy(p, tpr, fpr, k) + 1e-12


@given(st.floats(0.01, 0.99), shares, shares)
def test_more_draws_help_exactly_where_the_verifier_prefers_right_answers(
    p: float, tpr: float, fpr: float
) -> None:
    first, many = accuracy(p, tpr, fpr, 1), accuracy(p, tpr, fpr, 50)
    assert first == pytest.approx(p)
    if tpr > fpr + 1e-6:
        assert many >= first
        assert gain(p, tpr, fpr) > 0
    elif tpr < fpr - 1e-6:
        assert many <= first
        assert gain(p, tpr, fpr) < 0


@given(st.floats(0.001, 0.5), st.floats(0, 0.001))
def test_the_mean_p_promises_more_coverage_than_different_questions_give(
    spread: float, low: float
) -> None:
    hard, easy = low, low + spread
    mean = (hard + easy) / 2
    assert mean_accuracy([(hard, 1, 0), (easy, 1, 0)], 20) <= accuracy(mean, 1, 0, 20) + 1e-12


def test_tiny_chances_are_not_lost() -> None:
    assert some_accepted(1e-12, 1000) == pytest.approx(1e-9, rel=1e-6)
    assert expected_draws(1e-12, 1000) == pytest.approx(1000)
    assert expected_draws(0, 7) == 7
    assert accuracy(0.4, 0, 0, 9) == 0.4
    assert accuracy(0.4, 0, 0, 9, Fallback.ABSTAIN) == 0
    assert accuracy(1, 1, 1, 9) == 1


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((1.2, 1, 0, 1), "p"), ((0.5, -1, 0, 1), "tpr"), ((0.5, 1, float("nan"), 1), "fpr")],
)
def test_an_argument_out_of_range_is_named(
    arguments: tuple[float, float, float, int], name: str
) -> None:
    with pytest.raises(DomainError, match=re.escape(f"{name} must lie in 0..1")):
        accuracy(*arguments)
    with pytest.raises(DomainError, match=r"^k must be a whole number"):
        accuracy(0.5, 1, 0, 0)
    with pytest.raises(DomainError, match="not be empty"):
        mean_accuracy([], 3)
