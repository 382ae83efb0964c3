"""Intervals for shares and means: Wilson's score interval and the bootstrap over questions.

Candidates of one question are alike, so a mean over candidates is resampled by question, never by
candidate: intervals from candidates alone would be far too narrow.
"""

import math
import random
from collections.abc import Sequence
from statistics import NormalDist

from parkade.compound.theory.domain import DomainError, open_probability, whole

LEVEL = 0.95
RESAMPLES = 1_000
_MOST_BOOTSTRAPPED = 2_000


def normal_quantile(level: float) -> float:
    """The z with `level` of a standard normal between −z and z; 1.959964 for 0.95."""
    return NormalDist().inv_cdf((1 + open_probability("level", level)) / 2)


def wilson(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval for a share (Wilson 1927); 0 trials give the whole of 0..1.

    Check: 10 of 10 give 0.7225..1, where the textbook interval would have no width.
    """
    whole("trials", trials, least=0)
    whole("successes", successes, least=0)
    if successes > trials:
        raise DomainError(f"successes {successes} exceed trials {trials}")
    if trials == 0:
        return 0.0, 1.0
    return _wilson(successes / trials, trials, level)


def _wilson(share: float, trials: float, level: float) -> tuple[float, float]:
    z = normal_quantile(level)
    spread = z * z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return low, high


def wilson_of_mean(
    values: Sequence[float], *, most_trials: int, level: float = LEVEL
) -> tuple[float, float]:
    """Wilson's interval for the mean of shares in 0..1, one a question.

    The shares' variance says how many independent trials they are worth: at least one a question,
    at most `most_trials` (all candidates). For shares of 0 and 1 it is Wilson's interval.
    """
    if not values:
        raise DomainError("values must not be empty")
    trials = whole("most_trials", most_trials, least=len(values))
    mean = min(1.0, max(0.0, math.fsum(values) / len(values)))
    variance = math.fsum((value - mean) ** 2 for value in values) / len(values)
    worth = float(trials)
    if variance > 0:
        worth = min(worth, max(len(values), len(values) * mean * (1 - mean) / variance))
    return _wilson(mean, worth, level)


def bootstrap_ratio(
    tops: Sequence[float],
    bottoms: Sequence[float],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap (Efron 1979) of Σ tops ÷ Σ bottoms; one pair a question.

    A resample whose bottoms sum to 0 is left out. The cost grows as resamples × questions; the
    same seed gives the same interval.
    """
    open_probability("level", level)
    if not tops or len(tops) != len(bottoms):
        raise DomainError(f"need pairs of one length, got {len(tops)} and {len(bottoms)}")
    chance = random.Random(seed)
    places = range(len(tops))
    found: list[float] = []
    for _ in range(resamples):
        drawn = chance.choices(places, k=len(tops))
        bottom = math.fsum(bottoms[place] for place in drawn)
        if bottom > 0:
            found.append(math.fsum(tops[place] for place in drawn) / bottom)
    if not found:
        raise DomainError("no resample has a bottom above 0")
    found.sort()
    tail = (1 - level) / 2 * (len(found) - 1)
    return found[math.floor(tail)], found[math.ceil(len(found) - 1 - tail)]


def ratio_interval(
    tops: Sequence[float], bottoms: Sequence[float], *, level: float = LEVEL
) -> tuple[float, float]:
    """An interval for Σ tops ÷ Σ bottoms, one pair a question, in time that grows with questions.

    The bootstrap up to 2,000 questions; beyond, where the two agree, the delta method: the standard
    error of top − ratio·bottom over questions, divided by the mean bottom.
    """
    if len(tops) <= _MOST_BOOTSTRAPPED:
        return bootstrap_ratio(tops, bottoms, level=level)
    bottom = math.fsum(bottoms)
    if bottom <= 0:
        raise DomainError("the bottoms must sum to more than 0")
    ratio = math.fsum(tops) / bottom
    squares = math.fsum((a - ratio * b) ** 2 for a, b in zip(tops, bottoms, strict=True))
    half = normal_quantile(level) * math.sqrt(squares) / bottom
    return ratio - half, ratio + half


def bootstrap_mean(
    values: Sequence[float],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap of a mean; one value a question."""
    ones = [1.0] * len(values)
    return bootstrap_ratio(values, ones, level=level, resamples=resamples, seed=seed)
