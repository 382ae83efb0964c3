"""When one more question may begin, so that a tight budget answers whole questions in their order.

Calls of many questions at once are quick, and where money runs out each of them has got some and
none an answer. So a question begins beside others only while the budget holds what each of them
may need: the worst case of the first question, until `ENOUGH` have ended; from then on the most
that one of those took, and one call's worst case more. With a budget that is large beside that,
nothing waits. A question that takes more than any before it may still be cut short.

Example, 20 calls at most for a question, a budget of 50 calls: two questions begin. Eight end after
at most 4 calls each; with 20 left, four are open at once.

A part of a larger run asks the same of its account, which sets the amount aside for it
(`shards.share`).
"""

from parkade.compound.network.binding import Bound
from parkade.compound.run.budget import Account, Admission, Amounts
from parkade.compound.run.needs import Needs
from parkade.compound.run.progressing import Progressing
from parkade.compound.values import Question


class Admitting:
    """What questions need, and whether one more fits beside those that have begun."""

    def __init__(self, bound: Bound, account: Account, needs: Needs | None = None) -> None:
        self._bound = bound
        self._account = account
        self._needs = needs or Needs()
        self._is_limited = not account.budget.is_unlimited

    def ended(self, run: Progressing) -> None:
        """A question ended."""
        if self._is_limited and run.calls:
            self._needs.took(Amounts(run.cost_micros, run.input + run.output, run.calls))

    def admits(self, question: Question, open_questions: int) -> Admission:
        """Whether the budget holds one more beside so many."""
        if not self._is_limited:
            return Admission.NOW
        if self._needs.expect(self._bound, question) <= 1:
            # A call that does not fit is not begun.
            self._is_limited = False
            return Admission.NOW
        count = open_questions + 1
        return self._account.admits(self._needs.of(count), is_first=not open_questions)
