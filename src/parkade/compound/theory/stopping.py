"""When to stop drawing for one question: failures say that it is hard, votes that it is settled.

With an exact verifier and p ~ Beta(α, β) over questions, n failures leave p ~ Beta(α, β + n), so
the next draw succeeds with chance α ÷ (α + β + n). That chance only falls; the one-step rule "stop
when the chance times the value is below the cost of a draw" is therefore the optimal policy (the
monotone case of optimal stopping, Chow, Robbins, Siegmund 1971):

    stop after n* = α·V ÷ c − α − β failures

Check: α = 0.296, β = 12.36 and V ÷ c = 100, 1,000, 10,000 give 16.9, 283.3 and 2,947.3.
"""

import math
from typing import NamedTuple

from parkade.compound.theory.domain import (
    DomainError,
    open_probability,
    positive,
    probability,
    whole,
)
from parkade.compound.theory.special import beta_cdf

SETTLED = 0.95


def chance_after(failures: int, alpha: float, beta: float) -> float:
    """The chance that the next draw succeeds after so many failures and no success."""
    whole("failures", failures, least=0)
    return positive("alpha", alpha) / (alpha + positive("beta", beta) + failures)


def stopping_point(alpha: float, beta: float, value_per_cost: float) -> float:
    """n*, not rounded, in failures; negative where not even one draw pays.

    `value_per_cost` is the value of a solved question over the cost of one draw and its check.
    """
    positive("alpha", alpha)
    positive("beta", beta)
    return alpha * positive("value_per_cost", value_per_cost) - alpha - beta


def failures_allowed(alpha: float, beta: float, value_per_cost: float) -> int:
    """The failures after which the optimal policy stops: n* rounded up, at least 0."""
    return max(0, math.ceil(stopping_point(alpha, beta, value_per_cost)))


def is_vote_settled(leader: int, runner_up: int, confidence: float = SETTLED) -> bool:
    """Whether the leading answer stays ahead: P(Beta(v1 + 1, v2 + 1) > ½) ≥ confidence.

    Adaptive-Consistency (Aggarwal et al. 2023, arXiv 2305.11860); votes beyond the two most
    frequent answers do not count.
    """
    whole("runner_up", runner_up, least=0)
    whole("leader", leader, least=0)
    open_probability("confidence", confidence)
    if runner_up > leader:
        raise DomainError(f"runner_up {runner_up} exceeds leader {leader}")
    return 1 - beta_cdf(0.5, leader + 1, runner_up + 1) >= confidence


class Bounds(NamedTuple):
    """Logarithms of the likelihood ratio: at or below `low` reject, at or above `high` accept."""

    low: float
    high: float


def sprt_bounds(false_alarm: float, miss: float) -> Bounds:
    """Wald's bounds for a sequential test (1945): ln(miss ÷ (1 − false_alarm)), ln((1 − miss) ÷
    false_alarm), in natural logarithms.
    """
    open_probability("false_alarm", false_alarm)
    open_probability("miss", miss)
    if false_alarm + miss >= 1:
        raise DomainError("false_alarm + miss must be below 1")
    return Bounds(math.log(miss / (1 - false_alarm)), math.log((1 - miss) / false_alarm))


def sprt_step(is_accepted: bool, tpr: float, fpr: float) -> float:
    """What one verdict adds to the logarithm of the likelihood ratio "right" over "wrong"."""
    probability("tpr", tpr)
    probability("fpr", fpr)
    top, bottom = (tpr, fpr) if is_accepted else (1 - tpr, 1 - fpr)
    if top == bottom:
        return 0.0
    if top == 0:
        return -math.inf
    return math.inf if bottom == 0 else math.log(top / bottom)
