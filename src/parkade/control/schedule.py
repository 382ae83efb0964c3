"""When a market's next clearing is due: each interval, and soon after what asked for one.

Two bounds keep clearings from starving commands: at most one a market per `clearing_pause`, and
after one that took t, none for (part - 1) x t of the steady clock.

A clearing that fails, by an error of the program, has changed nothing. Where several markets were
cleared together, each is cleared apart from then on, so that those that are well clear on; one that
fails alone stands still. Both are tried again, after RETRY_US and twice as long each time.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from parkade.core.fleet.market import Market
from parkade.core.units.time import HOUR_US, SECOND_US

RETRY_US = 30 * SECOND_US
"""After the first failure."""

MOST_RETRY_US = HOUR_US


class Failure(NamedTuple):
    """How often it failed in a row, and when it is tried again, on the steady clock."""

    times: int
    until_us: int


NO_FAILURE = Failure(0, 0)


class Schedule:
    """Remembers when each market was cleared, which ones are urgent, and which ones failed."""

    def __init__(self, *, part: int) -> None:
        self._part = part
        self._cleared_us: dict[str, int] = {}
        self._urgent: dict[str, None] = {}
        self._alone: dict[str, Failure] = {}
        self._together: dict[str, Failure] = {}
        self._not_before_steady_us = 0

    @property
    def frozen(self) -> tuple[str, ...]:
        """Markets whose last clearing failed, with no other beside them."""
        return tuple(self._alone)

    def ask(self, markets: Iterable[str]) -> None:
        """A clearing of these in the next cycle that may have one."""
        self._urgent.update(dict.fromkeys(markets))

    def is_apart(self, market: str, *, steady_us: int) -> bool:
        """Whether it is cleared without those that bids link with it."""
        return steady_us < self._together.get(market, NO_FAILURE).until_us

    def failed(self, markets: Sequence[str], *, steady_us: int) -> None:
        """A clearing of these failed."""
        failures = self._together if len(markets) > 1 else self._alone
        times = max(failures.get(it, NO_FAILURE).times for it in markets)
        wait_us = min(RETRY_US << min(times, 20), MOST_RETRY_US)
        failures.update(dict.fromkeys(markets, Failure(times + 1, steady_us + wait_us)))

    def due_us(self, market: Market) -> int:
        """When this market may and should be cleared next, on the wall clock."""
        cleared_us = self._cleared_us.get(market.market)
        if cleared_us is None:
            return 0
        is_urgent = market.market in self._urgent
        terms = market.terms
        return cleared_us + (terms.clearing_pause_us if is_urgent else terms.clearing_interval_us)

    def next(
        self, markets: Iterable[Market], *, now_us: int, steady_us: int
    ) -> tuple[str | None, int | None]:
        """The market whose turn it is, or None and how long until one may have its turn."""
        waits = [
            (max(self.due_us(it) - now_us, self._retry_in_us(it, steady_us)), it.market)
            for it in markets
        ]
        if not waits:
            return None, None
        wait_us, first = min(waits, key=lambda it: it[0])
        wait_us = max(wait_us, self._not_before_steady_us - steady_us)
        return (first, 0) if wait_us <= 0 else (None, wait_us)

    def _retry_in_us(self, market: Market, steady_us: int) -> int:
        """How long until what failed is tried again; long ago: it did not fail."""
        failure = self._alone.get(market.market)
        return -(1 << 62) if failure is None else failure.until_us - steady_us

    def begins(self, markets: Iterable[str]) -> None:
        """A clearing of these sees all that asked for one so far."""
        for market in markets:
            self._urgent.pop(market, None)

    def cleared(self, markets: Iterable[str], *, now_us: int, is_apart: bool) -> None:
        """A clearing of these ran."""
        for market in markets:
            self._cleared_us[market] = now_us
            self._alone.pop(market, None)
            if not is_apart:
                self._together.pop(market, None)

    def rest(self, *, started_us: int, ended_us: int) -> None:
        """A clearing took from one reading of the steady clock to another."""
        self._not_before_steady_us = ended_us + (self._part - 1) * (ended_us - started_us)
