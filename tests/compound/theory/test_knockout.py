import random

import pytest

from parkade.compound.theory.domain import DomainError
from parkade.compound.theory.knockout import calls, failure_bound, next_round, winner_is_right


def tournament(p: float, single: float, comparisons: int, rounds: int, rng: random.Random) -> bool:
    field = [rng.random() < p for _ in range(2**rounds)]
    while len(field) > 1:
        left = []
        for one, other in zip(field[::2], field[1::2], strict=True):
            if one is other:
                left.append(one)
                continue
            won = sum(rng.random() < single for _ in range(comparisons))
            left.append(won > comparisons / 2)
        field = left
    return field[0]


@pytest.mark.parametrize(
    ("p", "single", "comparisons", "rounds"),
    [(0.2, 0.8, 3, 4), (0.3, 0.65, 5, 3), (0.1, 0.9, 1, 5)],
)
def test_the_winner_is_right_as_often_as_in_a_simulation(
    p: float, single: float, comparisons: int, rounds: int
) -> None:
    rng = random.Random(5)
    won = sum(tournament(p, single, comparisons, rounds, rng) for _ in range(6_000)) / 6_000
    exact = winner_is_right(p, single, comparisons, rounds)
    assert won == pytest.approx(exact, abs=0.02)
    assert 1 - exact <= failure_bound(p, single, 2**rounds, comparisons)


def test_the_bound_falls_as_candidates_and_comparisons_grow() -> None:
    bounds = [failure_bound(0.1, 0.8, 2**r, 10 * r) for r in range(2, 9)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] < 0.001


def test_a_round_and_its_price() -> None:
    assert next_round(0.5, 0.9) == pytest.approx(0.25 + 0.45)
    assert calls(16, 4) == 16 + 4 * 15 <= (4 + 1) * 16
    with pytest.raises(DomainError, match=r"above 0\.5"):
        failure_bound(0.1, 0.5, 4, 4)
