"""Estimates from n recorded samples of which c are right: what K of them would have given.

All are exact averages over every choice of K of the n samples, so they are unbiased for K ≤ n and
say nothing for larger K (`coverage.py` and the forecasts do).

Example: of n = 4 samples c = 1 is right. K = 2 of them hold it in 3 of 6 choices: `pass_at(4, 1,
2)` is 0.5. With a verifier and early stop, the expected number of draws is 1.75 = 1 + 3/4.
"""

import math
from collections.abc import Sequence

from parkade.compound.theory.domain import DomainError, whole
from parkade.compound.theory.special import log_choose

_EXACT_TERMS = 200


def _checked(n: int, c: int, k: int) -> None:
    whole("n", n, least=1)
    whole("c", c, least=0)
    whole("k", k, least=0)
    if c > n or k > n:
        raise DomainError(f"c = {c} and k = {k} may not exceed n = {n}")


def log_miss(n: int, c: int, k: int) -> float:
    """Logarithm of C(n − c, k) ÷ C(n, k): none of k drawn samples is right; −inf if impossible.

    The shorter of the two equal products of `min(c, k)` factors is summed where it is short, else
    `log_choose` is used; both keep 1e-11 and better at n = 10,000.
    """
    _checked(n, c, k)
    if k > n - c:
        return -math.inf
    few, many = min(c, k), max(c, k)
    if few <= _EXACT_TERMS:
        return math.fsum(math.log1p(-many / (n - i)) for i in range(few))
    return log_choose(n - c, k) - log_choose(n, k)


def pass_at(n: int, c: int, k: int) -> float:
    """Unbiased pass@k: 1 − C(n − c, k) ÷ C(n, k) (Chen et al. 2021, arXiv 2107.03374)."""
    miss = log_miss(n, c, k)
    return 1.0 if miss == -math.inf else -math.expm1(miss)


def all_succeed(n: int, c: int, k: int) -> float:
    """The chance that all k drawn samples are right: C(c, k) ÷ C(n, k)."""
    return math.exp(log_miss(n, n - c, k))


def draws_until_right(n: int, c: int, k: int) -> float:
    """Expected draws, one by one without putting back, until the first right one, k at most.

    Σ_{j<k} C(n − c, j) ÷ C(n, j) = (n + 1) ÷ (c + 1) · pass@k of (n + 1, c + 1), by the
    hockey-stick identity. This is what early stop with a perfect verifier costs.
    """
    _checked(n, c, k)
    return (n + 1) / (c + 1) * pass_at(n + 1, c + 1, k)


def rank_score(passed: Sequence[bool | int], k: int) -> float:
    """Rank-score@k (Hassid et al. 2024, arXiv 2404.00725): the best-ranked of k drawn is right.

    `passed` is ordered from best to worst rank. Σ_{i=1}^{n−k+1} C(n − i, k − 1) · passed_i ÷
    C(n, k); for k = n it is 1 if the first passed, for k = 1 the share that passed.
    """
    n = len(passed)
    _checked(n, 0, whole("k", k, least=1))
    bottom = log_choose(n, k)
    return math.fsum(
        math.exp(log_choose(n - i, k - 1) - bottom)
        for i, is_right in enumerate(passed[: n - k + 1], start=1)
        if is_right
    )


def verified_at(
    accepted_right: int, accepted_wrong: int, rejected_right: int, rejected_wrong: int, k: int
) -> float:
    """Unbiased accuracy of "the first accepted of k, else one of the rejected at random".

    Drawn in random order without putting back. The first accepted one is any accepted sample with
    equal chance; with none accepted, the answer is any rejected sample with equal chance.
    """
    accepted, rejected = accepted_right + accepted_wrong, rejected_right + rejected_wrong
    none_accepted = math.exp(log_miss(accepted + rejected, accepted, k))
    from_accepted = accepted_right / accepted if accepted else 0.0
    from_rejected = rejected_right / rejected if rejected else 0.0
    return (1 - none_accepted) * from_accepted + none_accepted * from_rejected
