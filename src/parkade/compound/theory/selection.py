"""Verified best of K: draw K candidates, return an accepted one; with none accepted, fall back.

Theory of operation. One draw is accepted with chance s = p·tpr + (1 − p)·fpr, so all K are
rejected with chance ρ^K, ρ = 1 − s. Given that one is accepted, it is right with chance
π = p·tpr ÷ s, whatever K is: more draws make an acceptance likelier and never a better one. So

    accuracy(K) = (1 − ρ^K)·π + ρ^(K−1)·p·(1 − tpr)        with a random rejected one as fallback
    accuracy(K) = (1 − ρ^K)·π                              where it abstains instead

(Davis et al. 2024, arXiv 2407.16831, for the set-up; derived and checked by simulation.) It moves
from p at K = 1 to π, up where tpr > fpr and down where tpr < fpr; π is below 1 as soon as
fpr > 0, and no budget changes that (Stroebl et al. 2024, arXiv 2411.17501).

Questions differ. The accuracy over many questions is the mean of each one's accuracy; the formula
at the mean p is not that mean, and is too high for coverage (Jensen's inequality).

Worked example: p = 0.3, tpr = 0.9, fpr = 0.1 give s = 0.34, π = 0.794, and accuracy(5) = 0.70036.
"""

import math
from collections.abc import Iterable
from enum import StrEnum

from parkade.compound.theory.domain import DomainError, open_probability, probability, whole


class Fallback(StrEnum):
    """What is answered when no candidate is accepted."""

    RANDOM = "random"
    ABSTAIN = "abstain"


def acceptance(p: float, tpr: float, fpr: float) -> float:
    """The chance that one draw is accepted, right or wrong."""
    probability("p", p)
    return p * probability("tpr", tpr) + (1 - p) * probability("fpr", fpr)


def precision(p: float, tpr: float, fpr: float) -> float:
    """π, the chance that an accepted draw is right: what accuracy tends to as K grows.

    A verifier that accepts nothing leaves the fallback for ever: then it is p.
    """
    accepted = acceptance(p, tpr, fpr)
    # A quotient of tiny numbers may round above 1.
    return min(1.0, p * tpr / accepted) if accepted > 0 else p


def gain(p: float, tpr: float, fpr: float) -> float:
    """Precision − accuracy: the most that verification can ever add (arXiv 2512.02304)."""
    return precision(p, tpr, fpr) - p


def accuracy(
    p: float, tpr: float, fpr: float, k: int, fallback: Fallback = Fallback.RANDOM
) -> float:
    """The chance that the answer is right after k draws."""
    whole("k", k, least=1)
    accepted = acceptance(p, tpr, fpr)
    if accepted == 0:
        return p if fallback is Fallback.RANDOM else 0.0
    found = some_accepted(accepted, k) * precision(p, tpr, fpr)
    if fallback is Fallback.ABSTAIN:
        return found
    return min(1.0, found + (1 - accepted) ** (k - 1) * p * (1 - tpr))


def mean_accuracy(items: Iterable[tuple[float, float, float]], k: int) -> float:
    """The mean over questions, each with its own (p, tpr, fpr): never average p first."""
    each = [accuracy(p, tpr, fpr, k) for p, tpr, fpr in items]
    if not each:
        raise DomainError("items must not be empty")
    return math.fsum(each) / len(each)


def some_accepted(accepted: float, k: int) -> float:
    """1 − (1 − accepted)^k without cancellation where `accepted` is tiny."""
    if accepted >= 1:
        return 1.0 if k > 0 else 0.0
    return -math.expm1(k * math.log1p(-accepted))


def expected_draws(accepted: float, k: int) -> float:
    """Draws until the first accepted one, k at most: (1 − ρ^k) ÷ (1 − ρ)."""
    probability("accepted", accepted)
    return some_accepted(accepted, k) / accepted if accepted > 0 else float(k)


def draws_to_reach(p: float, target: float) -> float:
    """The K, not rounded, at which a perfect verifier reaches `target`: ln(1 − target) ÷ ln(1 − p).

    Check: 12.09 draws lift 3.7 % to 36.6 %.
    """
    open_probability("p", p)
    open_probability("target", target)
    return math.log1p(-target) / math.log1p(-p)


def needed_ratio(p: float, target: float) -> float:
    """The tpr ÷ fpr from which the ceiling π is `target`; check: 15.0 for 3.7 % and 36.6 %."""
    open_probability("p", p)
    open_probability("target", target)
    return target / (1 - target) * (1 - p) / p
