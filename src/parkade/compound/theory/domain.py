"""What the formulas accept: arguments are checked by name, so that an error says what to mend."""

import math


class DomainError(ValueError):
    """An argument lies outside of what the formula is defined for; the message names it."""


def probability(name: str, value: float) -> float:
    """A number in 0..1."""
    if not 0 <= value <= 1:
        raise DomainError(f"{name} must lie in 0..1, got {value!r}")
    return float(value)


def open_probability(name: str, value: float) -> float:
    """A number strictly between 0 and 1."""
    if not 0 < value < 1:
        raise DomainError(f"{name} must lie strictly between 0 and 1, got {value!r}")
    return float(value)


def positive(name: str, value: float) -> float:
    """A finite number above 0."""
    if not (value > 0 and math.isfinite(value)):
        raise DomainError(f"{name} must be a finite number above 0, got {value!r}")
    return float(value)


def not_negative(name: str, value: float) -> float:
    """A finite number of at least 0."""
    if not (value >= 0 and math.isfinite(value)):
        raise DomainError(f"{name} must be a finite number of at least 0, got {value!r}")
    return float(value)


def whole(name: str, value: object, *, least: int) -> int:
    """A whole number of at least `least`; 3.0 is refused, as a count is never a measurement."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise DomainError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return value


def weights(name: str, values: tuple[float, ...]) -> tuple[float, ...]:
    """Shares that sum to 1."""
    for value in values:
        probability(name, value)
    if not values or abs(math.fsum(values) - 1) > 1e-9:
        raise DomainError(f"{name} must sum to 1, got {math.fsum(values)!r}")
    return tuple(float(value) for value in values)
