"""What time it is for the writer: never earlier than before, and not far ahead without a person.

Two readings are compared: the wall clock, and a steady one that cannot be set and counts while
the machine sleeps. Where the wall clock ran ahead of the steady one by more than `jump_us`, the
present goes on from where it was at the steady clock's pace until a person confirms the jump. Where
the wall clock was set back, or stands, the present goes on at that pace too, with no person's word:
nothing waits for a clock that is behind. The difference is told until the wall clock has caught up.

Worked example: at 12:00:00 the wall clock is set back to 11:00:00. Ten seconds later the present is
12:00:10 and `behind_us` an hour. After a restart it begins at the last instant on record.
"""

import time
from typing import Protocol

import msgspec

from parkade.core.units.time import SECOND_US
from parkade.ports import Clock

LEAST_BEHIND_US = SECOND_US
"""A smaller difference is what two clocks differ by anyway."""


class SteadyClock(Clock, Protocol):
    """A clock with a second hand that cannot be set."""

    def steady_us(self) -> int:
        """Microseconds since some fixed instant."""
        ...


class SystemClock:
    """This machine's clocks."""

    def now_us(self) -> int:
        """The wall clock."""
        return time.time_ns() // 1000

    def steady_us(self) -> int:
        """Since the machine was started, sleep included."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The present; `jumped_from_us` is set in the reading that found a jump. `behind_us`: how far
    the wall clock is behind the present; 0 where that is what clocks differ by anyway. `leapt_us`:
    by how much the present goes on without that time passed; 0 in the first reading, which cannot
    know."""

    now_us: int
    leapt_us: int
    behind_us: int
    jumped_from_us: int | None


class ClockGuard:
    """Turns readings of both clocks into a present. `floor_us`: the last instant on record."""

    def __init__(self, clock: SteadyClock, *, floor_us: int, jump_us: int, restart_us: int):
        self._clock = clock
        self._jump_us = jump_us
        self._restart_us = restart_us
        self._now_us = floor_us
        self._steady_us: int | None = None
        self._was_doubted = False

    def read(self, *, is_doubted: bool) -> Reading:
        """The present; `is_doubted` says whether a jump still waits for a person's word."""
        wall_us, steady_us = self._clock.now_us(), self._clock.steady_us()
        before_us = self._now_us
        explained_us = before_us + (0 if self._steady_us is None else steady_us - self._steady_us)
        limit_us = self._restart_us if self._steady_us is None else self._jump_us
        is_confirmed = self._was_doubted and not is_doubted
        is_jump = (
            not is_doubted
            and not is_confirmed
            and before_us > 0
            and wall_us - explained_us > limit_us
        )
        # Whichever is ahead; a wall clock that is too far ahead is not believed.
        self._now_us = explained_us if is_doubted or is_jump else max(explained_us, wall_us)
        behind_us = self._now_us - wall_us
        leapt_us = 0 if self._steady_us is None else self._now_us - explained_us
        self._steady_us = steady_us
        self._was_doubted = is_doubted or is_jump
        return Reading(
            now_us=self._now_us,
            leapt_us=leapt_us if leapt_us >= LEAST_BEHIND_US else 0,
            behind_us=behind_us if behind_us >= LEAST_BEHIND_US else 0,
            jumped_from_us=before_us if is_jump else None,
        )
