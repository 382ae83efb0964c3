"""When a model that gives no answers ends the run, and what is said until then.

A model that has not answered one call ends the run `give_up_s` after its first failure, if
the server is not reached, gives no answer in time, or answers with a status such as 500. One that
has only ever said "too many requests" is told of, and waited for. Any model does after
`MAX_FAILED_IN_A_ROW` calls in a row that failed after their retries.
"""

from collections.abc import Callable

from parkade.compound.models.protocol import RETRIED, Failure, FailureKind

#: Calls that fail after their retries, one after the other, until a run stops.
MAX_FAILED_IN_A_ROW = 20
#: A model that has not answered one call is given up so long after its first failure.
GIVE_UP_S = 60.0
#: Between two messages about one model.
NOTICE_US = 10_000_000


class _State:
    __slots__ = ("failed_in_a_row", "first_failed_us", "has_answered", "noticed_us")

    def __init__(self) -> None:
        self.has_answered = False
        self.failed_in_a_row = 0
        self.first_failed_us: int | None = None
        self.noticed_us: int | None = None


class Outages:
    """What has been heard of each model."""

    def __init__(
        self, give_up_s: float = GIVE_UP_S, notice: Callable[[str], None] | None = None
    ) -> None:
        self._give_up_s = give_up_s
        self._notice = notice
        self._states: dict[str, _State] = {}

    def answered(self, model: str) -> None:
        """A call has its completion."""
        state = self._states.get(model)
        if state is None:
            state = self._states[model] = _State()
        state.has_answered = True
        state.failed_in_a_row = 0

    def failed(self, model: str, failure: Failure, now_us: int) -> str | None:
        """A call failed and may be tried again; why the run must end, if it must."""
        if failure.kind not in RETRIED:
            return None
        state = self._states.setdefault(model, _State())
        if failure.kind is FailureKind.RATE_LIMITED:
            # Once it answers, being told to wait is how a server sets the pace.
            if not state.has_answered:
                self._tell(state, f"model {model!r}: {failure.message}; waiting", now_us)
            return None
        if state.first_failed_us is None:
            state.first_failed_us = now_us
        if state.has_answered:
            self._tell(state, f"model {model!r}: {failure.message}; retrying", now_us)
            return None
        failing_s = (now_us - state.first_failed_us) / 1e6
        if failing_s >= self._give_up_s:
            return (
                f"model {model!r} has not answered one call in {failing_s:.0f} s "
                f"({failure.message}); start the server or correct its url: the same run goes on"
            )
        limit = f"gives up {self._give_up_s:g} s after the first failure"
        self._tell(state, f"model {model!r}: {failure.message}; retrying, {limit}", now_us)
        return None

    def ended(self, model: str, failure: Failure) -> str | None:
        """A call failed and is not tried again; why the run must end, if it must."""
        if failure.kind not in RETRIED:
            return None
        state = self._states.setdefault(model, _State())
        state.failed_in_a_row += 1
        if state.failed_in_a_row < MAX_FAILED_IN_A_ROW:
            return None
        return (
            f"model {model!r} answers no more ({failure.message}); "
            "when it does, the same run goes on"
        )

    def _tell(self, state: _State, text: str, now_us: int) -> None:
        if self._notice is None:
            return
        if state.noticed_us is None or now_us - state.noticed_us >= NOTICE_US:
            state.noticed_us = now_us
            self._notice(text)
