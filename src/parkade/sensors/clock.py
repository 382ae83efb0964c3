"""This machine's clock: how far it is off at least, and whether a time service keeps it.

A server that answers says what time it is (`HeardClock`). The answer was on its way for a while, so
that time lies between two bounds; only what lies outside both is called skew. Without a server the
kernel alone is asked (`kernel_clock`): it knows whether a time service keeps the clock, but not how
far it is off, so no skew is made of that.

Worked example. A report is sent at 100.0 s of the steady clock and answered at 100.4 s; the server
says 12:00:00. Ten seconds later the server's time is between 12:00:09.995 and 12:00:10.405, with
5 ms for what two good clocks may drift apart meanwhile. A wall clock at 12:00:10.2 is not off, one
at 12:00:13.405 is 3.0 s ahead at least.
"""

import ctypes
import time
from collections.abc import Callable

import msgspec

from parkade.core.units.time import MINUTE_US

STALE_US = 5 * MINUTE_US
"""An answer tells nothing of the clock any more when it is older."""
DRIFT_PER_MILLION = 500
"""The most by which Linux lets a clock be slewed, and what it assumes of one that is not kept."""
UNSYNCHRONISED = 0x40
NO_BOUND_US = 16_000_000
"""STA_UNSYNC of `adjtimex(2)`, and the error from which on the kernel says it knows no bound."""

Instant = Callable[[], int]


class ClockReading(msgspec.Struct, frozen=True, kw_only=True):
    """`skew_us`: this clock less a trusted one, at least; None where none was asked. `is_kept`:
    whether a time service keeps it; None where that was not asked or is not known."""

    skew_us: int | None
    is_kept: bool | None


ReadClock = Callable[[], ClockReading]


class ServerTime(msgspec.Struct, frozen=True, kw_only=True):
    """What a server said of the time, between two instants of this machine's steady clock."""

    server_us: int
    asked_us: int
    answered_us: int


def least_skew(heard: ServerTime, *, wall_us: int, steady_us: tuple[int, int]) -> int | None:
    """How far the wall clock is off at least, 0 within what can be known. `steady_us`: the steady
    clock just before and just after the wall clock was read. None where the answer is too old."""
    before_us, after_us = steady_us
    age_us = after_us - heard.answered_us
    if not 0 <= age_us <= STALE_US:
        return None
    drift_us = age_us * DRIFT_PER_MILLION // 1_000_000
    earliest_us = heard.server_us + before_us - heard.answered_us - drift_us
    latest_us = heard.server_us + after_us - heard.asked_us + drift_us
    return min(0, wall_us - earliest_us) or max(0, wall_us - latest_us)


def wall_now() -> int:
    """The wall clock, in microseconds since 1970."""
    return time.time_ns() // 1_000


def steady_now() -> int:
    """Microseconds since the machine was started, sleep included; it cannot be set."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000


class HeardClock:
    """Remembers what a server said last. Told and read by different threads."""

    def __init__(self, *, wall: Instant = wall_now, steady: Instant = steady_now) -> None:
        self.steady = steady
        self._wall = wall
        self._heard: ServerTime | None = None

    def hear(self, server_us: int, *, asked_us: int) -> None:
        """A server answered just now, to what was asked at an instant of the steady clock."""
        self._heard = ServerTime(server_us=server_us, asked_us=asked_us, answered_us=self.steady())

    def read(self) -> ClockReading:
        """The skew, where a server answered lately."""
        heard = self._heard
        if heard is None:
            return ClockReading(skew_us=None, is_kept=None)
        before_us = self.steady()
        wall_us = self._wall()
        skew_us = least_skew(heard, wall_us=wall_us, steady_us=(before_us, self.steady()))
        return ClockReading(skew_us=skew_us, is_kept=None)


class _Timex(ctypes.Structure):
    """The first fields of `struct timex`, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def kernel_clock() -> ClockReading:
    """What the kernel knows of its clock; asking changes nothing and needs no right."""
    timex = _Timex()
    try:
        outcome = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        outcome = -1
    is_kept = None if outcome < 0 else is_clock_kept(timex.status, timex.maxerror)
    return ClockReading(skew_us=None, is_kept=is_kept)


def is_clock_kept(status: int, max_error_us: int) -> bool:
    """By `adjtimex(2)`. A clock that has only just lost its service still has a bound."""
    return not (status & UNSYNCHRONISED and max_error_us >= NO_BOUND_US)
