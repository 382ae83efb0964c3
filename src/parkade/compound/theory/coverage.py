"""Coverage: the share of questions that K draws and a perfect verifier solve, p ~ Beta(α, β).

    coverage(K) = 1 − B(α, β + K) ÷ B(α, β)

For large K what is missing shrinks as Γ(α + β) ÷ Γ(β) · K^−α: the power law that repeated sampling
shows is the left tail of p, and its exponent is α (Schaeffer et al. 2025, "How Do Large Language
Monkeys Get Their Power (Laws)?"). A power law fitted to the curve itself knows nothing of that
tail; `parkade.compound.evaluate.forecast` fits α and β to counts instead.
"""

import math

from parkade.compound.theory.domain import DomainError, positive, probability, whole
from parkade.compound.theory.special import log_beta

MOST_DRAWS = 10**12
_NEAR_ONE = 1e-5


def log_missing(alpha: float, beta: float, k: float) -> float:
    """Logarithm of the share that K draws leave unsolved."""
    positive("alpha", alpha)
    positive("beta", beta)
    if not k >= 0:
        raise DomainError(f"k must be at least 0, got {k!r}")
    return log_beta(alpha, beta + k) - log_beta(alpha, beta)


def coverage(alpha: float, beta: float, k: float) -> float:
    """The expected share solved by K draws."""
    return -math.expm1(log_missing(alpha, beta, k))


def tail(alpha: float, beta: float, k: float) -> float:
    """The power law that 1 − coverage tends to: Γ(α + β) ÷ Γ(β) · K^−α."""
    positive("k", k)
    scale = math.lgamma(positive("alpha", alpha) + positive("beta", beta)) - math.lgamma(beta)
    return math.exp(scale - alpha * math.log(k))


def draws_for(alpha: float, beta: float, target: float) -> int | None:
    """The least K whose coverage is at least `target`; None where it exceeds 10^12."""
    if probability("target", target) == 0:
        return 0
    if coverage(alpha, beta, MOST_DRAWS) < target:
        return None
    low, high = 0, MOST_DRAWS
    while high - low > 1:
        middle = (low + high) // 2
        if coverage(alpha, beta, middle) < target:
            low = middle
        else:
            high = middle
    return high


def expected_draws(alpha: float, beta: float, k: int) -> float:
    """Draws per question with early stop at the first success, k at most: Σ_{j<k} missing(j).

    The sum telescopes: (α + β − 1 − (α + β + k − 1)·missing(k)) ÷ (α − 1).
    """
    whole("k", k, least=0)
    if abs(alpha - 1) < _NEAR_ONE:
        # The quotient is smooth there, but 0 ÷ 0: its two neighbours' mean is off by 1e-9 at most.
        sides = (alpha - 3 * _NEAR_ONE, alpha + 3 * _NEAR_ONE)
        return math.fsum(expected_draws(side, beta, k) for side in sides) / 2
    missing = math.exp(log_missing(alpha, beta, k))
    return (alpha + beta - 1 - (alpha + beta + k - 1) * missing) / (alpha - 1)
