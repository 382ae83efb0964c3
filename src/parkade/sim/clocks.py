"""The clocks of the simulated machines."""

from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.sim.loop import SimulatedLoop

START_US = 1_700_000_000 * SECOND_US // HOUR_US * HOUR_US
"""What the wall clock shows when a run begins."""


class SimulatedClock:
    """Implements `control.clock.SteadyClock`. The wall clock may be set, the steady one not."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self.offset_us = 0
        """How far the wall clock is ahead of what it should show."""

    def now_us(self) -> int:
        """What the wall clock shows."""
        return START_US + self._loop.now_us + self.offset_us

    def steady_us(self) -> int:
        """Since the machine was started."""
        return self._loop.now_us

    def shown_us(self, loop_us: int) -> int:
        """An instant of the loop, as the wall clock stands now."""
        return START_US + loop_us + self.offset_us
