"""A share as two whole numbers, such as a fee of 2/7: exact where a float would not be."""

import msgspec


class Fraction(msgspec.Struct, frozen=True, kw_only=True):
    """numerator / denominator, denominator positive."""

    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        if self.denominator <= 0:
            raise ValueError("the denominator of a fraction must be positive")

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"


def parse_fraction(text: str) -> Fraction:
    """`2/7` or `0` or `1`; ValueError otherwise."""
    top, _, bottom = text.partition("/")
    try:
        return Fraction(numerator=int(top), denominator=int(bottom or "1"))
    except ValueError:
        raise ValueError(f"{text!r} is not a fraction; write it like 2/7") from None
