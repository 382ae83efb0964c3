"""Knockout tournaments: candidates meet in pairs, a judge compares each pair, one is left.

No verifier is needed, only a judge that prefers a right candidate to a wrong one more often than
not (Chen Yanxi et al. 2024, "Simple and Provable Scaling Laws for the Test-Time Compute of Large
Language Models"). Pairs of two right or two wrong candidates stay right or wrong.
"""

import math

from parkade.compound.theory.domain import DomainError, open_probability, probability, whole
from parkade.compound.theory.voting import majority


def next_round(p: float, judge: float) -> float:
    """The share of right candidates after a round: p² + 2·p·(1 − p)·judge.

    `judge` is the chance that a right candidate beats a wrong one, all comparisons of the pair
    counted; with an odd number of comparisons it is `majority(single, comparisons)`.
    """
    probability("p", p)
    return p * p + 2 * p * (1 - p) * probability("judge", judge)


def winner_is_right(p: float, single: float, comparisons: int, rounds: int) -> float:
    """Exact for 2^rounds independent candidates and an odd number of comparisons a pair."""
    whole("rounds", rounds, least=0)
    judge = majority(single, comparisons)
    for _ in range(rounds):
        p = next_round(p, judge)
    return p


def failure_bound(p: float, single: float, candidates: int, comparisons: int) -> float:
    """An upper bound on losing: (1 − p)^N + ⌈log2 N⌉·e^(−2·K·(single − ½)²), at most 1.

    The first term is that no candidate is right, the second a union over the rounds of the one
    right candidate's Hoeffding bound; so it also holds where only one is right.
    """
    open_probability("p", p)
    whole("candidates", candidates, least=1)
    whole("comparisons", comparisons, least=1)
    if not 0.5 < single <= 1:
        raise DomainError(f"single must lie in 0.5..1, above 0.5, got {single!r}")
    rounds = math.ceil(math.log2(candidates))
    losing = math.exp(-2 * comparisons * (single - 0.5) ** 2)
    return min(1.0, (1 - p) ** candidates + rounds * losing)


def calls(candidates: int, comparisons: int) -> int:
    """Model calls of a whole tournament: N candidates and K for each of its N − 1 pairs."""
    whole("candidates", candidates, least=1)
    return candidates + whole("comparisons", comparisons, least=0) * (candidates - 1)
