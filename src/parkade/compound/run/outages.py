"""When a model that gives no answers ends the run, how calls wait for it, and what is said.

A *silence* of a model begins with the first call that fails for its server (it is not reached,
gives no answer in time, or answers with a status such as 500) and ends with the next answer. A
silence of `patience_s` ends the run, however many calls failed in it: an outage of a second may
fail hundreds.
It is looked at when a call fails, so a hung server ends the run at its second time-out. Two things
are no silence: "too many requests" is told of and waited for, and a server that has answered before
and fails a few requests with a status fails their questions only (`FEW_FAILED`).

A server of networks (`serve`) goes on after a silence that is too long: calls that wait fail, and
so does each later one at its first try, until one is answered.

In a silence calls wait and do not use up their tries, except those first few. The waits grow with
the silence, from `LEAST_PAUSE_US` to `MOST_PAUSE_US`.

A server may ask to be left alone (`Retry-After`). That is kept, told, and no silence; a wait longer
than `ASKED_PER_PATIENCE` times the patience ends the run at once, since nothing would happen in it.

Example, patience 60 s: the server dies at 0 s and is back at 40 s. 64 calls fail at once and come
back every 0.25 s at first, every 5 s from 20 s on; the first answer after 40 s ends the silence,
and no call is lost.
"""

from collections.abc import Callable
from math import ceil

from parkade.compound.models.protocol import RETRIED, Failure, FailureKind

#: Calls that fail after their tries, in one silence of a model that answered before: so many may be
#: the requests' own fault.
FEW_FAILED = 20
#: The longest silence.
PATIENCE_S = 60.0
#: Between two messages about one model.
NOTICE_US = 10_000_000
LEAST_PAUSE_US, MOST_PAUSE_US = 250_000, 5_000_000
#: The longest wait that a server may ask for, in patiences, and what is kept in any case.
ASKED_PER_PATIENCE, LEAST_ASKED_S = 10.0, 60.0
#: A wait of this length is told of.
LONG_US = 5_000_000


class _State:
    __slots__ = ("ended", "failed_us", "has_answered", "noticed_us")

    def __init__(self) -> None:
        self.has_answered = False
        #: Calls that ended without an answer in this silence.
        self.ended = 0
        #: When this silence began.
        self.failed_us: int | None = None
        self.noticed_us: int | None = None


class Outages:
    """What has been heard of each model."""

    def __init__(
        self, patience_s: float = PATIENCE_S, notice: Callable[[str], None] | None = None
    ) -> None:
        self._patience_s = patience_s
        self._notice = notice
        self._states: dict[str, _State] = {}

    def answered(self, model: str) -> None:
        """A call has its completion."""
        state = self._states.get(model)
        if state is None:
            state = self._states[model] = _State()
        state.has_answered = True
        state.ended = 0
        state.failed_us = None

    def failed(self, model: str, failure: Failure, now_us: int) -> str | None:
        """A call failed and may be tried again; why the run must end, if it must."""
        if failure.kind not in RETRIED:
            return None
        state = self._states.setdefault(model, _State())
        asked_us = failure.retry_after_us or 0
        if asked_us > self.most_asked_us:
            return self._too_long(model, failure, asked_us)
        if asked_us >= LONG_US:
            asks = f"it asks to be left alone for {asked_us / 1e6:.0f} s; waiting"
            self._tell(state, f"model {model!r}: {failure.message}; {asks}", now_us)
        if failure.kind is FailureKind.RATE_LIMITED:
            # Once it answers, being told to wait is how a server sets the pace.
            if not state.has_answered:
                self._tell(state, f"model {model!r}: {failure.message}; waiting", now_us)
            return None
        if state.failed_us is None:
            state.failed_us = now_us
        silence_s = (now_us - state.failed_us) / 1e6
        if silence_s >= self._patience_s and not self._is_the_requests_fault(state, failure):
            answered = "answers no more" if state.has_answered else "has not answered one call"
            return (
                f"model {model!r} {answered} in {silence_s:.0f} s ({failure.message}); "
                "start the server or correct its url: the same command goes on"
            )
        limit = f"gives up after {self._patience_s:g} s without an answer"
        self._tell(state, f"model {model!r}: {failure.message}; retrying, {limit}", now_us)
        return None

    def is_well(self, model: str, failure: Failure, now_us: int) -> None:
        """A call failed by its own fault and is tried again: only tell of it."""
        state = self._states.setdefault(model, _State())
        limit = f"its question fails after {self._patience_s:g} s"
        self._tell(state, f"model {model!r}: {failure.message}, for one call; {limit}", now_us)

    def waits(self, model: str, failure: Failure) -> bool:
        """Whether a failed call waits out the silence, instead of using up its tries."""
        state = self._states.get(model)
        if state is None or state.failed_us is None or failure.kind not in RETRIED:
            return False
        return failure.is_unreached or not state.has_answered or state.ended >= FEW_FAILED

    def pause_us(self, model: str, now_us: int) -> int:
        """How long calls wait in a silence; 0 if there is none."""
        state = self._states.get(model)
        if state is None or state.failed_us is None:
            return 0
        return min(MOST_PAUSE_US, max(LEAST_PAUSE_US, (now_us - state.failed_us) // 4))

    def ended(self, model: str, failure: Failure) -> None:
        """A call failed and is not tried again."""
        if failure.kind in RETRIED and failure.kind is not FailureKind.RATE_LIMITED:
            self._states.setdefault(model, _State()).ended += 1

    @property
    def most_asked_us(self) -> int:
        """The longest wait that a server may ask for."""
        return int(max(LEAST_ASKED_S, ASKED_PER_PATIENCE * self._patience_s) * 1e6)

    def broken(self, verifier: str, why: str, now_us: int) -> None:
        """A verifier gives no verdict, and the engine goes on: tell of it, as of a model."""
        self._tell(self._states.setdefault(f"verifier {verifier}", _State()), why, now_us)

    def _too_long(self, model: str, failure: Failure, asked_us: int) -> str:
        patience_s = ceil(asked_us / 1e6 / ASKED_PER_PATIENCE)
        return (
            f"model {model!r} asks to be left alone for {asked_us / 1e6:,.0f} s "
            f"({failure.message}), and a run waits {self.most_asked_us / 1e6:,.0f} s at most: the "
            f"same command goes on later, or waits with --patience {patience_s}"
        )

    def _is_the_requests_fault(self, state: _State, failure: Failure) -> bool:
        is_status = not failure.is_unreached and failure.kind is FailureKind.UNAVAILABLE
        return state.has_answered and is_status and state.ended < FEW_FAILED

    def _tell(self, state: _State, text: str, now_us: int) -> None:
        if self._notice is None:
            return
        if state.noticed_us is None or now_us - state.noticed_us >= NOTICE_US:
            state.noticed_us = now_us
            self._notice(text)
