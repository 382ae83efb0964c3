import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.compound.evaluate.evaluation import evaluate
from parkade.compound.evaluate.outcomes import CandidateOutcome, CountsOutcome
from parkade.compound.theory.domain import DomainError
from parkade.compound.theory.selection import mean_accuracy
from parkade.compound.theory.voting import majority
from tests.compound.evaluate.recorded import COST_MICROS, drawn, spread_rates


def one(question: str, is_correct: bool | None, is_accepted: bool | None) -> CandidateOutcome:
    return CandidateOutcome(
        question=question,
        is_correct=is_correct,
        is_accepted=is_accepted,
        cost_micros=10,
        latency_us=5,
    )


def test_a_vote_of_one_is_the_accuracy_of_one_candidate() -> None:
    found = evaluate(
        [
            CandidateOutcome(
                question=str(n % 4),
                is_correct=n % 3 == 0,
                is_accepted=None,
                answer=str(n % 3),
                cost_micros=1,
                latency_us=1,
            )
            for n in range(40)
        ],
        ks=[1],
    )
    assert found.rows[0].vote == found.accuracy


def test_a_small_evaluation_is_what_counting_by_hand_gives() -> None:
    found = evaluate(
        [
            one("a", True, True),
            one("a", False, True),
            one("b", False, False),
            one("b", False, False),
        ]
    )
    assert (found.questions, found.candidates) == (2, 4)
    assert found.accuracy.value == 0.25
    assert [row.k for row in found.rows] == [1, 2]
    assert [row.pass_at_k.value for row in found.rows] == [0.25, 0.5]
    assert found.rows[1].verified is not None
    assert found.rows[1].verified.value == 0.25
    # The first question stops at its first candidate, the second draws both.
    assert found.rows[1].draws == 1.5
    assert found.verifier is not None
    assert found.verifier.true_positive_rate is not None
    assert found.verifier.false_positive_rate is not None
    assert found.verifier.true_positive_rate.value == 1
    assert found.verifier.false_positive_rate.value == pytest.approx(1 / 3)
    assert found.cost_micros == 40
    # One draw of each: 20 for a quarter of two questions. At K = 2: 10 and 20, for one in four.
    assert [row.cost_per_solved_micros for row in found.rows] == [40, 60]
    assert found.latency_us == 5


def test_an_evaluation_agrees_with_the_closed_form_of_its_rates() -> None:
    rates = spread_rates(150, 0.9, 0.1)
    found = evaluate(drawn(rates, 40))
    for row in found.rows:
        assert row.verified is not None
        expected = mean_accuracy(rates, row.k)
        assert row.verified.value == pytest.approx(expected, abs=0.03)
        assert row.verified.low < expected < row.verified.high
    assert found.cost_micros == 150 * 40 * COST_MICROS


def test_a_vote_of_two_answers_is_a_majority() -> None:
    outcomes = [
        CandidateOutcome(question=f"q{q}", is_correct=i < 60, answer="yes" if i < 60 else "no")
        for q in range(100)
        for i in range(100)
    ]
    found = evaluate(outcomes, ks=[3, 11])
    for row in found.rows:
        assert row.vote is not None
        assert row.vote.value == pytest.approx(majority(0.6, row.k), abs=0.03)
        assert row.verified is None


def test_counts_alone_give_coverage_and_no_verifier() -> None:
    counts = [CountsOutcome(question=f"q{i}", samples=100, correct=i) for i in range(10)]
    found = evaluate(counts)
    assert found.verifier is None
    assert found.rows[-1].k == 100
    assert found.rows[-1].pass_at_k.value == 0.9
    assert found.rows[0].vote is None


@settings(max_examples=settings().max_examples // 4)
@given(st.integers(0, 2**32))
def test_intervals_hold_their_value_and_stay_in_range(seed: int) -> None:
    found = evaluate(drawn(spread_rates(12, 0.8, 0.2, seed=seed), 5, seed=seed))
    measures = [found.accuracy, *(row.pass_at_k for row in found.rows)]
    assert found.verifier is not None
    rates = (found.verifier.true_positive_rate, found.verifier.false_positive_rate)
    for measure in (*measures, *rates, found.verifier.precision):
        if measure is not None:
            assert 0 <= measure.low <= measure.value <= measure.high <= 1


def test_intervals_of_accuracy_cover_the_truth_as_often_as_they_say() -> None:
    truth, covered = 0.6 / 2.6, 0
    for seed in range(100):
        chance = random.Random(seed)
        rates = spread_rates(60, 1, 0, seed=seed)
        counts = [
            CountsOutcome(
                question=f"q{i}", samples=6, correct=sum(chance.random() < p for _ in range(6))
            )
            for i, (p, _, _) in enumerate(rates)
        ]
        found = evaluate(counts, ks=[1])
        covered += found.accuracy.low <= truth <= found.accuracy.high
    assert covered >= 88


def test_unlabelled_candidates_are_counted_and_left_out() -> None:
    found = evaluate([one("a", True, True), one("b", None, True)])
    assert (found.questions, found.candidates, found.unlabelled_candidates) == (1, 2, 1)
    with pytest.raises(DomainError, match="no candidate has a label"):
        evaluate([one("b", None, True)])
    with pytest.raises(DomainError, match=r"K = 3 must lie in 1\.\.1"):
        evaluate([one("a", True, True)], ks=[3])
