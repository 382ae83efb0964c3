"""Which observations are news: whole, not older than the last, and different from it.

An unchanged one is repeated to the core now and then, and whenever the pool's desired state has
changed since, because what is missing from it may mean something else by then.
"""

from parkade.core.workloads.observed import ObservedAttempt
from parkade.ports import Observation

# An observation this much older than the last is no straggler: the agent's clock was set back.
_STRAGGLER_US = 600_000_000


class Observed:
    """The last observation of each pool that the core took in."""

    def __init__(self, *, repeat_us: int) -> None:
        self._repeat_us = repeat_us
        self._seen_us: dict[str, int] = {}
        self._told: dict[str, tuple[int, int, tuple[ObservedAttempt, ...]]] = {}

    def is_usable(self, observation: Observation) -> bool:
        """Whether anything may follow from it."""
        seen_us = self._seen_us.get(observation.pool, 0)
        is_straggler = seen_us - _STRAGGLER_US < observation.at_us < seen_us
        if not observation.is_complete or is_straggler:
            return False
        self._seen_us[observation.pool] = observation.at_us
        return True

    def is_news(self, observation: Observation, *, desired: int, steady_us: int) -> bool:
        """Whether the core should hear of it; `desired` is the pool's desired sequence."""
        told = self._told.get(observation.pool)
        if told is None or told[0] != desired or steady_us - told[1] >= self._repeat_us:
            return True
        return told[2] != observation.attempts

    def tell(self, observation: Observation, *, desired: int, steady_us: int) -> None:
        """The core heard of it."""
        self._told[observation.pool] = (desired, steady_us, observation.attempts)
