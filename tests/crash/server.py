"""The production server with a trap: `PARKADE_CRASH_AT=point:n` kills it dead at the n-th passing.

Points: before_commit, inside_commit, after_commit, before_answer; its agent, another process, has
a trap of its own (`tests.crash.agent`). Nothing outside these modules reads the variable.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from parkade.service.settings import ServiceSettings
from parkade.service.up import UpOptions, up
from parkade.service.wiring import Wires


class Trap:
    """Counts passings; at the one named it is as if the power had gone."""

    def __init__(self, where: str) -> None:
        self._point, _, number = where.partition(":")
        self._number = int(number or 0)
        self._passed: Counter[str] = Counter()

    def pass_point(self, point: str, at_death: Callable[[], None] = lambda: None) -> None:
        """Dies here or returns."""
        self._passed[point] += 1
        if point == self._point and self._passed[point] == self._number:
            at_death()
            os.kill(os.getpid(), signal.SIGKILL)


def main(data_folder: str, port: str, token_file: str) -> None:
    """Runs until it is killed or told to stop."""
    trap = Trap(os.environ.get("PARKADE_CRASH_AT", ""))

    settings = ServiceSettings(
        data_folder=Path(data_folder),
        port=int(port),
        log_format="json",
        check_every=1,
        agent_tick_s=0.1,
        agent_heartbeat_s=0.3,
        root_workloads=True,
    )
    wires = Wires(
        crash_point=trap.pass_point, agent_program=(sys.executable, "-m", "tests.crash.agent")
    )
    up(settings, UpOptions(token_file=Path(token_file)), wires)


if __name__ == "__main__":
    main(*sys.argv[1:])
