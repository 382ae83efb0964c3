"""Before a call starts: its worst case, and the journal's promise (`budget` has the theory)."""

from collections.abc import Callable, Iterable

from parkade.compound.models.protocol import Failure, FailureKind, Model
from parkade.compound.network.binding import Bound
from parkade.compound.network.drawing import label
from parkade.compound.network.errors import NetworkError
from parkade.compound.run.added_text import AddedText
from parkade.compound.run.budget import NOTHING, Account, Amounts, Budget
from parkade.compound.run.journal import Journal
from parkade.compound.run.lane import Flight, cost_of, worst_case
from parkade.compound.values import Call, Usage


def check_bounds(bound: Bound, budget: Budget) -> None:
    """Refuse a budget that no call of some node could be held to; NetworkError says what to write.

    Only what the network itself says is looked at (`bounding`): a question whose own messages
    have an image without a bound is known, and refused, when its call is to start.
    """
    if budget.micros is None and budget.tokens is None:
        return
    for node in bound.nodes:
        for writer in node.writers:
            name = writer.model_name
            if budget.micros is not None and bound.models[name].price is None:
                raise NetworkError(
                    f"a budget in money needs models.{name}.price: write "
                    'price: {input: "0.15", output: "0.60"} (per million tokens), '
                    "or price: {input: 0, output: 0} for a server of your own"
                )
            if why := writer.unbounded():
                raise NetworkError(f"{label(node.operator)}: a budget in money or tokens {why}")


#: Questions too large for what is left, one after the other, until no more begin.
MAX_REFUSED_IN_A_ROW = 20


class Reserving:
    """What an account and a journal ask of a call that is to start."""

    def __init__(self, account: Account, journal: Journal, added: AddedText | None = None) -> None:
        self._account = account
        self._journal = journal
        self._added = added or AddedText()
        #: The least of each amount that a call has asked for.
        self._least: Amounts | None = None
        self._has_started = False
        self._refused: object = None
        self._refused_in_a_row = 0
        #: Whether to begin no more questions.
        self.is_spent = False

    def worst(self, call: Call, model: Model) -> Amounts | Failure:
        """The most that a call may use; a Failure if the budget needs a bound and has none."""
        worst = worst_case(call, model, added=self._added.most(call.model))
        budget = self._account.budget
        if worst is None and (budget.micros is not None or budget.tokens is not None):
            return Failure(
                kind=FailureKind.REFUSED,
                message=f"a budget in money or tokens needs models.{call.model}.attachment_tokens: "
                "the question's messages have parts that are no text (images, audio, files), and "
                "this is the most tokens that one of them may be billed as",
                is_unbounded=True,
            )
        if budget.micros is not None and model.price is None:
            return Failure(
                kind=FailureKind.REFUSED,
                message=f"a budget in money needs a price for model {call.model!r}",
            )
        if worst is not None:
            return worst
        # Nothing limits the output, and no budget needs a bound: limits per minute count the rest.
        return Amounts(0, (call.most_input_tokens or 0) + (call.most_output_tokens or 0), 1)

    def heard(
        self, call: Call, usage: Usage, flying: Callable[[], Iterable[Flight]], model: Model
    ) -> None:
        """A server told a call's usage: what it adds to prompts is reserved from now on, also for
        its calls in flight."""
        if not self._added.heard(call, usage):
            return
        # The least that was asked for so far would not be asked for again.
        self._least = None
        for flight in flying():
            was, flight.worst = flight.worst, self.renewed(flight, model)
            self._account.renew(was, flight.worst)

    def renewed(self, flight: Flight, model: Model) -> Amounts:
        """The worst case of a call that has waited, with what its server was heard to add."""
        if not self._added.most(flight.call.model):
            return flight.worst
        worst = self.worst(flight.call, model)
        return flight.worst if isinstance(worst, Failure) else worst

    def must_hear_first(self, flight: Flight, model: Model, in_flight: int) -> bool:
        """Whether a call waits for the first report of what its server adds to prompts, with so
        many calls of its model in flight."""
        account, budget = self._account, self._account.budget
        if account.reserved == NOTHING or (budget.micros is None and budget.tokens is None):
            return False
        room = self._added.room(flight.call.model, model, in_flight)
        if not room:
            return False
        more = cost_of(Usage(input_tokens=room, output_tokens=0), model)
        return not account.has_room(flight.worst + Amounts(more.micros, more.tokens, 0))

    def may_start(self, worst: Amounts) -> bool:
        """Reserve for a call that is to start; False if it does not fit now."""
        least = self._least
        if least is None:
            self._least = worst
        elif not least.is_within(worst):
            self._least = Amounts(
                min(least.micros, worst.micros), min(least.tokens, worst.tokens), 1
            )
        if not self._account.reserve(worst):
            return False
        self._has_started = True
        self._refused_in_a_row = 0
        return True

    def refuse(self, worst: Amounts, question: object) -> Failure:
        """A call that fits no more. A question that is too large where others fit fails alone;
        the budget is spent when not even the smallest call seen fits, or after several in a row.
        """
        account = self._account
        assert self._least is not None, "a call is refused after it was asked for"
        if question is not self._refused:
            self._refused = question
            self._refused_in_a_row += 1
        others_fit = account.can_ever(self._least) and account.fails_alone
        is_last = self._has_started or not account.fails_alone
        self.is_spent |= self._refused_in_a_row >= MAX_REFUSED_IN_A_ROW
        self.is_spent |= is_last and not others_fit
        if account.fails_alone and (others_fit or not account.budget.holds(worst)):
            return Failure(
                kind=FailureKind.TOO_LARGE,
                message=f"the budget has no room for this call: {account.lacking(worst)}",
            )
        return Failure(kind=FailureKind.BUDGET, message="the budget is spent")

    def promise(self) -> None:
        """Before a kill or a crash could lose more than the journal says, write, or promise more.

        Call it after calls were reserved and before they are sent: once for all of them.
        """
        journal, reserved = self._journal, self._account.reserved
        # A kill loses what this process has not written, a crash what the disk may not hold.
        is_promised = _is_within(reserved, journal.undurable, journal.promised)
        if is_promised and _is_within(reserved, journal.unwritten, journal.noted):
            return
        journal.tell = self._in_flight
        exposed = reserved + journal.undurable
        # Just above what is exposed, it would make every few calls a write of their own.
        is_ample = self._rounded_up(exposed, part=4).is_within(journal.promised)
        if is_promised and is_ample:
            journal.write_in_flight()
        else:
            # Without a budget no call waits for the disk: after a crash of the machine the bill may
            # lack what was in flight.
            is_held = not self._account.budget.is_unlimited
            journal.promise(self._rounded_up(exposed, part=2), is_durable=is_held)

    def _in_flight(self) -> Amounts:
        """A quarter more than is reserved, so that not each call is a write of its own."""
        most = self._rounded_up(self._account.reserved, part=4)
        promised = self._journal.promised
        return Amounts(
            min(most.micros, promised.micros),
            min(most.tokens, promised.tokens),
            min(most.calls, promised.calls),
        )

    def _rounded_up(self, amounts: Amounts, *, part: int) -> Amounts:
        """So much more, and at least one call; not past the budget, and never below what is
        reserved: a promise is made once all before it is durable, and the spent counts that."""
        account = self._account
        budget, used, reserved = account.budget, account.spent + account.doubtful, account.reserved
        most = amounts + Amounts(
            amounts.micros // part, amounts.tokens // part, max(1, amounts.calls // part)
        )
        return Amounts(
            _up_to(most.micros, reserved.micros, budget.micros, used.micros),
            _up_to(most.tokens, reserved.tokens, budget.tokens, used.tokens),
            _up_to(most.calls, reserved.calls, budget.calls, used.calls),
        )


def _up_to(wanted: int, least: int, limit: int | None, used: int) -> int:
    return wanted if limit is None else max(least, min(wanted, limit - used))


def _is_within(reserved: Amounts, unsafe: Amounts, most: Amounts) -> bool:
    """Whether both together are; asked before each call, so nothing is made for it."""
    return (
        reserved.micros + unsafe.micros <= most.micros
        and reserved.tokens + unsafe.tokens <= most.tokens
        and reserved.calls + unsafe.calls <= most.calls
    )
