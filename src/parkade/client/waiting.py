"""How long to wait for a workload's end, when to look again, and how long a server may be gone."""

import time
from datetime import timedelta

from parkade.client.errors import TryAgain

FIRST_S, MOST_S, GROWTH = 0.1, 2.0, 1.3
OUTAGE_S = 600.0


class Outage:
    """A server that does not answer: it is asked again, for ten minutes on end."""

    def __init__(self) -> None:
        self._since: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether it answered last."""
        return self._since is None

    def answered(self) -> None:
        """The server is there."""
        self._since = None

    def pause_s(self, error: TryAgain) -> float:
        """Seconds until the next try; the error, where it has been gone for too long."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since > OUTAGE_S:
            raise error
        return MOST_S


class Waiting:
    """A wait that began now. Looks are first frequent, then every other second. A server that is
    started anew meanwhile ends no wait: what runs goes on without it."""

    def __init__(self, workload: str, within: timedelta | None) -> None:
        self._workload = workload
        self._within = within
        self._until = None if within is None else time.monotonic() + within.total_seconds()
        self._pause_s = FIRST_S
        self._outage = Outage()

    def pause_s(self, error: TryAgain | None = None) -> float:
        """Seconds until the next look, after an answer or an error; TimeoutError where the time is
        over."""
        left_s = MOST_S if self._until is None else self._until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(f"{self._workload} has not ended after {self._within}")
        if error is not None:
            return min(left_s, self._outage.pause_s(error))
        self._outage.answered()
        self._pause_s = min(MOST_S, self._pause_s * GROWTH)
        return min(left_s, self._pause_s)
