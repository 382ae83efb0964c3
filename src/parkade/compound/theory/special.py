"""Special functions that the standard library lacks: the Beta function, its integral, its inverse.

All work on logarithms where numbers would leave the range of a float, so arguments of 10,000 and
more are fine. The incomplete Beta function is evaluated by its continued fraction (DLMF 8.17.22,
by Lentz's method); the fraction converges in about the square root of the larger parameter.
"""

import math

from parkade.compound.theory.domain import positive, probability, whole

_MOST_TERMS = 20_000
_TINY = 1e-300
_PRECISION = 1e-15


def log_beta(a: float, b: float) -> float:
    """Logarithm of B(a, b) for positive a and b.

    Where one is large, `lgamma` of nearly equal numbers would cancel; Stirling's series for the
    difference keeps about 14 digits (Abramowitz & Stegun 6.1.41).
    """
    positive("a", a)
    positive("b", b)
    small, large = min(a, b), max(a, b)
    if large < 50:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.lgamma(small) - _log_gamma_ratio(large, small)


def _log_gamma_ratio(z: float, step: float) -> float:
    """ln Γ(z + step) − ln Γ(z) for z of at least 50, without cancellation."""
    top = z + step
    return (
        (z - 0.5) * math.log1p(step / z) + step * math.log(top) - step + _stirling(top)
    ) - _stirling(z)


def _stirling(z: float) -> float:
    inverse = 1 / z
    square = inverse * inverse
    return inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))


def log_choose(n: int, k: int) -> float:
    """Logarithm of the binomial coefficient; −inf where k > n."""
    whole("n", n, least=0)
    whole("k", k, least=0)
    if k > n:
        return -math.inf
    if k in (0, n):
        return 0.0
    return -math.log(n + 1) - log_beta(n - k + 1, k + 1)


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete Beta function I_x(a, b): P(X ≤ x) for X ~ Beta(a, b)."""
    probability("x", x)
    if x in (0, 1):
        return float(x)
    log_front = a * math.log(x) + b * math.log1p(-x) - log_beta(a, b)
    if x < (a + 1) / (a + b + 2):
        return math.exp(log_front) * _fraction(x, a, b) / a
    return 1 - math.exp(log_front) * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MOST_TERMS):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_zero(1 + step * d)
            c = _away_from_zero(1 + step / c)
            value *= c * d
        if abs(c * d - 1) < _PRECISION:
            return value
    raise ArithmeticError(f"I_x({a}, {b}) did not converge at x = {x}")  # pragma: no cover


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def beta_quantile(share: float, a: float, b: float) -> float:
    """The x with P(X ≤ x) = share for X ~ Beta(a, b), by bisection to 1e-14 of x.

    For a far below 1 the answer may be smaller than 1e-300; 0.0 is returned then.
    """
    probability("share", share)
    low, high = 0.0, 1.0
    while True:
        # Geometric steps while the answer may be tiny, halves elsewhere.
        middle = math.sqrt(max(low, 1e-300) * high) if low < 0.25 * high else (low + high) / 2
        if not low < middle < high:
            return middle if low > 0 else 0.0
        if beta_cdf(middle, a, b) < share:
            low = middle
        else:
            high = middle
        if high - low <= 1e-14 * high or high < 1e-299:
            return high if high >= 1e-299 else 0.0


def binomial_tail(n: int, least: int, p: float) -> float:
    """P(at least `least` of n independent trials of probability p succeed)."""
    whole("n", n, least=0)
    probability("p", p)
    if least <= 0:
        return 1.0
    if least > n:
        return 0.0
    return beta_cdf(p, least, n - least + 1)
