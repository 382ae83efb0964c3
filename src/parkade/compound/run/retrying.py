"""When a failed call is tried again.

In a silence of its model (`outages`) it waits, and so does what comes after it. Otherwise it has
`MAX_ATTEMPTS` tries, and the run a budget of retries.
"""

from parkade.compound.models.protocol import RETRIED, Failure
from parkade.compound.run.lane import Flight, Lane
from parkade.compound.run.limiter import RetryBudget, backoff_us
from parkade.compound.run.outages import LEAST_PAUSE_US, Outages

MAX_ATTEMPTS = 8


class Retrying:
    """The tries of all calls of a run."""

    def __init__(self, outages: Outages) -> None:
        self._outages = outages
        self._budget = RetryBudget()

    def answered(self, model: str) -> None:
        """A call has its completion."""
        self._outages.answered(model)
        self._budget.succeeded()

    def again_us(
        self, lane: Lane, flight: Flight, failure: Failure, now_us: int, *, is_over: bool
    ) -> int | None:
        """When the call is tried again; None if it is not. `is_over`: the silence is too long."""
        model = flight.call.model
        if not is_over and self._outages.waits(model, failure):
            pause_us = self._outages.pause_us(model, now_us)
            if pause_us > LEAST_PAUSE_US:
                lane.closed_until_us = max(lane.closed_until_us, now_us + pause_us)
            return now_us + pause_us
        may_retry = failure.kind in RETRIED and flight.attempt < MAX_ATTEMPTS
        if may_retry and self._budget.take():
            return now_us + backoff_us(flight.attempt - 1, flight.call.key)
        return None
