import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.theory.domain import DomainError
from parkade.compound.theory.reward import Best, Kind, best_draws, reward

NOTEBOOK = (Kind(0.58, 0.87, 1, 0.25), Kind(0.42, 0.13, 1, 0.25))


@pytest.mark.parametrize(
    ("wrong_value", "k", "expected"), [(-0.7, 3, 0.5246), (-1, 2, 0.4724), (-2, 1, 0.3388)]
)
def test_the_exact_sums_have_their_check_values(
    wrong_value: float, k: int, expected: float
) -> None:
    found = best_draws(NOTEBOOK, wrong_value=wrong_value)
    assert (found.k, round(found.reward, 4)) == (k, expected)
    assert reward(NOTEBOOK, k, wrong_value=wrong_value) == pytest.approx(found.reward)


def by_hand(kinds: tuple[Kind, ...], k: int, wrong_value: float, cost: float) -> float:
    """Draw by draw, from the chance to reach each."""
    total = 0.0
    for share, p, tpr, fpr in kinds:
        reached = share
        for _ in range(k):
            total += reached * (p * tpr + wrong_value * (1 - p) * fpr - cost)
            reached *= 1 - p * tpr - (1 - p) * fpr
    return total


kinds = st.lists(
    st.tuples(st.floats(0.01, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
    min_size=1,
    max_size=4,
).map(lambda rows: tuple(Kind(row[0] / sum(r[0] for r in rows), *row[1:]) for row in rows))


@given(kinds, st.floats(-5, 0), st.floats(0, 0.2))
def test_the_best_k_is_the_one_that_trying_all_finds(
    kinds: tuple[Kind, ...], wrong_value: float, cost: float
) -> None:
    tried = [by_hand(kinds, k, wrong_value, cost) for k in range(61)]
    found = best_draws(kinds, wrong_value=wrong_value, draw_cost=cost, most=60)
    assert found.reward == pytest.approx(max(tried), abs=1e-9)
    assert tried[found.k] == pytest.approx(max(tried), abs=1e-9)
    assert reward(kinds, 40, wrong_value=wrong_value, draw_cost=cost) == pytest.approx(
        tried[40], abs=1e-9
    )


def test_nothing_is_answered_where_answers_lose() -> None:
    assert best_draws((Kind(1, 0.1, 1, 1),), wrong_value=-1) == Best(0, 0.0)


def test_wrong_shares_and_values_are_refused() -> None:
    with pytest.raises(DomainError, match="shares must sum to 1"):
        reward((Kind(0.5, 0.5, 1, 0),), 1, wrong_value=0)
    with pytest.raises(DomainError, match="wrong_value"):
        reward((Kind(1, 0.5, 1, 0),), 1, wrong_value=0.1)
