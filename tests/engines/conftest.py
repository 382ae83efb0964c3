"""A place for the local engine, which must be empty of processes when a test has left it; and the
Slurm cluster of modules that make none of their own."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.engines.local import processes, records
from parkade.engines.local.devices import Machine
from parkade.engines.local.engine import LocalEngine
from parkade.ports import DesiredAttempt, NodeShape
from tests.clocks import WallClock
from tests.engines.slurm_place import GPUS
from tests.engines.trial import until
from tests.slurm_cluster import Slurm, slurm
from tests.waits import PATIENCE_S, POLL_S

NODES = (NodeShape(node="n0", gpus=4), NodeShape(node="n1", gpus=4))


class LocalPlace:
    """A data folder on this machine, and the engines made on it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.made: list[LocalEngine] = []

    def engine(
        self, nodes: tuple[NodeShape, ...] = NODES, machine: Machine | None = None
    ) -> LocalEngine:
        made = LocalEngine(
            pool="here",
            data=self.data,
            nodes=nodes,
            clock=WallClock(),
            machine=machine or Machine(record=self.data / "devices.json"),
            runs_as_root=True,
        )
        self.made.append(made)
        return made

    def folder(self, attempt: DesiredAttempt) -> Path:
        return self.engine().folders.home(attempt)

    def checkpoints(self, attempt: DesiredAttempt) -> Path:
        return self.engine().folders.checkpoints(attempt)

    def ours(self) -> list[processes.Process]:
        """Keepers and ranks of this place that live, by their arguments and environment."""
        mark = os.fsencode(self.data) + b"/"
        found = []
        for pid, process in processes.everyone().items():
            try:
                text = Path(f"/proc/{pid}/environ").read_bytes()
                text += Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if mark in text and pid != os.getpid():
                found.append(process)
        return found

    def state(self, attempt: DesiredAttempt) -> records.State:
        state = records.read_state(self.folder(attempt))
        assert state is not None
        return state

    def close(self) -> None:
        for engine in self.made:
            asyncio.run(engine.close())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """Two nodes, for all tests of a module."""
    with slurm(tmp_path_factory.mktemp("slurm") / "c", nodes=("n0", "n1"), gpus=GPUS) as made:
        yield made


@pytest.fixture
def place(tmp_path: Path) -> Iterator[LocalPlace]:
    made = LocalPlace(tmp_path / "pool")
    made.engine()
    yield made
    end(made)


def end(made: LocalPlace) -> None:
    """Closes a place; whatever was left running in it is ended, and fails the test."""
    ends_at = time.monotonic() + PATIENCE_S
    # A keeper that just wrote 'released' needs a moment to leave.
    while (left := made.ours()) and time.monotonic() < ends_at:
        time.sleep(POLL_S)
    for process in left:
        processes.send(process.pid, process.start_ticks, signal.SIGKILL)
    made.close()
    assert not left, f"processes were left behind: {left}"


async def up(place: LocalPlace, attempt: DesiredAttempt) -> None:
    await until((place.checkpoints(attempt) / "up.0").exists)


def told_by(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def kill_keeper(place: LocalPlace, attempt: DesiredAttempt) -> None:
    state = place.state(attempt)
    assert processes.send(state.keeper_pid, state.keeper_start_ticks, signal.SIGKILL)


def with_argument(place: LocalPlace, argument: bytes) -> list[int]:
    """The pids of keepers and ranks with that among their arguments."""
    found = []
    for process in place.ours():
        try:
            arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        except OSError:
            continue
        if argument in arguments:
            found.append(process.pid)
    return found
