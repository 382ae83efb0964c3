"""What is said of a server that says nothing at all, long before its calls time out."""

import asyncio
import time
from collections.abc import Callable, Mapping

from parkade.compound.run.engine import Engine
from parkade.compound.run.lane import Lane

#: Between two looks.
LOOK_S = 5.0
#: A silence is told after so long, and again each time that it has doubled.
FIRST_US = 30_000_000


class Hanging:
    """The silences of the models of one run."""

    def __init__(self) -> None:
        self._next_us: dict[str, int] = {}

    def notices(self, lanes: Mapping[str, Lane], now_us: int) -> list[str]:
        """What a user should know now."""
        texts = []
        for model, lane in lanes.items():
            calls = lane.limiter.in_flight
            silent_us = now_us - lane.heard_us if calls else 0
            if silent_us < FIRST_US:
                self._next_us.pop(model, None)
            elif silent_us >= self._next_us.get(model, FIRST_US):
                self._next_us[model] = 2 * silent_us
                wait = "1 call waits" if calls == 1 else f"{calls:,} calls wait"
                texts.append(f"model {model!r}: {wait}, no answer for {silent_us // 1_000_000} s")
        return texts


async def look(engine: Engine, notice: Callable[[str], None] | None) -> None:
    """Say now and then what a server that hangs keeps waiting; until it is cancelled."""
    hanging = Hanging()
    while notice is not None:
        await asyncio.sleep(LOOK_S)
        for text in hanging.notices(engine.lanes, time.monotonic_ns() // 1_000):
            notice(text)
