import random

import pytest

from parkade.compound.evaluate.adaptive import AdaptiveStop, chance_after
from parkade.compound.evaluate.spread import Spread, SpreadPoint, fit_spread
from parkade.compound.theory.stopping import chance_after as known_chance
from parkade.compound.theory.stopping import failures_allowed


def test_with_a_known_spread_it_is_the_rule_of_the_theory() -> None:
    known = Spread((SpreadPoint(0.296, 12.36, 1.0),), 1, 1)
    assert chance_after(known, 40) == pytest.approx(known_chance(40, 0.296, 12.36))


def test_the_chance_only_falls() -> None:
    spread = fit_spread([(20, 0)] * 5 + [(4, 1)] * 5)
    chances = [chance_after(spread, failures) for failures in range(0, 2_000, 20)]
    assert chances == sorted(chances, reverse=True)


def play(stop: AdaptiveStop, ps: list[float], chance: random.Random) -> tuple[int, int]:
    """Questions solved and candidates drawn, question by question."""
    solved = drawn = 0
    for p in ps:
        failures = 0
        while failures < stop.failures_allowed:
            drawn += 1
            if chance.random() < p:
                solved += 1
                stop.finished(failures + 1, 1)
                break
            failures += 1
        else:
            stop.finished(failures, 0)
    return solved, drawn


@pytest.mark.parametrize(
    ("alpha", "beta", "value"),
    [
        (0.3, 12.0, 300.0),
        pytest.param(1.0, 3.0, 40.0, marks=pytest.mark.slow),
    ],
)
def test_it_learns_the_spread_and_loses_little_to_who_knew_it(
    alpha: float, beta: float, value: float
) -> None:
    chance = random.Random(3)
    ps = [chance.betavariate(alpha, beta) for _ in range(400)]
    stop = AdaptiveStop(value_per_cost=value)
    solved, drawn = play(stop, ps, random.Random(4))
    best = max(
        sum(value * (1 - (1 - p) ** k) - (1 - (1 - p) ** k) / p for p in ps) for k in range(1, 600)
    )
    assert solved * value - drawn >= 0.9 * best
    assert stop.failures_allowed == pytest.approx(failures_allowed(alpha, beta, value), rel=0.35)
    assert stop.spread.questions > 300


def test_what_never_pays_is_not_begun() -> None:
    assert AdaptiveStop(value_per_cost=0.5).failures_allowed == 0
    assert AdaptiveStop(value_per_cost=1e12, most=500).failures_allowed == 500
