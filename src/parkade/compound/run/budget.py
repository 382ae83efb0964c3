"""The budget of a run: money, tokens and calls, reserved at the worst case before a call starts.

**Why it cannot be exceeded.** `spent + doubtful + reserved` never passes a limit: a call starts
only if its worst case still fits, and ends by replacing its worst case with what it did cost. A
call that may have been worked for and gave no usage (a time-out, a cancelled sibling, a gateway
that lost the answer) stays counted at its worst case as *doubtful*: the server may bill it. So is
usage that stands beside an error. What a server bills beyond the worst case (it answered
longer than asked, or reports wrong usage) is that server's *overrun*; it is counted, reported, and
the only way past a limit.

After a kill the calls in flight are unknown, and so are finished ones whose lines were still in the
process; after a crash of the machine, also those whose lines were written and not yet durable. The
journal therefore holds a *promise*: the most that a crash may lose of what was sent, in flight or
without a durable line. Before it could lose more, the lines are made durable with a larger promise,
half as much again as what is exposed then, since it waits for the disk: on a slow disk promises
grow until they are few. Each batch of lines also tells what is in flight as it is written, and a
quarter more. A killed process loses nothing that it wrote: a run resumed on the same machine counts
what was told last as doubtful. After a crash of the machine, or on another one, it counts the last
promise. A run without a budget promises too, so that its bill is right after a kill, but does not
wait for the disk: after a crash of the machine its bill may lack what was in flight.

Example, limit 100: three calls of worst case 30 start (reserved 90), a fourth waits. One ends at a
cost of 8: spent 8, reserved 60, and the fourth starts, since 8 + 60 + 30 is not above 100.
"""

import enum

import msgspec

from parkade.core.units.money import format_amount
from parkade.core.units.phrases import counted


class Amounts(msgspec.Struct, frozen=True):
    """Money in micro-units, tokens of input and output together, and calls."""

    micros: int = 0
    tokens: int = 0
    calls: int = 0

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(
            self.micros + other.micros, self.tokens + other.tokens, self.calls + other.calls
        )

    def is_within(self, most: "Amounts") -> bool:
        """Whether no amount is above the other's."""
        return (
            self.micros <= most.micros and self.tokens <= most.tokens and self.calls <= most.calls
        )

    def __sub__(self, other: "Amounts") -> "Amounts":
        return Amounts(
            self.micros - other.micros, self.tokens - other.tokens, self.calls - other.calls
        )


NOTHING = Amounts()


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """The most that a run may use, over all its restarts; None is no limit."""

    micros: int | None = None
    tokens: int | None = None
    calls: int | None = None

    def holds(self, amounts: Amounts) -> bool:
        """Whether so much is within every limit."""
        return (
            (self.micros is None or amounts.micros <= self.micros)
            and (self.tokens is None or amounts.tokens <= self.tokens)
            and (self.calls is None or amounts.calls <= self.calls)
        )

    @property
    def is_unlimited(self) -> bool:
        """Whether nothing needs to be held to."""
        return self.micros is None and self.tokens is None and self.calls is None


class Admission(enum.Enum):
    """Whether one more question may begin."""

    NOW = "now"
    #: Once questions that have begun are done.
    LATER = "later"
    #: Not in this run: the rest is left.
    NEVER = "never"


class Account:
    """What a run has used of its budget."""

    __slots__ = ("budget", "doubtful", "overrun", "reserved", "spent")
    #: Whether what is left is all that there will be, so that a call too large for it fails alone.
    fails_alone = True

    def __init__(self, budget: Budget, spent: Amounts, doubtful: Amounts) -> None:
        self.budget = budget
        self.spent = spent
        self.doubtful = doubtful
        self.reserved = NOTHING
        self.overrun = NOTHING

    def reserve(self, worst: Amounts) -> bool:
        """Set the worst case of a call aside; False, and nothing done, if it does not fit."""
        # Asked before each call: only what is limited is summed up.
        budget, spent, doubtful, reserved = self.budget, self.spent, self.doubtful, self.reserved
        micros = reserved.micros + worst.micros
        tokens = reserved.tokens + worst.tokens
        calls = reserved.calls + worst.calls
        if (
            (budget.micros is not None and spent.micros + doubtful.micros + micros > budget.micros)
            or (
                budget.tokens is not None
                and spent.tokens + doubtful.tokens + tokens > budget.tokens
            )
            or (budget.calls is not None and spent.calls + doubtful.calls + calls > budget.calls)
        ):
            return False
        self.reserved = Amounts(micros, tokens, calls)
        return True

    def has_room(self, amounts: Amounts) -> bool:
        """Whether so much more would fit now; nothing is set aside."""
        return self.budget.holds(self.spent + self.doubtful + self.reserved + amounts)

    def admits(self, amounts: Amounts, *, is_first: bool) -> Admission:
        """Whether a question begins where it and those that have begun may need so much in all;
        `is_first`: none has."""
        if is_first or self.budget.holds(self.spent + self.doubtful + amounts):
            return Admission.NOW
        return Admission.LATER

    def renew(self, was: Amounts, now: Amounts) -> None:
        """A call in flight may cost more than was thought; it counts, whether it fits or not."""
        self.reserved = self.reserved - was + now

    def can_ever(self, worst: Amounts) -> bool:
        """Whether the call would fit if all that is in flight cost nothing."""
        return self.budget.holds(self.spent + self.doubtful + worst)

    def lacking(self, worst: Amounts) -> str:
        """What a call may need and what is left, for people."""
        used = self.spent + self.doubtful
        amounts = (
            (
                lambda micros, _: format_amount(micros),
                "",
                worst.micros,
                self.budget.micros,
                used.micros,
            ),
            (_counting, "token", worst.tokens, self.budget.tokens, used.tokens),
            (_counting, "call", worst.calls, self.budget.calls, used.calls),
        )
        return ", ".join(
            f"it may need {shown(need, unit)}, {shown(max(0, limit - gone), '')} are left"
            for shown, unit, need, limit, gone in amounts
            if limit is not None and need > limit - gone
        )

    def settle(self, worst: Amounts, cost: Amounts) -> None:
        """A call ended with known cost."""
        self.release(worst)
        self.spent = self.spent + cost
        self._note_overrun(worst, cost)

    def doubt(self, worst: Amounts, cost: Amounts) -> None:
        """A call ended without a completion: it stays counted at what it may be billed as, which
        is the worst case where the server does not say."""
        self.release(worst)
        self.doubtful = self.doubtful + cost
        self._note_overrun(worst, cost)

    def _note_overrun(self, worst: Amounts, cost: Amounts) -> None:
        micros = 0 if self.budget.micros is None else max(0, cost.micros - worst.micros)
        tokens = 0 if self.budget.tokens is None else max(0, cost.tokens - worst.tokens)
        if micros or tokens:
            self.overrun = self.overrun + Amounts(micros, tokens, 0)

    def release(self, worst: Amounts) -> None:
        """A call ended without cost."""
        self.reserved = self.reserved - worst
        assert self.reserved.micros >= 0
        assert self.reserved.calls >= 0


def _counting(count: int, unit: str) -> str:
    return counted(count, unit) if unit else f"{count:,}"
