import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.theory.domain import DomainError
from parkade.compound.theory.mixing import best_counts, best_counts_over_questions, density


def all_counts(costs: list[int], budget: int) -> list[tuple[int, ...]]:
    choices = itertools.product(*(range(budget // cost + 1) for cost in costs))
    return [
        counts
        for counts in choices
        if sum(a * b for a, b in zip(counts, costs, strict=True)) <= budget
    ]


def solved(ps: list[float], counts: tuple[int, ...]) -> float:
    missing = 1.0
    for p, count in zip(ps, counts, strict=True):
        missing *= (1 - p) ** count
    return 1 - missing


models = st.lists(st.tuples(st.floats(0, 0.99), st.integers(1, 9)), min_size=1, max_size=3)


@given(models, st.integers(0, 20))
def test_the_best_counts_are_what_trying_all_finds(
    models: list[tuple[float, int]], budget: int
) -> None:
    ps, costs = [p for p, _ in models], [cost for _, cost in models]
    found = best_counts(ps, costs, budget)
    assert found.cost_micros <= budget
    assert found.solved == pytest.approx(solved(ps, found.counts))
    assert found.solved == pytest.approx(max(solved(ps, c) for c in all_counts(costs, budget)))


@given(
    st.lists(st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)), min_size=1, max_size=4),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.integers(0, 18),
)
def test_over_questions_it_reaches_what_it_promises(
    ps: list[tuple[float, float]], costs: tuple[int, int], budget: int
) -> None:
    found = best_counts_over_questions(ps, costs, budget)
    assert found.cost_micros <= budget
    best = max(
        sum(solved(list(row), counts) for row in ps) / len(ps)
        for counts in all_counts(list(costs), budget)
    )
    assert found.solved >= 0.316 * best - 1e-12
    assert found.solved >= best - 0.12


def test_cheap_samples_may_beat_one_dear_one() -> None:
    assert density(0.1, 1) > density(0.6, 10)
    assert best_counts([0.6, 0.1], [10, 1], 10).counts == (0, 10)
    assert best_counts([0.6, 0.1], [10, 1], 12).counts == (0, 12)
    assert best_counts([0.6, 0.05], [10, 1], 12).counts == (1, 2)


def test_models_that_know_different_things_are_mixed() -> None:
    found = best_counts_over_questions([(0.9, 0.0), (0.0, 0.9)], [1, 1], 2)
    assert found.counts == (1, 1)


def test_a_table_too_large_is_refused_with_the_way_out() -> None:
    with pytest.raises(DomainError, match="coarser unit"):
        best_counts([0.5, 0.5], [7, 11], 10**9)
    with pytest.raises(DomainError, match="one cost a model"):
        best_counts([0.5], [7, 11], 10)
