"""When a failed call is tried again, and when its model has failed for too long.

In a silence of its model (`outages`) it waits, and so does what comes after it. Otherwise it has
`MAX_ATTEMPTS` tries, and the run a budget of retries; one that is at fault itself (`at_fault`) is
not tried beyond the patience.
"""

from parkade.compound.models.protocol import RETRIED, Failure
from parkade.compound.run.at_fault import AtFault
from parkade.compound.run.lane import Flight, Lane
from parkade.compound.run.limiter import RetryBudget, backoff_us
from parkade.compound.run.outages import LEAST_PAUSE_US, Outages

MAX_ATTEMPTS = 8


class Retrying:
    """The tries of all calls of a run."""

    def __init__(self, outages: Outages, at_fault: AtFault) -> None:
        self.outages = outages
        self._at_fault = at_fault
        self._budget = RetryBudget()

    def answered(self, model: str) -> None:
        """A call has its completion."""
        self.outages.answered(model)
        self._budget.succeeded()

    def failed(self, lane: Lane, flight: Flight, failure: Failure, now_us: int) -> str | None:
        """A call failed; why the run must end, if it must."""
        if self._at_fault.is_so(lane, flight, failure):
            self.outages.is_well(flight.call.model, failure, now_us)
            return None
        return self.outages.failed(flight.call.model, failure, now_us)

    def again_us(
        self, lane: Lane, flight: Flight, failure: Failure, now_us: int, *, is_over: bool
    ) -> int | None:
        """When the call is tried again; None if it is not. `is_over`: the silence is too long."""
        model = flight.call.model
        if flight.at_fault_us is not None:
            if self._at_fault.is_over(flight, now_us):
                return None
        elif not is_over and self.outages.waits(model, failure):
            pause_us = self.outages.pause_us(model, now_us)
            if pause_us > LEAST_PAUSE_US:
                lane.closed_until_us = max(lane.closed_until_us, now_us + pause_us)
            return now_us + pause_us
        may_retry = failure.kind in RETRIED and flight.attempt < MAX_ATTEMPTS
        if may_retry and self._budget.take():
            return now_us + backoff_us(flight.attempt - 1, flight.call.key)
        return None

    def lost(self, flight: Flight, failure: Failure) -> None:
        """A call failed and is not tried again."""
        if flight.at_fault_us is None:
            self.outages.ended(flight.call.model, failure)

    def ended(self, flight: Flight) -> None:
        """A call has come to its end, answered or not."""
        self._at_fault.ended(flight)
