"""How fast calls start after a server has asked to be left alone (`Retry-After`).

Theory of operation
-------------------
A server that counts calls per second refuses what comes too fast, and asks for a pause that is
usually longer than it needs itself. Calls that all start when the pause is over meet the next
refusal at once, and most of the time is spent in pauses. So the rate is learnt, as TCP learns the
size of its window: no pace before the first such refusal; at each, the pace becomes the mean of the
rate that was refused and of what was answered since the refusal before, pauses included, which the
server can surely do. Between refusals the pace grows: by `GROWTH` in all over a calm time of
`CALM` pauses (`LEAST_CALM_US` at least), so that little is lost in pauses, and from then on it
doubles each calm time, since the limit may be gone.

Calls are spread evenly: at most those of `DEPTH_US` start at once.

Example: 50 calls a second, 20 at once, `Retry-After: 1`. The first 18 calls are answered in 0.3 s:
the pace is 57 a second, 0.95 of that. It is refused 3.4 s later at 59, with 40 a second answered in
that time: (59 + 40) / 2 = 49. From then on a refusal comes every 8 s or so, at 55, and 46 a second
are answered; calls that start at once after each pause would be 27 a second.

Times are given by the caller, in microseconds. Rates are calls per microsecond.
"""

#: After a refusal at most this share of the rate that was refused.
CUT = 0.95
GROWTH = 0.1
CALM, LEAST_CALM_US = 10, 10_000_000
DEPTH_US = 10_000
#: The slowest: one call a minute.
LEAST = 1 / 60_000_000
#: The exponent from which a pace holds nothing back.
FREE = 40.0


class Pace:
    """The pace of one model's calls."""

    __slots__ = ("_answered", "_base", "_calm_us", "_cut_at_us", "_next_us", "_since_us")

    def __init__(self) -> None:
        #: The pace at the last refusal; 0 before the first.
        self._base = 0.0
        self._cut_at_us = -1
        self._calm_us = LEAST_CALM_US
        self._next_us = 0.0
        #: Calls answered since then.
        self._answered = 0
        self._since_us = 0

    def began_anew(self, now_us: int) -> None:
        """A call starts while none is with the model: before a refusal, rates count from here."""
        if not self._base:
            self._answered, self._since_us = 0, now_us

    def answered(self) -> None:
        """A call was answered well."""
        self._answered += 1

    def asked_to_wait(self, began_at_us: int, now_us: int, wait_us: int) -> None:
        """A call was refused with a time to wait. One refusal may be told by many answers: what
        began before the last cut slows nothing more."""
        # What was not begun in the pause is not made up for after it.
        self._next_us = max(self._next_us, now_us + wait_us)
        if began_at_us <= self._cut_at_us:
            return
        done = self._answered / max(1, now_us - self._since_us)
        refused = self.rate(now_us) or done
        if not refused:
            # It has answered nothing yet: there is no rate to go by.
            return
        self._base = max(LEAST, min(CUT * refused, (refused + done) / 2))
        self._cut_at_us = self._since_us = now_us
        self._calm_us = max(LEAST_CALM_US, CALM * wait_us)
        self._answered = 0

    def rate(self, now_us: int) -> float:
        """The pace now; 0 is none."""
        calm = (now_us - self._cut_at_us) / self._calm_us
        if calm <= 1.0:
            return self._base * (1.0 + GROWTH * calm)
        doubled: float = 2.0 ** min(FREE, calm - 1.0)
        return self._base * (1.0 + GROWTH) * doubled

    def wait_us(self, now_us: int) -> int:
        """How long until the next call may start; 0 if now."""
        return max(0, int(self._next_us - now_us) + 1) if self._next_us > now_us else 0

    def take(self, now_us: int) -> None:
        """A call starts, after `wait_us` said 0."""
        rate = self.rate(now_us) if self._base else 0.0
        if rate:
            self._next_us = max(self._next_us, now_us - DEPTH_US) + 1 / rate
