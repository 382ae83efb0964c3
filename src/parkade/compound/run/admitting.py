"""When one more question may begin, so that a tight budget answers whole questions in their order.

Calls of many questions at once are quick, and where money runs out each of them has got some and
none an answer. So a question begins beside others only while the budget holds what each of them
may need: the worst case of the first question, until `ENOUGH` have ended; from then on the most
that one of those took, and one call's worst case more. With a budget that is large beside that,
nothing waits. A question that takes more than any before it may still be cut short.

Example, 20 calls at most for a question, a budget of 50 calls: two questions begin. Eight end after
at most 4 calls each; with 20 left, four are open at once.
"""

from parkade.compound.network.binding import Bound
from parkade.compound.network.estimate import estimate
from parkade.compound.run.budget import Account, Amounts
from parkade.compound.run.progressing import Progressing
from parkade.compound.values import Question

#: Questions that say how much one takes.
ENOUGH = 8


class Admitting:
    """What questions need, and whether one more fits beside those that have begun."""

    def __init__(self, bound: Bound, account: Account) -> None:
        self._bound = bound
        self._account = account
        self._worst: Amounts | None = None
        self._call = Amounts()
        self._most = Amounts()
        self._ended = 0
        #: Shards of a larger run share their budget, and know only their own part of it.
        self._is_limited = account.fails_alone and not account.budget.is_unlimited

    def began(self, question: Question) -> None:
        """A question began."""
        if not self._is_limited or self._worst is not None:
            return
        most = estimate(self._bound, question).most
        if most.calls <= 1:
            # A call that does not fit is not begun.
            self._is_limited = False
        tokens = most.input_tokens + (most.output_tokens or 0)
        self._worst = Amounts(most.micros or 0, tokens, most.calls)
        calls = max(1, most.calls)
        self._call = Amounts(self._worst.micros // calls, tokens // calls, 1)

    def ended(self, run: Progressing) -> None:
        """A question ended."""
        if self._is_limited and run.calls:
            self._ended += 1
            most, tokens = self._most, run.input + run.output
            self._most = Amounts(
                max(most.micros, run.cost_micros),
                max(most.tokens, tokens),
                max(most.calls, run.calls),
            )

    def may_begin(self, open_questions: int) -> bool:
        """Whether the budget holds one more beside so many."""
        if not self._is_limited or self._worst is None or not open_questions:
            return True
        each = self._worst if self._ended < ENOUGH else self._most + self._call
        count = open_questions + 1
        account = self._account
        return account.budget.holds(
            account.spent
            + account.doubtful
            + Amounts(each.micros * count, each.tokens * count, each.calls * count)
        )
