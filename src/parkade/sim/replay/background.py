"""Guests that fill a fleet but for a part of it, so that reclaims meet a full one.

A trace's own queue leaves much of its fleet free. Background guests of whole nodes bid the least
that wins, come while more than the given share of the nodes is free, and stay for a time of their
own: about an hour, some many times as long. One that had to leave waits like any other guest, and
while one waits no more come.
"""

import random
from collections.abc import Iterator

from parkade.core.market.supply import guest_floor
from parkade.core.units.time import MINUTE_US, SECOND_US
from parkade.sim.replay.demand import PERCENT, Guest
from parkade.sim.replay.setup import Setup

ORG = "background"
# Numbers of the trace's guests lie below.
FIRST_NUMBER = 10**9
MEDIAN_MINUTES = 60
SPREAD = 1.0
LONGEST_MINUTES = 24 * 60
SAVES_PERCENT = 85
SAVING_S = (5, 110)


class Background:
    """Draws them; the same ones whenever the same are asked for."""

    def __init__(self, setup: Setup, *, nodes: int, gpus_per_node: int) -> None:
        assert setup.headroom_percent is not None
        self._free_nodes = -(-nodes * setup.headroom_percent // PERCENT)
        self._gpus = gpus_per_node
        self._limit_micros = guest_floor(setup.floor_micros, setup.terms.fee)
        self._chance = random.Random(ORG)
        self._count = 0

    def more(self, free_nodes: int) -> Iterator[tuple[Guest, int]]:
        """(guest, how long it stays) for each free node beyond the headroom."""
        for _ in range(free_nodes - self._free_nodes):
            does_save = self._chance.randrange(PERCENT) < SAVES_PERCENT
            saving_us = round(self._chance.uniform(*SAVING_S) * SECOND_US)
            minutes = MEDIAN_MINUTES * self._chance.lognormvariate(0.0, SPREAD)
            self._count += 1
            guest = Guest(
                number=FIRST_NUMBER + self._count,
                org=ORG,
                gpus=self._gpus,
                limit_micros=max(1, self._limit_micros),
                saving_us=saving_us if does_save else None,
            )
            yield guest, round(min(minutes, LONGEST_MINUTES) * MINUTE_US)


def is_background(guest: Guest) -> bool:
    """Whether it is none of the trace's."""
    return guest.number >= FIRST_NUMBER
