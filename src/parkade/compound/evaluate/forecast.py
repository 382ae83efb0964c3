"""Coverage at a K that was never drawn, from few samples, with error bars.

The spread of p is fitted (`spread.py`) and carried on to K; never is a curve fitted to the curve.
The interval holds both doubts: of the spread itself, and that so many questions, drawn from it,
may be luckier or unluckier. It does not hold the doubt that p follows no Beta at all: a pile of
questions with p = 0 beside a smooth rest is the case where the forecast is too high.
"""

import math
from collections.abc import Iterable
from statistics import NormalDist
from typing import NamedTuple

from parkade.compound.evaluate.spread import Counts, Spread, fit_spread
from parkade.compound.theory.coverage import coverage
from parkade.compound.theory.domain import open_probability, whole

LEVEL = 0.95
_NORMAL = NormalDist()


class Forecast(NamedTuple):
    """Expected coverage at `k` draws a question, and an interval for it."""

    k: int
    coverage: float
    low: float
    high: float


def forecast(spread: Spread, k: int, *, level: float = LEVEL) -> Forecast:
    """Coverage of the spread's questions, or as many like them, at k draws each."""
    whole("k", k, least=0)
    tail = (1 - open_probability("level", level)) / 2
    points = [(coverage(p.alpha, p.beta, k), p.weight) for p in spread.points if p.weight > 1e-9]
    mean = math.fsum(value * weight for value, weight in points)
    questions = max(1, spread.questions)
    low, high = (_quantile(points, questions, share) for share in (tail, 1 - tail))
    return Forecast(k, mean, min(low, mean), max(high, mean))


def _quantile(points: list[tuple[float, float]], questions: int, share: float) -> float:
    """Where the mixture of normals (one a grid point, as wide as chance over questions) has it."""
    spreads = [
        (value, math.sqrt(value * (1 - value) / questions) + 1e-9, weight)
        for value, weight in points
    ]
    total = math.fsum(weight for _, _, weight in spreads)
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        below = math.fsum(w * _NORMAL.cdf((middle - v) / s) for v, s, w in spreads)
        low, high = (middle, high) if below < share * total else (low, middle)
    return (low + high) / 2


def forecast_coverage(
    counts: Iterable[Counts | tuple[int, int]], ks: Iterable[int], *, level: float = LEVEL
) -> tuple[Forecast, ...]:
    """A forecast for each K from (samples, right) of each question."""
    spread = fit_spread(counts)
    return tuple(forecast(spread, k, level=level) for k in ks)
