"""When a market's next clearing is due: each interval, and soon after what asked for one.

Two bounds keep clearings from starving commands: at most one a market per `clearing_pause`, and
after one that took t, none for (part - 1) x t of the steady clock.
"""

from collections.abc import Iterable

from parkade.core.fleet.market import Market


class Schedule:
    """Remembers when each market was cleared and which ones are urgent."""

    def __init__(self, *, part: int) -> None:
        self._part = part
        self._cleared_us: dict[str, int] = {}
        self._urgent: dict[str, None] = {}
        self._frozen: dict[str, None] = {}
        self._not_before_steady_us = 0

    @property
    def frozen(self) -> tuple[str, ...]:
        """Markets whose clearing failed an assertion: none until a restart."""
        return tuple(self._frozen)

    def ask(self, markets: Iterable[str]) -> None:
        """A clearing of these in the next cycle that may have one."""
        self._urgent.update(dict.fromkeys(markets))

    def freeze(self, market: str) -> None:
        """No more clearings of this one."""
        self._frozen[market] = None

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
        live = [market for market in markets if market.market not in self._frozen]
        if not live:
            return None, None
        first = min(live, key=self.due_us)
        wait_us = max(self.due_us(first) - now_us, self._not_before_steady_us - steady_us)
        return (first.market, 0) if wait_us <= 0 else (None, wait_us)

    def cleared(self, market: str, *, now_us: int, started_us: int, ended_us: int) -> None:
        """A clearing ran, between two readings of the steady clock."""
        self._cleared_us[market] = now_us
        self._urgent.pop(market, None)
        self._not_before_steady_us = ended_us + (self._part - 1) * (ended_us - started_us)
