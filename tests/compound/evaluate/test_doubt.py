"""The interval of a plan holds the truth about as often as it says."""

import random

import pytest

from parkade.compound.evaluate.calibration import Calibration, calibration_of
from parkade.compound.evaluate.outcomes import CandidateOutcome
from parkade.compound.evaluate.planning import Plan, Worth, plan
from parkade.compound.theory.coverage import coverage

REPEATS = 40
#: Of 40 intervals of 95 %, fewer than this many hold the truth once in 7,000 times.
LEAST = 33


def drawn(chance: random.Random, alpha: float, beta: float, questions: int, samples: int) -> Plan:
    """The plan for K = 20, of questions whose accuracy follows a Beta and that is never fooled."""
    outcomes = []
    for question in range(questions):
        p = chance.betavariate(alpha, beta)
        for _ in range(samples):
            is_right = chance.random() < p
            outcomes.append(
                CandidateOutcome(
                    question=str(question),
                    is_correct=is_right,
                    is_accepted=is_right,
                    cost_micros=1,
                    latency_us=1,
                )
            )
    calibration: Calibration = calibration_of(outcomes)
    return plan(calibration, Worth(right_micros=10**9, wrong_micros=0), most_k=20, is_exact=True)


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 3.0), (0.5, 1.0)])
def test_the_accuracy_that_few_questions_promise_is_as_doubtful_as_it_says(
    alpha: float, beta: float
) -> None:
    chance = random.Random(5)
    held = 0
    for _ in range(REPEATS):
        found = drawn(chance, alpha, beta, questions=40, samples=4).accuracy
        assert found is not None
        held += found.low <= coverage(alpha, beta, 20) <= found.high
    assert held >= LEAST
