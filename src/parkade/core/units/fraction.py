"""A share as two whole numbers, such as a fee of 2/7: exact where a float would not be."""

import re

import msgspec

from parkade.core.units.bounds import FRACTION_TERM

# As it is written: numerator, and a denominator unless it is 1.
PATTERN = r"([0-9]{1,9})(?:/([1-9][0-9]{0,8}))?"


class Fraction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """numerator / denominator, denominator positive."""

    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        if self.denominator <= 0:
            raise ValueError("the denominator of a fraction must be positive")

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"

    @property
    def is_bounded(self) -> bool:
        """Whether it could have been written: not negative, at most nine digits each."""
        return FRACTION_TERM.holds(self.numerator) and FRACTION_TERM.holds(self.denominator)

    @property
    def is_share(self) -> bool:
        """Whether it is a bounded part of a whole, the whole included."""
        return self.is_bounded and self.numerator <= self.denominator

    @property
    def is_fee(self) -> bool:
        """Whether it is a share that leaves something: a floor is divided by 1 - fee."""
        return self.is_bounded and self.numerator < self.denominator


def parse_fraction(text: str) -> Fraction:
    """`2/7`, `0` or `1`; ValueError otherwise."""
    match = re.fullmatch(PATTERN, text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a fraction; write it like 2/7")
    return Fraction(numerator=int(match[1]), denominator=int(match[2] or 1))
