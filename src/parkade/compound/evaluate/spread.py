"""How p is spread over questions: a posterior over Beta(α, β), from counts of right samples.

Theory of operation. Question i gave c_i right of n_i samples, so with p_i ~ Beta(α, β) its
likelihood is B(α + c_i, β + n_i − c_i) ÷ B(α, β), times what does not depend on α and β. It is the
same whether n was fixed beforehand or sampling stopped at the first success, so runs with early
stop may be used as they are. The product over questions is laid out on a grid of (ln α, ln β),
which is refined twice around where the mass is; every answer is a mean over that grid, so its
error bars know that few samples leave the left tail open.

A weak prior holds the fit where data say little (few hits, few questions): ln α and ln β follow
Student's t with 3 degrees of freedom around α = 0.35 and β = 10, scales 0.4 and 1.0. Exponents that
repeated sampling shows lie between 0.1 and 0.7; the heavy tails let data overrule it at once.
Without a prior the likelihood of a model that solved nothing has no maximum at all.

Worked example: 128 questions of 100 samples with 2 % right in the mean. The maximum likelihood's
α has a standard error of about 25 %; coverage at K = 10,000 is uncertain by ±0.03 from that alone,
and the interval says so.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from parkade.compound.theory.domain import DomainError, whole

ALPHA_CENTRE, ALPHA_SCALE = 0.35, 0.4
BETA_CENTRE, BETA_SCALE = 10.0, 1.0
_DEGREES = 3
_SIDE = 24
_ALPHA_RANGE = (math.log(0.004), math.log(100))
_BETA_RANGE = (math.log(0.01), math.log(1e6))
_REFINEMENTS = 2
# A point lighter than this share of the heaviest is outside of where the mass is.
_LIGHT = 1e-6


class Counts(NamedTuple):
    """Right samples of all samples of one question."""

    samples: int
    right: int


class SpreadPoint(NamedTuple):
    """One Beta of the grid with its posterior weight; the weights sum to 1."""

    alpha: float
    beta: float
    weight: float


class Spread(NamedTuple):
    """The posterior: its points, and how many questions and samples it has seen."""

    points: tuple[SpreadPoint, ...]
    questions: int
    samples: int

    def mean(self, of: Callable[[float, float], float]) -> float:
        """The posterior mean of a function of (α, β)."""
        return math.fsum(point.weight * of(point.alpha, point.beta) for point in self.points)

    @property
    def alpha(self) -> float:
        """The posterior's geometric mean of α, the index of the left tail."""
        return math.exp(self.mean(lambda alpha, _: math.log(alpha)))

    @property
    def beta(self) -> float:
        """The posterior's geometric mean of β."""
        return math.exp(self.mean(lambda _, beta: math.log(beta)))

    def draws(self, count: int) -> tuple[SpreadPoint, ...]:
        """So many points, each as often as its weight says, in order of their mean rate."""
        ordered = sorted(self.points, key=lambda point: point.alpha / (point.alpha + point.beta))
        found: list[SpreadPoint] = []
        below = 0.0
        for point in ordered:
            below += point.weight
            while len(found) < count and (len(found) + 0.5) / count <= below:
                found.append(point)
        return (*found, *[ordered[-1]] * (count - len(found)))

    def quantile(self, share: float, of: Callable[[float, float], float]) -> float:
        """The posterior quantile of a function of (α, β)."""
        ordered = sorted((of(point.alpha, point.beta), point.weight) for point in self.points)
        total = 0.0
        for value, weight in ordered:
            total += weight
            if total >= share:
                return value
        return ordered[-1][0]


def fit_spread(counts: Iterable[Counts | tuple[int, int]]) -> Spread:
    """The posterior over (α, β). Cost: 3 × 576 grid points × distinct (samples, right) pairs.

    No question at all gives the prior.
    """
    seen: Counter[Counts] = Counter()
    for samples, right in counts:
        whole("samples", samples, least=0)
        if not 0 <= right <= samples:
            raise DomainError(f"right must lie in 0..samples {samples}, got {right}")
        seen[Counts(samples, right)] += 1
    return fit_counted(seen)


def fit_counted(seen: Mapping[Counts, int]) -> Spread:
    """As `fit_spread`, of counts with how many questions had them."""
    totals = _Totals(Counter(), Counter(), Counter())
    for pair, times in seen.items():
        totals.right[pair.right] += times
        totals.wrong[pair.samples - pair.right] += times
        totals.samples[pair.samples] += times
    box = (_ALPHA_RANGE, _BETA_RANGE)
    points = _weigh(box, totals)
    for _ in range(_REFINEMENTS):
        box = _around(points, box)
        points = _weigh(box, totals)
    drawn = sum(pair.samples * times for pair, times in seen.items())
    return Spread(points, sum(seen.values()), drawn)


Box = tuple[tuple[float, float], tuple[float, float]]


class _Totals(NamedTuple):
    """How often each number of right, wrong and all samples came: the likelihood needs no more."""

    right: Counter[int]
    wrong: Counter[int]
    samples: Counter[int]


def _weigh(box: Box, totals: _Totals) -> tuple[SpreadPoint, ...]:
    log_alphas, log_betas = (_steps(*side) for side in box)
    # Γ(α + c) and Γ(β + n − c) depend on one parameter each, so each is summed once a row.
    from_alpha = [_rises(math.exp(log), totals.right) for log in log_alphas]
    from_beta = [_rises(math.exp(log), totals.wrong) for log in log_betas]
    found = []
    for log_alpha, first in zip(log_alphas, from_alpha, strict=True):
        for log_beta_, second in zip(log_betas, from_beta, strict=True):
            alpha, beta = math.exp(log_alpha), math.exp(log_beta_)
            log = first + second - _rises(alpha + beta, totals.samples)
            found.append((alpha, beta, log + _log_prior(log_alpha, log_beta_)))
    top = max(log for _, _, log in found)
    total = math.fsum(math.exp(log - top) for _, _, log in found)
    return tuple(SpreadPoint(a, b, math.exp(log - top) / total) for a, b, log in found)


def _rises(start: float, steps: Counter[int]) -> float:
    """Σ times · (ln Γ(start + step) − ln Γ(start))."""
    base = math.lgamma(start)
    return math.fsum(
        times * (math.lgamma(start + step) - base) for step, times in steps.items() if step
    )


def _log_prior(log_alpha: float, log_beta_: float) -> float:
    one = (log_alpha - math.log(ALPHA_CENTRE)) / ALPHA_SCALE
    two = (log_beta_ - math.log(BETA_CENTRE)) / BETA_SCALE
    half = (_DEGREES + 1) / 2
    return -half * (math.log1p(one * one / _DEGREES) + math.log1p(two * two / _DEGREES))


def _steps(low: float, high: float) -> list[float]:
    return [low + (high - low) * i / (_SIDE - 1) for i in range(_SIDE)]


def _around(points: tuple[SpreadPoint, ...], box: Box) -> Box:
    """The smallest box with a step to spare around every point that is not light."""
    heaviest = max(point.weight for point in points)
    heavy = [point for point in points if point.weight > _LIGHT * heaviest]
    sides = []
    for (low, high), values in zip(
        box, ([p.alpha for p in heavy], [p.beta for p in heavy]), strict=True
    ):
        step = (high - low) / (_SIDE - 1)
        lowest, highest = math.log(min(values)) - step, math.log(max(values)) + step
        sides.append((max(low, lowest), min(high, highest)))
    return sides[0], sides[1]
