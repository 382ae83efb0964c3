import random
from itertools import pairwise
from math import comb

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from parkade.compound.theory.domain import DomainError
from parkade.compound.theory.voting import (
    Regime,
    best_votes,
    majority,
    mixed_majority,
    regime,
    voted_rates,
)


@pytest.mark.parametrize(
    ("votes", "expected", "digits"), [(3, 0.648, 3), (11, 0.753498, 6), (101, 0.979103, 6)]
)
def test_a_majority_has_its_check_values(votes: int, expected: float, digits: int) -> None:
    assert round(majority(0.6, votes), digits) == expected


@given(st.floats(0, 1), st.integers(0, 40))
def test_a_majority_is_the_upper_half_of_a_binomial(p: float, half: int) -> None:
    votes = 2 * half + 1
    exact = sum(comb(votes, i) * p**i * (1 - p) ** (votes - i) for i in range(half + 1, votes + 1))
    assert majority(p, votes) == pytest.approx(exact, abs=1e-10)


def test_a_verifier_asked_thrice_is_sharper() -> None:
    assert voted_rates(0.8, 0.3, 3) == pytest.approx((0.896, 0.216))


@pytest.mark.parametrize(
    ("alpha", "easy", "hard", "votes"),
    [(0.6, 0.8, 0.45, 11), (0.5, 0.7, 0.45, 17), (0.5, 0.85, 0.4, 3)],
)
def test_the_best_number_of_votes_has_its_check_values(
    alpha: float, easy: float, hard: float, votes: int
) -> None:
    assert best_votes(alpha, easy, hard).k == votes


mixtures = st.tuples(st.floats(0.02, 0.98), st.floats(0.52, 0.97), st.floats(0.03, 0.48))


@given(mixtures)
def test_a_votes_regime_is_what_its_curve_does(mixture: tuple[float, float, float]) -> None:
    curve = [mixed_majority(*mixture, votes) for votes in range(1, 402, 2)]
    steps = [after - before for before, after in pairwise(curve)]
    signs = [step > 0 for step in steps if abs(step) > 1e-13]
    assume(signs)
    allowed = {
        Regime.RISING: [True],
        Regime.FALLING: [False],
        Regime.UP_THEN_DOWN: [True, False],
        Regime.DOWN_THEN_UP: [False, True],
    }[regime(*mixture)]
    turns = [signs[0]] + [b for a, b in pairwise(signs) if a is not b]
    # The turn may come after 401 votes, or be smaller than a float can show.
    assert turns in (allowed, allowed[:1], allowed[1:])


def test_the_best_number_of_votes_is_what_trying_all_finds() -> None:
    chance, compared = random.Random(3), 0
    while compared < 100:
        alpha, easy, hard = chance.uniform(0.05, 0.95), chance.uniform(0.55, 0.95), 0.0
        hard = chance.uniform(0.05, 0.48)
        if regime(alpha, easy, hard) is not Regime.UP_THEN_DOWN:
            continue
        found = best_votes(alpha, easy, hard)
        if found.k is None or found.k > 299:
            continue
        curve = [mixed_majority(alpha, easy, hard, votes) for votes in range(1, 302, 2)]
        assert found.accuracy == pytest.approx(max(curve), abs=1e-12)
        compared += 1


def test_where_a_vote_falls_one_answer_is_best_and_where_it_rises_none_is() -> None:
    assert best_votes(0.1, 0.8, 0.3).k == 1
    assert best_votes(0.9, 0.6, 0.1) == (None, 0.9)


def test_ties_and_wrong_mixtures_are_refused() -> None:
    with pytest.raises(DomainError, match="odd"):
        majority(0.5, 4)
    with pytest.raises(DomainError, match=r"hard < 0\.5 < easy"):
        regime(0.5, 0.4, 0.3)
