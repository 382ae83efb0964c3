"""Which agents are heard: one that is silent for a while is unreachable, which is not failed."""

from collections.abc import Iterable, Iterator

from parkade.core.fleet.pool import Pool
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

    def news(self, pools: Iterable[Pool], steady_us: int) -> Iterator[ReportReachability]:
        """A report for each pool that is otherwise than the world has it."""
        for pool in pools:
            is_heard = pool.pool in self._heard_us
            is_reachable = not self.is_silent(pool.pool, steady_us)
            is_first = is_heard and pool.first_heard_us is None
            if is_first or (
                is_reachable is not pool.is_reachable and (is_heard or not is_reachable)
            ):
                yield ReportReachability(by=None, pool=pool.pool, is_reachable=is_reachable)
