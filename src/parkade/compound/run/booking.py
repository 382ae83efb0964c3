"""After a call ended: what it leaves on the bill and in the journal (`budget` has the theory).

A call without a completion stays on the bill where the model may have worked for it (`answers` says
for which statuses): at the usage that the server reports beside its error, else at its worst case.
A refusal (401, 404, 429, 503) and a call that was never sent cost nothing.
"""

from parkade.compound.models.protocol import Failure, FailureKind, Model
from parkade.compound.run.budget import Account, Amounts
from parkade.compound.run.journal import Journal
from parkade.compound.run.lane import Flight, cost_of
from parkade.compound.values import Completion


class Booking:
    """Writes ended calls to an account and a journal."""

    def __init__(self, account: Account, journal: Journal) -> None:
        self._account = account
        self._journal = journal

    def answered(self, flight: Flight, completion: Completion) -> None:
        """The call has its completion."""
        usage = completion.usage
        cost = Amounts(completion.cost_micros, usage.input_tokens + usage.output_tokens, 1)
        self._account.settle(flight.worst, cost)
        run = flight.owner
        run.calls += 1
        run.cost_micros += completion.cost_micros
        run.input += usage.input_tokens
        run.output += usage.output_tokens
        self._journal.call(flight.line(completion))

    def failed(self, flight: Flight, failure: Failure, model: Model) -> None:
        """The call has none."""
        if failure.usage is not None:
            self._doubt(flight, failure.message, cost_of(failure.usage, model))
        elif failure.kind is FailureKind.WAITING:
            # A batch will bill it. The next start writes it down again, so no line is kept of it.
            self._account.doubt(flight.worst, flight.worst)
        else:
            self.cancelled(flight, failure.message, was_sent=failure.may_be_billed)

    def cancelled(self, flight: Flight, why: str, *, was_sent: bool) -> None:
        """The call was ended from this side, or lost."""
        if was_sent:
            self._doubt(flight, why, flight.worst)
        else:
            self._account.release(flight.worst)

    def _doubt(self, flight: Flight, why: str, amounts: Amounts) -> None:
        self._account.doubt(flight.worst, amounts)
        self._journal.failed(flight.doubtful_line(why, amounts))
