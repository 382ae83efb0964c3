"""Clocks for tests: the real one, and one that a test moves."""

import time

from parkade.core.units.time import DAY_US


class WallClock:
    """The real time."""

    def now_us(self) -> int:
        return time.time_ns() // 1000


class HandClock:
    """A clock that a test moves; both hands together, unless only the wall's is set."""

    def __init__(self, now_us: int = 1_000 * DAY_US) -> None:
        self.wall = now_us
        self.steady = 0

    def now_us(self) -> int:
        return self.wall

    def steady_us(self) -> int:
        return self.steady

    def pass_us(self, span_us: int) -> None:
        self.wall += span_us
        self.steady += span_us
