"""Which agents are heard: one that is silent for a while is unreachable, which is not failed."""

from collections.abc import Iterable, Iterator

from parkade.core.fleet.market import Market
from parkade.core.state.commands import ReportReachability


class Reach:
    """When each pool was last heard, on the steady clock; time before the start counts for none."""

    def __init__(self, *, silence_us: int, started_us: int) -> None:
        self._silence_us = silence_us
        self._started_us = started_us
        self._heard_us: dict[str, int] = {}

    def heard(self, pool: str, steady_us: int) -> None:
        """A whole observation came."""
        self._heard_us[pool] = max(steady_us, self._heard_us.get(pool, steady_us))

    def is_silent(self, pool: str, steady_us: int) -> bool:
        """Whether it was not heard for too long."""
        return steady_us - self._heard_us.get(pool, self._started_us) > self._silence_us

    def news(self, markets: Iterable[Market], steady_us: int) -> Iterator[ReportReachability]:
        """A report for each pool that is otherwise than the world has it."""
        for market in markets:
            is_reachable = not self.is_silent(market.pool, steady_us)
            if is_reachable is not market.is_reachable and (
                not is_reachable or market.pool in self._heard_us
            ):
                yield ReportReachability(by=None, pool=market.pool, is_reachable=is_reachable)
