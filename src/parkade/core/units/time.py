"""Instants and spans in whole microseconds since 1970-01-01 UTC; windows are half-open."""

import msgspec

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 3600 * SECOND_US
DAY_US = 24 * HOUR_US


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """From `start_us` until just before `end_us`; an open end is None."""

    start_us: int
    end_us: int | None

    def holds(self, at_us: int) -> bool:
        """Whether the instant lies inside."""
        return self.start_us <= at_us and (self.end_us is None or at_us < self.end_us)

    def overlaps(self, other: "Window") -> bool:
        """Whether some instant lies inside both."""
        return (other.end_us is None or self.start_us < other.end_us) and (
            self.end_us is None or other.start_us < self.end_us
        )
