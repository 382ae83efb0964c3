from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.evaluate.cascade import (
    CurvePoint,
    Policy,
    RecordedAnswer,
    Rule,
    answer,
    best_mix,
    frontier,
    measure,
    policies,
)
from parkade.compound.theory.domain import DomainError

RIGHT, WRONG, OTHER = (
    RecordedAnswer("18", True),
    RecordedAnswer("17", False),
    RecordedAnswer("3", False),
)


@pytest.mark.parametrize(
    ("rule", "answers", "expected", "asked"),
    [
        (Rule.VERIFIED, (WRONG, RIGHT, WRONG), RIGHT, 2),
        (Rule.VERIFIED, (WRONG, OTHER, WRONG), WRONG, 3),
        (Rule.AGREEMENT, (WRONG, WRONG, RIGHT), WRONG, 2),
        (Rule.AGREEMENT, (RIGHT, WRONG, RIGHT), RIGHT, 3),
        (Rule.AGREEMENT, (RIGHT, WRONG, OTHER), OTHER, 3),
        (Rule.AGREEMENT, (RecordedAnswer("", False), RecordedAnswer("", False), RIGHT), RIGHT, 3),
        (Rule.VOTE, (RIGHT, WRONG, RIGHT), RIGHT, 3),
        (Rule.VOTE, (RIGHT, WRONG, OTHER), OTHER, 3),
    ],
)
def test_a_cascade_stops_by_its_rule(
    rule: Rule, answers: tuple[RecordedAnswer, ...], expected: RecordedAnswer, asked: int
) -> None:
    recorded = dict(zip("abc", answers, strict=True))
    assert answer(Policy(("a", "b", "c"), rule), recorded) == (expected, asked)


def test_only_what_was_asked_is_paid() -> None:
    recorded = [{"a": RIGHT, "b": RIGHT}, {"a": WRONG, "b": RIGHT}]
    point = measure(Policy(("a", "b"), Rule.VERIFIED), recorded, {"a": 1, "b": 10})
    assert (point.cost, point.accuracy) == (6, 1)
    point = measure(Policy(("a", "b"), Rule.VOTE), recorded, {"a": 1, "b": 10})
    assert point.cost == 11


def test_every_order_of_every_subset_is_tried() -> None:
    found = policies(["a", "b", "c"], [Rule.VERIFIED])
    assert len(found) == len(set(found)) == 3 + 6 + 6
    assert len(policies(["a", "b", "c"], [Rule.AGREEMENT])) == 3 + 6
    with pytest.raises(DomainError, match="1 to 6 systems"):
        policies([], [Rule.VOTE])


points = st.lists(
    st.builds(
        CurvePoint,
        policy=st.just(Policy(("a",), Rule.VOTE)),
        cost=st.floats(0.1, 100),
        accuracy=st.floats(0, 1),
    ),
    min_size=1,
    max_size=12,
)


@given(points, st.floats(0, 120))
def test_no_mix_of_two_policies_beats_the_best_mix(points: list[CurvePoint], budget: float) -> None:
    found = best_mix(points, budget)
    affordable = [point for point in points if point.cost <= budget]
    assert (found is None) is (not affordable)
    if found is None:
        return
    assert found.cost <= budget + 1e-9
    for cheap in affordable:
        for dear in points:
            share = 1.0 if dear.cost <= budget else (budget - cheap.cost) / (dear.cost - cheap.cost)
            accuracy = (1 - share) * cheap.accuracy + share * dear.accuracy
            assert found.accuracy >= accuracy - 1e-9


@given(points)
def test_a_frontier_rises_ever_more_slowly(points: list[CurvePoint]) -> None:
    hull = frontier(points)
    slopes = [(b.accuracy - a.accuracy) / (b.cost - a.cost) for a, b in pairwise(hull)]
    assert all(slope > 0 for slope in slopes)
    assert slopes == sorted(slopes, reverse=True)


def test_half_the_questions_go_to_each_of_two() -> None:
    small = CurvePoint(Policy(("small",), Rule.VERIFIED), 1, 0.2)
    large = CurvePoint(Policy(("large",), Rule.VERIFIED), 10, 0.4)
    mix = best_mix([small, large], 5.5)
    assert mix is not None
    assert (mix.dear_share, mix.accuracy) == pytest.approx((0.5, 0.3))
    assert mix.cheap.name() == "small"
