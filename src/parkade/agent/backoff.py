"""Waits longer after each failure in a row, up to a bound."""

import logging

from parkade.ports import Timer

FIRST_S = 0.2
MOST_S = 10.0

logger = logging.getLogger("parkade.agent")


class Backoff:
    """Of one kind of call; `reset` after a success."""

    def __init__(self, timer: Timer) -> None:
        self._timer = timer
        self.next_s = FIRST_S

    def reset(self) -> None:
        """The next failure waits FIRST_S again."""
        self.next_s = FIRST_S

    async def wait(self, what: str, error: Exception) -> None:
        """Says what failed and waits."""
        logger.warning("%s failed, again in %.1f s: %s", what, self.next_s, error)
        await self._timer.sleep(self.next_after_failure())

    def next_after_failure(self) -> float:
        """Seconds to wait now; the next failure waits longer."""
        now_s, self.next_s = self.next_s, min(MOST_S, 2 * self.next_s)
        return now_s
