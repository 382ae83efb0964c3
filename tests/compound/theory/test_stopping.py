import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.theory.domain import DomainError
from parkade.compound.theory.stopping import (
    chance_after,
    failures_allowed,
    is_vote_settled,
    sprt_bounds,
    sprt_step,
    stopping_point,
)


@pytest.mark.parametrize(
    ("value_per_cost", "point", "whole"),
    [(100, 16.9, 17), (1_000, 283.3, 284), (10_000, 2_947.3, 2_948)],
)
def test_the_stopping_point_has_its_check_values(
    value_per_cost: float, point: float, whole: int
) -> None:
    assert round(stopping_point(0.296, 12.36, value_per_cost), 1) == point
    assert failures_allowed(0.296, 12.36, value_per_cost) == whole


def value_of(failures: int, alpha: float, beta: float, value: float) -> float:
    """Worth of "at most so many failures", at a cost of 1 a draw."""
    reached, worth = 1.0, 0.0
    for n in range(failures):
        chance = chance_after(n, alpha, beta)
        worth += reached * (chance * value - 1)
        reached *= 1 - chance
    return worth


@given(st.floats(0.05, 3), st.floats(0.5, 40), st.floats(1.5, 60))
def test_no_other_number_of_failures_is_worth_more(alpha: float, beta: float, value: float) -> None:
    chosen = failures_allowed(alpha, beta, value)
    tried = [value_of(n, alpha, beta, value) for n in range(chosen + 60)]
    assert tried[chosen] == pytest.approx(max(tried), abs=1e-9)


def test_backward_induction_stops_at_the_same_failure() -> None:
    alpha, beta, value, horizon = 0.296, 12.36, 1_000.0, 4_000
    worth = 0.0
    first_stop = horizon
    for n in reversed(range(horizon)):
        chance = chance_after(n, alpha, beta)
        worth = chance * value + (1 - chance) * worth - 1
        if worth <= 0:
            worth, first_stop = 0.0, n
    assert first_stop == 284


@pytest.mark.parametrize(
    ("leader", "runner_up", "is_settled"),
    [(0, 0, False), (3, 0, False), (4, 0, True), (5, 1, False), (6, 1, True), (20, 15, False)],
)
def test_a_vote_is_settled_when_the_leader_will_stay_ahead(
    leader: int, runner_up: int, is_settled: bool
) -> None:
    assert is_vote_settled(leader, runner_up) is is_settled


def test_a_lead_without_rival_has_a_closed_form() -> None:
    for lead in range(8):
        assert is_vote_settled(lead, 0, 1 - 2.0 ** -(lead + 1) - 1e-12)
        assert not is_vote_settled(lead, 0, 1 - 2.0 ** -(lead + 1) + 1e-12)


def test_walds_bounds_and_steps() -> None:
    assert sprt_bounds(0.05, 0.1).high == pytest.approx(math.log(18))
    assert sprt_bounds(0.05, 0.1).low == pytest.approx(math.log(0.1 / 0.95))
    assert sprt_step(True, 0.8, 0.2) == pytest.approx(math.log(4))
    assert sprt_step(False, 0.8, 0.2) == pytest.approx(-math.log(4))
    assert sprt_step(True, 0.8, 0) == math.inf
    assert sprt_step(True, 0, 0.3) == -math.inf
    assert sprt_step(False, 0.5, 0.5) == 0


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(DomainError, match="alpha"):
        chance_after(1, 0, 1)
    with pytest.raises(DomainError, match="exceeds leader"):
        is_vote_settled(1, 2)
    with pytest.raises(DomainError, match="below 1"):
        sprt_bounds(0.6, 0.5)
