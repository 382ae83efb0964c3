"""What a question of a network may need, from its worst case and from what questions took."""

from parkade.compound.network.binding import Bound
from parkade.compound.network.estimate import estimate
from parkade.compound.run.budget import NOTHING, Amounts
from parkade.compound.values import Question

#: Questions that say how much one takes.
ENOUGH = 8


class Needs:
    """What is known; parts of a larger run share it."""

    def __init__(self) -> None:
        #: Of the first question; None until there is one.
        self._worst: Amounts | None = None
        self._call = NOTHING
        #: The most that a question took, and how many are known.
        self.most = NOTHING
        self.ended = 0

    def expect(self, bound: Bound, question: Question) -> int:
        """The most calls of a question; the first one stands for all."""
        if self._worst is None:
            most = estimate(bound, question).most
            tokens = most.input_tokens + (most.output_tokens or 0)
            self._worst = Amounts(most.micros or 0, tokens, most.calls)
            calls = max(1, most.calls)
            self._call = Amounts(self._worst.micros // calls, tokens // calls, 1)
        return self._worst.calls

    def took(self, amounts: Amounts, count: int = 1) -> None:
        """So many questions ended, and took at most so much each."""
        if count:
            self.ended += count
            self.most = largest(self.most, amounts)

    @property
    def are_known(self) -> bool:
        """Whether enough questions have ended."""
        return self.ended >= ENOUGH

    def of(self, questions: int) -> Amounts:
        """What so many may need."""
        assert self._worst is not None, "a question is expected before it is counted"
        each = self.most + self._call if self.are_known else self._worst
        return Amounts(each.micros * questions, each.tokens * questions, each.calls * questions)


def largest(one: Amounts, other: Amounts) -> Amounts:
    """The larger of each amount."""
    return Amounts(
        max(one.micros, other.micros),
        max(one.tokens, other.tokens),
        max(one.calls, other.calls),
    )
