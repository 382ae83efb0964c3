"""Calls, tokens and money of some calls, added and compared; the numbers of an estimate."""

from collections.abc import Callable
from operator import add

import msgspec


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Of some calls: how many, their tokens, their money; None where it has no bound."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int | None = 0
    micros: int | None = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=_of_both(add, self.output_tokens, other.output_tokens),
            micros=_of_both(add, self.micros, other.micros),
        )

    def or_more(self, other: "Cost") -> "Cost":
        """The larger of each; None where either has no bound."""
        return Cost(
            calls=max(self.calls, other.calls),
            input_tokens=max(self.input_tokens, other.input_tokens),
            output_tokens=_of_both(max, self.output_tokens, other.output_tokens),
            micros=_of_both(max, self.micros, other.micros),
        )

    def or_less(self, other: "Cost") -> "Cost":
        """The smaller of each; None where either is not known."""
        return Cost(
            calls=min(self.calls, other.calls),
            input_tokens=min(self.input_tokens, other.input_tokens),
            output_tokens=_of_both(min, self.output_tokens, other.output_tokens),
            micros=_of_both(min, self.micros, other.micros),
        )

    def times(self, count: int) -> "Cost":
        """So often."""
        return Cost(
            calls=self.calls * count,
            input_tokens=self.input_tokens * count,
            output_tokens=None if self.output_tokens is None else self.output_tokens * count,
            micros=None if self.micros is None else self.micros * count,
        )


def _of_both(function: Callable[[int, int], int], one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else function(one, other)


NONE = Cost()


class Part(msgspec.Struct, frozen=True):
    """What a part of a network costs, and how many candidates leave it."""

    cost: Cost
    candidates: int
