"""How long to wait for a workload's end, and when to look again; shared by both clients."""

import time
from datetime import timedelta

FIRST_S, MOST_S, GROWTH = 0.1, 2.0, 1.3


class Waiting:
    """A wait that began now. Looks are first frequent, then every other second."""

    def __init__(self, workload: str, within: timedelta | None) -> None:
        self._workload = workload
        self._within = within
        self._until = None if within is None else time.monotonic() + within.total_seconds()
        self._pause_s = FIRST_S

    def pause_s(self) -> float:
        """Seconds until the next look; TimeoutError where the time is over."""
        left_s = MOST_S if self._until is None else self._until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(f"{self._workload} has not ended after {self._within}")
        self._pause_s = min(MOST_S, self._pause_s * GROWTH)
        return min(left_s, self._pause_s)
