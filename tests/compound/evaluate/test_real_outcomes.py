"""The methods against outcomes that others recorded; skipped where the data is absent."""

import random
from statistics import fmean

import numpy as np
import pytest

from parkade.compound.evaluate.cascade import Rule, best_mix, frontier, measure, policies
from parkade.compound.evaluate.forecast import forecast
from parkade.compound.evaluate.spread import fit_spread
from parkade.compound.theory.counting import draws_until_right, pass_at
from tests.compound.evaluate.recorded import (
    SYSTEMS,
    drawn_of,
    grade_school_answers,
    math_counts,
)

PUBLISHED_SHARES = {
    "Pythia 12B": 37.4,
    "Pythia 2.8B": 42.5,
    "Pythia 410M": 62.4,
    "Pythia 70M": 91.7,
}


@pytest.mark.parametrize(("model", "published_percent"), PUBLISHED_SHARES.items())
def test_early_stop_uses_at_most_the_published_share_of_calls(
    model: str, published_percent: float
) -> None:
    """Coverage is the same by construction: a question stops only once it is solved."""
    counts = math_counts()[model]
    draws = fmean(draws_until_right(n, c, 1_000) for n, c in counts)
    assert round(draws / 10, 1) <= published_percent
    chance = random.Random(1)
    simulated = [
        min(1_000, min(chance.sample(range(10_000), c), default=9_999) + 1) for _, c in counts
    ]
    assert fmean(simulated) == pytest.approx(draws, rel=0.1)
    solved = fmean(any_right < 1_000 for any_right in simulated)
    assert solved == pytest.approx(fmean(pass_at(n, c, 1_000) for n, c in counts), abs=0.08)


# Root mean square error of the forecast of pass@10,000 from 100 and from 1,000 samples a problem.
TO_BEAT = {
    ("Pythia 12B", 100): 0.034,
    ("Pythia 12B", 1_000): 0.023,
    ("Pythia 410M", 100): 0.074,
    ("Pythia 70M", 100): 0.201,
    ("Pythia 70M", 1_000): 0.066,
}
# Two stay above the figure to beat (0.009 and 0.015): the docs say by how much, here with room
# for 40 draws instead of 150.
ABOVE = {("Pythia 2.8B", 1_000): 0.015, ("Pythia 410M", 1_000): 0.026}
# One is level with 0.030: 0.0293 ± 0.0005 over 1,150 draws; 150 draws leave 0.0016 to chance.
LEVEL = {("Pythia 2.8B", 100): 0.033}
LIMITS = TO_BEAT | ABOVE | LEVEL
DRAWS = {("Pythia 2.8B", 100): 150}


#: The hardest of both kinds; the others take ten times as long together.
FAST = {("Pythia 70M", 100), ("Pythia 12B", 1_000)}


@pytest.mark.parametrize(
    ("model", "samples"),
    [pytest.param(*one, marks=[] if one in FAST else [pytest.mark.slow]) for one in LIMITS],
)
def test_the_forecast_errs_by_no_more_than_the_docs_say(model: str, samples: int) -> None:
    counts, chance = math_counts()[model], np.random.default_rng(2)
    truth = fmean(c > 0 for _, c in counts)
    errors, covered = [], 0
    draws = DRAWS.get((model, samples), 40)
    for _ in range(draws):
        found = forecast(fit_spread(drawn_of(counts, samples, chance)), 10_000)
        errors.append(found.coverage - truth)
        covered += found.low <= truth <= found.high
    assert fmean(error * error for error in errors) ** 0.5 <= LIMITS[model, samples]
    assert covered >= 0.9 * draws


@pytest.mark.parametrize(("model", "said"), [("Pythia 2.8B", 0.020), ("Pythia 410M", 0.022)])
def test_the_share_solved_in_1000_samples_varies_as_the_docs_say(model: str, said: float) -> None:
    """Problems are solved independently: the variance of the share is Σ p(1 − p) ÷ n²."""
    counts = math_counts()[model]
    solved = [pass_at(samples, right, 1_000) for samples, right in counts]
    spread = sum(p * (1 - p) for p in solved) ** 0.5 / len(solved)
    assert round(spread, 3) == said


# Relative prices: 175B costs ten times 6B a token (OpenAI's list of 2021); the verification systems
# draw 100 solutions and score each (Cobbe et al. 2021), so they cost 200 times their base.
PRICES = {
    "6b_finetuning": 1.0,
    "6b_verification": 200.0,
    "175b_finetuning": 10.0,
    "175b_verification": 2_000.0,
}


def test_the_four_systems_are_as_good_as_published() -> None:
    recorded = grade_school_answers()
    percents = [100 * fmean(row[system].is_right for row in recorded) for system in SYSTEMS]
    assert [round(percent, 1) for percent in percents] == [21.7, 39.0, 34.7, 56.3]


def test_cascades_of_the_four_systems_beat_each_of_them_on_questions_not_chosen_by() -> None:
    recorded = grade_school_answers()
    chosen_by, held_out = recorded[::2], recorded[1::2]
    tried = policies(SYSTEMS, [Rule.AGREEMENT, Rule.VOTE])
    hull = frontier(measure(policy, chosen_by, PRICES) for policy in tried)
    assert hull[0].policy.order == ("6b_finetuning",)
    large = measure(policies(["175b_verification"], [])[0], held_out, PRICES)
    best = measure(hull[-1].policy, held_out, PRICES)
    assert best.accuracy >= large.accuracy - 0.02
    assert best.cost <= large.cost * 1.11
    cheaper = [measure(point.policy, held_out, PRICES) for point in hull[:-1]]
    assert any(p.cost < 0.95 * large.cost and p.accuracy > large.accuracy - 0.03 for p in cheaper)


def test_an_exact_verifier_makes_a_cascade_better_than_its_best_system_at_less_cost() -> None:
    recorded = grade_school_answers()
    hull = frontier(measure(p, recorded, PRICES) for p in policies(SYSTEMS, [Rule.VERIFIED]))
    assert hull[-1].accuracy > 0.66
    assert hull[-1].cost < PRICES["175b_verification"]
    for budget in (5.0, 50.0, 500.0):
        mix = best_mix(hull, budget)
        assert mix is not None
        alone = [s for s in SYSTEMS if PRICES[s] <= budget]
        assert mix.accuracy >= max(fmean(row[s].is_right for row in recorded) for s in alone)
