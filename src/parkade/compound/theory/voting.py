"""Majority votes: of binary answers, of verifiers, and over two kinds of questions.

Theory of operation. An odd number K of independent votes, each right with chance p, is right with
chance F_p(K) = I_p((K + 1)/2, (K + 1)/2): it grows to 1 where p > ½ and falls to 0 where p < ½.
Questions are mixed: a share α is easy (p1 > ½) and the rest hard (p2 < ½). The vote's accuracy
α·F_p1(K) + (1 − α)·F_p2(K) then tends to α, and may rise above α first and fall back, or dip first
(Chen et al. 2024, arXiv 2403.02419, who fit such a mixture). Which way it goes follows from the
sign of the step from K to K + 2, α·g(p1)·(p1(1−p1))^x against (1−α)·g(p2)·(p2(1−p2))^x:

    t = p2(1 − p2)(½ − p2) ÷ [p1(1 − p1)(p1 − ½)] + 1
    p1 + p2 > 1:  α > 1 − 1/t  rises then falls,  else falls
    p1 + p2 < 1:  α > 1 − 1/t  rises,             else falls then rises

The best K of a vote that rises then falls is 2⌈x⌉ − 1 with
x = ln[α/(1 − α)·(2p1 − 1)/(1 − 2p2)] ÷ ln[p2(1 − p2)/(p1(1 − p1))].

Worked example: α = 0.6, p1 = 0.8, p2 = 0.45 rises from 0.66 at K = 1 to its best at K = 11, and
tends to 0.6.
"""

import math
from enum import StrEnum
from typing import NamedTuple

from parkade.compound.theory.domain import DomainError, open_probability, probability, whole
from parkade.compound.theory.special import beta_cdf


class Regime(StrEnum):
    """How a vote's accuracy moves as K grows."""

    RISING = "rising"
    FALLING = "falling"
    UP_THEN_DOWN = "up, then down"
    DOWN_THEN_UP = "down, then up"


class BestVotes(NamedTuple):
    """The best odd K and its accuracy; K is None where that is only reached in the limit."""

    k: int | None
    accuracy: float


def majority(p: float, votes: int) -> float:
    """The chance that most of an odd number of independent votes are right.

    Checks: 0.648 for three votes of 0.6, 0.753498 for 11, 0.979103 for 101.
    """
    probability("p", p)
    if whole("votes", votes, least=1) % 2 == 0:
        raise DomainError(f"votes must be odd, so that there is no tie, got {votes}")
    half = (votes + 1) / 2
    return beta_cdf(p, half, half)


def voted_rates(tpr: float, fpr: float, votes: int) -> tuple[float, float]:
    """True and false positive rate of a verifier that asks `votes` times and takes the majority.

    Holds where its verdicts on one candidate are independent, which verdicts of one model are not:
    measure it.
    """
    return majority(tpr, votes), majority(fpr, votes)


def _checked(alpha: float, easy: float, hard: float) -> None:
    open_probability("alpha", alpha)
    if not (0 < hard < 0.5 < easy < 1):
        raise DomainError(f"need 0 < hard < 0.5 < easy < 1, got hard {hard!r}, easy {easy!r}")


def mixed_majority(alpha: float, easy: float, hard: float, votes: int) -> float:
    """Accuracy of a vote where a share `alpha` of questions is easy and the others are hard."""
    probability("alpha", alpha)
    return alpha * majority(easy, votes) + (1 - alpha) * majority(hard, votes)


def regime(alpha: float, easy: float, hard: float) -> Regime:
    """How the accuracy of that vote moves as the number of votes grows."""
    _checked(alpha, easy, hard)
    t = hard * (1 - hard) * (0.5 - hard) / (easy * (1 - easy) * (easy - 0.5)) + 1
    starts_up = alpha > 1 - 1 / t
    if easy + hard > 1:
        return Regime.UP_THEN_DOWN if starts_up else Regime.FALLING
    return Regime.RISING if starts_up else Regime.DOWN_THEN_UP


def best_votes(alpha: float, easy: float, hard: float) -> BestVotes:
    """The odd number of votes of highest accuracy."""
    first = mixed_majority(alpha, easy, hard, 1)
    match regime(alpha, easy, hard):
        case Regime.FALLING:
            return BestVotes(1, first)
        case Regime.RISING:
            return BestVotes(None, alpha)
        case Regime.DOWN_THEN_UP:
            return BestVotes(1, first) if first >= alpha else BestVotes(None, alpha)
        case Regime.UP_THEN_DOWN:
            balance = alpha / (1 - alpha) * (2 * easy - 1) / (1 - 2 * hard)
            fade = hard * (1 - hard) / (easy * (1 - easy))
            votes = max(1, 2 * math.ceil(math.log(balance) / math.log(fade)) - 1)
            return BestVotes(votes, mixed_majority(alpha, easy, hard, votes))
