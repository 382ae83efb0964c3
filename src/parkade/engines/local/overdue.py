"""The engine kills what outlives its kill although it has a keeper: the second line.

A keeper that runs and still does not obey hangs in a way that was not foreseen. The engine kills
the attempt's processes `OVERDUE_US` after the kill was due, and after as long again the keeper too,
which is replaced like any lost one.
"""

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from parkade.engines.local import environment, output, processes, records
from parkade.engines.local.clocks import monotonic_us, wall_us
from parkade.engines.local.gang import Gang
from parkade.engines.local.records import Guard
from parkade.ports import Stop

OVERDUE_US = 5_000_000
"""After the instant of the kill, and between two kills."""


class Overdue:
    """Knows since when each order is due, on the clock that only goes forward."""

    def __init__(self) -> None:
        self._due: dict[Path, tuple[Stop, int]] = {}
        self._tries: dict[Path, int] = {}

    def end(self, folders: Iterable[Path]) -> None:
        """Kills what is overdue in these, all that are not released. Blocks for a look at all
        processes where anything is; else costs a small file for each."""
        now_us = monotonic_us()
        live = list(folders)
        self._due = {it: self._due[it] for it in live if it in self._due}
        self._tries = {it: self._tries[it] for it in live if it in self._tries}
        for folder in live:
            if self._is_overdue(folder, now_us):
                tries = self._tries[folder] = self._tries.get(folder, 0) + 1
                _kill(folder, with_keeper=tries > 1)

    def _is_overdue(self, folder: Path, now_us: int) -> bool:
        order = records.read_order(folder)
        if order is None:
            return False
        known, due_us = self._due.get(folder, (None, 0))
        if order != known:
            due_us = now_us + order.kill_us - wall_us() + OVERDUE_US
        is_due = now_us >= due_us
        self._due[folder] = (order, now_us + OVERDUE_US if is_due else due_us)
        return is_due


def _kill(folder: Path, *, with_keeper: bool) -> None:
    launch, state = records.read_launch(folder), records.read_state(folder)
    if launch is None or state is None or launch.boot_id != processes.boot_id():
        return
    sys.stderr.write(f"{launch.attempt.attempt} outlived its kill and is killed by its engine\n")
    pipes = (output.pipe_path(folder, index) for index in range(len(launch.attempt.ranks)))
    keeper = Guard(pid=state.keeper_pid, start_ticks=state.keeper_start_ticks)
    gang = Gang(
        state.ranks,
        marks=environment.marks(launch, folder),
        guards=(*state.guards, keeper),
        is_parent=False,
        cgroup=launch.cgroup,
        pipes=frozenset(map(os.fspath, pipes)),
    )
    gang.everyone(signal.SIGKILL)
    if with_keeper:
        processes.send(keeper.pid, keeper.start_ticks, signal.SIGKILL)
