"""Instants and spans in whole microseconds since 1970-01-01 UTC; windows are half-open."""

import msgspec

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 3600 * SECOND_US
DAY_US = 24 * HOUR_US


# Days from 1 March of the year 0 to 1970-01-01, and in 400 years.
_BEFORE_1970, _ERA_DAYS = 719_468, 146_097


def month_of(at_us: int) -> int:
    """The calendar month in UTC that an instant lies in, as months since January of the year 0.

    Years are taken from March on, so that a leap day is the last of its year
    (https://howardhinnant.github.io/date_algorithms.html#civil_from_days).
    """
    era, day = divmod(at_us // DAY_US + _BEFORE_1970, _ERA_DAYS)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day_of_year = day - (365 * year + year // 4 - year // 100)
    months_since_march = (5 * day_of_year + 2) // 153
    assert 0 <= year < 400 and 0 <= months_since_march < 12
    return (era * 400 + year) * 12 + months_since_march + 2


class Window(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
