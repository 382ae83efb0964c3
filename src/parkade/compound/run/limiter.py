"""How many calls a model gets at once, and how fast: adaptive concurrency and rate limits.

The limit doubles each round trip until the first sign of overload (a 429, a 503, a time-out), then
it is cut and grows by one each round trip (additive increase, multiplicative decrease, as TCP
does). One overload is often told by many answers: after a cut, answers to calls that began before
it cut nothing more. Latency far above its long-run mean cuts gently. Times are given by the caller,
in microseconds, and never read here.
"""

from parkade.compound.models.protocol import RateLimits
from parkade.core.units.money import ceil_div

FIRST_LIMIT = 8
CUT = 0.6
GENTLE_CUT = 0.9
#: The short-run mean of latency over the long-run mean at which the limit is cut gently.
SLOW = 4.0
SHORT_WEIGHT, LONG_WEIGHT = 0.1, 0.002
SECOND_US, MINUTE_US = 1_000_000, 60_000_000
#: So much of its calls per minute may start at once: servers that count them allow few.
CALLS_US = 50_000


class Limiter:
    """The calls in flight of one model."""

    __slots__ = ("_grows_fast", "_long_us", "_short_us", "cut_at_us", "in_flight", "limit", "most")

    def __init__(self, limits: RateLimits) -> None:
        self.most = max(1, limits.concurrency)
        self.limit = float(min(self.most, limits.initial or FIRST_LIMIT))
        self.in_flight = 0
        #: When the limit was last cut.
        self.cut_at_us = -1
        self._grows_fast = True
        self._short_us = 0.0
        self._long_us = 0.0

    def has_room(self) -> bool:
        """Whether one more call may start."""
        return self.in_flight < int(self.limit)

    def answered(self, latency_us: int, now_us: int) -> None:
        """A call that began `latency_us` ago was answered well."""
        if self._long_us == 0.0:
            self._short_us = self._long_us = float(latency_us)
        self._short_us += SHORT_WEIGHT * (latency_us - self._short_us)
        self._long_us += LONG_WEIGHT * (latency_us - self._long_us)
        if self._short_us > SLOW * self._long_us:
            if now_us - latency_us > self.cut_at_us:
                self._cut(GENTLE_CUT, now_us)
        elif self.limit < self.most:
            self.limit = min(
                self.most, self.limit + (1.0 if self._grows_fast else 1.0 / self.limit)
            )

    def overloaded(self, began_at_us: int, now_us: int) -> None:
        """The server said that it has too much to do, or said nothing in time."""
        if began_at_us > self.cut_at_us:
            self._cut(CUT, now_us)

    def _cut(self, factor: float, now_us: int) -> None:
        self._grows_fast = False
        self.limit = max(1.0, self.limit * factor)
        self.cut_at_us = now_us


class Bucket:
    """At most so many units a minute, evenly: a token bucket that holds what so long a time brings,
    and at least one unit. It counts in units x microseconds, exactly."""

    __slots__ = ("_at_us", "_held", "_holds", "_per_minute")

    def __init__(self, per_minute: int | None, depth_us: int = SECOND_US) -> None:
        self._per_minute = per_minute
        self._holds = 0 if per_minute is None else max(MINUTE_US, per_minute * depth_us)
        self._held = self._holds
        self._at_us: int | None = None

    def wait_us(self, units: int, now_us: int) -> int:
        """How long until `units` may be taken; 0 if now. A large unit waits for a full bucket."""
        if self._per_minute is None:
            return 0
        if self._at_us is not None:
            gained = (now_us - self._at_us) * self._per_minute
            self._held = min(self._holds, self._held + gained)
        self._at_us = now_us
        lacking = min(units * MINUTE_US, self._holds) - self._held
        return max(0, ceil_div(lacking, self._per_minute))

    def take(self, units: int) -> None:
        """Take after `wait_us` said 0; what is larger than the bucket leaves it in debt."""
        if self._per_minute is not None:
            self._held -= units * MINUTE_US


class RetryBudget:
    """Retries that a run may make: a few, and a share of what succeeded.

    It keeps a dead server from being asked many times over for each call, and a few failures from
    costing a call its answer.
    """

    __slots__ = ("_left",)
    FIRST = 100.0
    SHARE = 0.5

    def __init__(self) -> None:
        self._left = self.FIRST

    def succeeded(self) -> None:
        """A call was answered: half a retry more, up to the first amount."""
        self._left = min(self.FIRST, self._left + self.SHARE)

    def take(self) -> bool:
        """Whether one more retry may be made."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


def backoff_us(attempt: int, key: str) -> int:
    """Between half and all of 0.5 s, 1 s, 2 s, … 60 s; which, the key decides, so that calls do
    not come back together."""
    most = min(60_000_000, 500_000 << min(attempt, 10))
    return most // 2 + int(key[:8], 16) * (most // 2) // 0xFFFFFFFF
