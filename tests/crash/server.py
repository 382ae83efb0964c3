"""The production server with a trap: `PARKADE_CRASH_AT=point:n` kills it dead at the n-th passing.

Points: before_commit, inside_commit, after_commit, before_answer, after_launch. Nothing outside
this module reads the variable.
"""

import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from parkade.ports import Clock, DesiredAttempt, Engine
from parkade.service.embedded import LocalPool, make_local_engine
from parkade.service.settings import ServiceSettings
from parkade.service.up import UpOptions, up
from parkade.service.wiring import Wires


class Trap:
    """Counts passings; at the one named it is as if the power had gone."""

    def __init__(self, where: str) -> None:
        self._point, _, number = where.partition(":")
        self._number = int(number or 0)
        self._passed: Counter[str] = Counter()

    def pass_point(self, point: str) -> None:
        """Dies here or returns."""
        self._passed[point] += 1
        if point == self._point and self._passed[point] == self._number:
            os.kill(os.getpid(), signal.SIGKILL)


class TrappedEngine:
    """The local engine; the trap lies behind each launch."""

    def __init__(self, engine: Engine, trap: Trap) -> None:
        self._engine = engine
        self._trap = trap

    async def launch(self, attempt: DesiredAttempt) -> None:
        """Launches, and perhaps dies before anybody hears of it."""
        await self._engine.launch(attempt)
        self._trap.pass_point("after_launch")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def main(data_folder: str, port: str, token_file: str) -> None:
    """Runs until it is killed or told to stop."""
    trap = Trap(os.environ.get("PARKADE_CRASH_AT", ""))

    def make_engine(local: LocalPool, clock: Clock) -> Engine:
        engine: Any = TrappedEngine(make_local_engine(local, clock), trap)
        return engine  # type: ignore[no-any-return]

    settings = ServiceSettings(
        data_folder=Path(data_folder),
        port=int(port),
        log_format="json",
        check_every=1,
        agent_tick_s=0.1,
        agent_heartbeat_s=0.3,
    )
    wires = Wires(point=trap.pass_point, make_engine=make_engine)
    up(settings, UpOptions(token_file=Path(token_file)), wires)


if __name__ == "__main__":
    main(*sys.argv[1:])
