import asyncio
import functools
from collections.abc import Sequence
from typing import Any

import pytest

from parkade.compound.evaluate.calibration import Calibration, calibrate, calibration_of
from parkade.compound.evaluate.curve import curve_of
from parkade.compound.evaluate.outcomes import CandidateOutcome, CountsOutcome
from parkade.compound.evaluate.planning import Budget, Plan, Target, Worth, plan
from parkade.compound.theory.domain import DomainError
from parkade.compound.theory.selection import mean_accuracy
from parkade.compound.values import Question
from tests.compound.evaluate.recorded import COST_MICROS, drawn, spread_rates

GOOD = spread_rates(200, 0.9, 0.05)


def calibrated(rates: list[tuple[float, float, float]], samples: int = 16) -> Calibration:
    return _calibrated(tuple(rates), samples)


@functools.cache
def _calibrated(rates: tuple[tuple[float, float, float], ...], samples: int) -> Calibration:
    return calibration_of(drawn(list(rates), samples))


def test_a_calibration_gives_back_the_rates_that_it_was_drawn_from() -> None:
    found = calibrated(GOOD)
    assert found.verifier is not None
    tpr, fpr = found.verifier.true_positive_rate, found.verifier.false_positive_rate
    assert tpr is not None
    assert fpr is not None
    assert tpr.value == pytest.approx(0.9, abs=0.03)
    assert fpr.value == pytest.approx(0.05, abs=0.015)
    assert tpr.low < tpr.value < tpr.high < 0.96
    assert 0.03 < fpr.low < fpr.value < fpr.high
    assert found.generator.mean == pytest.approx(0.6 / 2.6, abs=0.05)
    assert found.accuracy.low <= 0.6 / 2.6 <= found.accuracy.high
    assert found.cost_micros == COST_MICROS
    assert found.latency_us == 2_000
    assert sum(group.questions for group in found.groups) == 200
    covered = sum(
        each.accuracy.low <= p <= each.accuracy.high
        for each, (p, _, _) in zip(found.per_question, GOOD, strict=True)
    )
    assert covered >= 180


@pytest.mark.parametrize(
    "rates",
    [GOOD, spread_rates(200, 0.7, 0.2, alpha=2), spread_rates(200, 1.0, 0.0, alpha=0.3, beta=10)],
    ids=["good", "weak verifier", "hard questions"],
)
def test_the_expected_accuracy_is_near_the_truth_far_beyond_the_pilot(
    rates: list[tuple[float, float, float]],
) -> None:
    curve = curve_of(calibrated(rates), is_exact=False)
    for k in (1, 4, 16, 64, 500):
        assert curve.accuracy(k) == pytest.approx(mean_accuracy(rates, k), abs=0.045)
    assert curve.ceiling() >= curve.accuracy(500) - 1e-9
    draws = [curve.draws(k) for k in (1, 4, 16, 64, 500)]
    assert draws == sorted(draws)
    assert draws[0] == pytest.approx(1)


def test_a_verifier_fooled_on_some_questions_is_no_verifier_fooled_now_and_then() -> None:
    """Both accept 10 % of wrong answers; averaging the rates first could not tell them apart."""
    base = spread_rates(200, 0.95, 0.0, alpha=1)
    everywhere = [(p, 0.95, 0.1) for p, _, _ in base]
    somewhere = [(p, 0.95, 1.0 if i % 10 == 0 else 0.0) for i, (p, _, _) in enumerate(base)]
    ceilings = [
        curve_of(calibrated(r, 40), is_exact=False).ceiling() for r in (everywhere, somewhere)
    ]
    truths = [mean_accuracy(rates, 10_000) for rates in (everywhere, somewhere)]
    assert truths[1] - truths[0] > 0.08
    assert ceilings[1] - ceilings[0] > 0.05
    assert ceilings == pytest.approx(truths, abs=0.05)


@pytest.mark.slow
def test_intervals_of_the_verifier_cover_its_rates_as_often_as_they_say() -> None:
    covered = 0
    for seed in range(16):
        found = calibration_of(drawn(GOOD[:60], 6, seed=seed)).verifier
        assert found is not None
        for measure, truth in (
            (found.true_positive_rate, 0.9),
            (found.false_positive_rate, 0.05),
        ):
            assert measure is not None
            covered += measure.low <= truth <= measure.high
    assert covered >= 0.86 * 32


def planned(rates: list[tuple[float, float, float]], goal: Any, **asked: Any) -> Plan:
    return plan(calibrated(rates), goal, **asked)


def test_a_budget_is_kept_and_more_money_never_makes_it_worse() -> None:
    accuracies = []
    for micros in (25_000, 50_000, 100_000, 200_000, 10_000_000):
        found = planned(GOOD, Budget(micros=micros))
        assert found.accuracy is not None
        assert found.cost_micros is not None
        assert found.cost_micros <= micros
        assert found.worst_cost_micros is not None
        assert found.worst_cost_micros >= found.cost_micros
        accuracies.append(found.accuracy.value)
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] == pytest.approx(found.ceiling.value, abs=0.01)


def test_a_target_is_reached_by_the_smallest_k() -> None:
    found = planned(GOOD, Target(accuracy=0.5))
    assert found.k is not None
    curve = curve_of(calibrated(GOOD), is_exact=False)
    assert curve.accuracy(found.k) >= 0.5 > curve.accuracy(found.k - 1)
    assert found.cost_per_solved_micros == pytest.approx(
        curve.draws(found.k) * COST_MICROS / curve.accuracy(found.k)
    )


def test_a_target_above_the_ceiling_is_refused_with_the_ceiling() -> None:
    found = planned(GOOD, Target(accuracy=0.99))
    assert found.k is None
    assert found.cost_micros is None
    assert "out of reach" in found.findings[-1]
    assert f"{100 * found.ceiling.value:.1f} %" in found.findings[-1]


def test_a_budget_too_small_for_one_candidate_each_is_said() -> None:
    found = planned(GOOD, Budget(micros=100))
    assert found.k is None
    assert "does not pay for one candidate" in found.findings[-1]


def test_it_says_plainly_when_more_calls_will_not_help() -> None:
    useless = planned(spread_rates(200, 0.5, 0.5), Budget(micros=10_000_000))
    assert useless.findings[0].startswith("More calls will not help")
    assert any(
        "may not tell right from wrong" in f or "at least as often" in f for f in useless.findings
    )
    helpful = planned(GOOD, Budget(micros=10_000_000))
    assert helpful.findings[0].startswith("More calls help: from")
    assert any("False positives cap accuracy" in finding for finding in helpful.findings)


def test_where_hard_questions_fool_the_verifier_accuracy_turns_down() -> None:
    rates = [(0.5, 0.9, 0.02)] * 100 + [(0.3, 0.02, 0.08)] * 100
    found = planned(rates, Budget(micros=10**9), most_k=500)
    truths = {step.k: mean_accuracy(rates, step.k) for step in found.steps}
    best = max(truths, key=truths.__getitem__)
    assert 2 <= best <= 12
    assert found.turns_down_after is not None
    assert truths[found.turns_down_after] >= truths[best] - 0.02
    assert found.k is not None
    assert found.k <= found.turns_down_after
    assert any("turns down after" in finding for finding in found.findings)


def test_worth_decides_how_long_to_go_on() -> None:
    cheap = planned(GOOD, Worth(right_micros=200, wrong_micros=0))
    dear = planned(GOOD, Worth(right_micros=100_000, wrong_micros=0))
    assert cheap.k is not None
    assert dear.k is not None
    assert cheap.k < dear.k


def test_an_exact_verifier_has_no_ceiling_but_the_questions() -> None:
    counts = [CountsOutcome(question=f"q{i}", samples=20, correct=i % 5) for i in range(60)]
    with pytest.raises(DomainError, match="record is_accepted"):
        plan(calibration_of(counts), Target(accuracy=0.5))
    found = plan(calibration_of(counts), Target(accuracy=0.8), is_exact=True)
    assert found.ceiling.value == pytest.approx(1)
    assert found.k is not None
    assert not any("False positives" in finding for finding in found.findings)
    with pytest.raises(DomainError, match="every recorded candidate costs 0"):
        plan(calibration_of(counts), Budget(micros=5), is_exact=True)


def test_few_questions_are_called_few() -> None:
    assert "Only 10 questions" in planned(GOOD[:10], Target(accuracy=0.3)).findings[-1]


class Table:
    """A runner that draws from known rates."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    async def __call__(
        self, network: Any, question: Question, samples: int
    ) -> Sequence[CandidateOutcome]:
        self.asked.append((question.id, samples))
        await asyncio.sleep(0)
        return [
            CandidateOutcome(question=question.id, is_correct=i < 2, is_accepted=i < 3)
            for i in range(samples)
        ]


def test_a_runner_is_asked_for_every_labelled_question() -> None:
    runner = Table()
    questions = [Question(id=f"q{i}", prompt="?") for i in range(3)]
    found = asyncio.run(calibrate("network", questions, runner=runner, samples=8))
    assert runner.asked == [("q0", 8), ("q1", 8), ("q2", 8)]
    assert (found.questions, found.candidates) == (3, 24)
    assert found.verifier is not None
    assert (found.verifier.accepted_right, found.verifier.accepted_wrong) == (6, 3)


def test_a_k_above_that_of_the_headline_says_why() -> None:
    dear = planned(GOOD, Worth(right_micros=100_000_000, wrong_micros=0))
    headline = next(each for each in dear.findings if each.startswith("More calls help"))
    assert f"K = {dear.k:,}" not in headline
    assert any(f"K = {dear.k:,} has the highest net worth" in each for each in dear.findings)


def test_a_ceiling_below_what_few_candidates_give_is_not_called_a_cap() -> None:
    rates = [(0.5, 0.9, 0.02)] * 100 + [(0.3, 0.02, 0.3)] * 100
    found = planned(rates, Budget(micros=10**9), most_k=500)
    best = max(step.accuracy for step in found.steps)
    assert best > found.ceiling.value
    told = next(each for each in found.findings if each.startswith("False positives"))
    assert "take accuracy down to" in told
    assert f"below the {100 * best:.1f} %" in told
