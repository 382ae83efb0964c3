"""A place for the Slurm engine: a data folder on a real cluster, empty when a test has left it."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parkade.engines.slurm.engine import SlurmEngine
from parkade.engines.slurm.settings import SlurmSettings
from parkade.ports import DesiredAttempt, NodeShape
from tests.clocks import WallClock
from tests.slurm_cluster import Slurm
from tests.slurm_cluster.daemons import marked
from tests.waits import until

GPUS = 4


class SlurmPlace:
    """A data folder, and the engines made on it."""

    def __init__(self, cluster: Slurm, data: Path, **settings: object) -> None:
        self.cluster = cluster
        self.data = data
        given = {"conf": str(cluster.folder / "slurm.conf"), "root_workloads": True}
        self.settings = SlurmSettings(**given | settings)  # type: ignore[arg-type]
        self.made: list[SlurmEngine] = []

    def engine(self) -> SlurmEngine:
        nodes = tuple(NodeShape(node=node, gpus=GPUS) for node in self.cluster.nodes)
        made = SlurmEngine(
            pool="there", data=self.data, nodes=nodes, clock=WallClock(), settings=self.settings
        )
        self.made.append(made)
        return made

    def checkpoints(self, attempt: DesiredAttempt) -> Path:
        return self.engine().homes.checkpoints(attempt)

    def home(self, attempt: DesiredAttempt) -> Path:
        return self.engine().homes.home(attempt)

    def jobs(self, attempt: DesiredAttempt) -> list[str]:
        """The numbers of the jobs of an attempt that Slurm knows, whatever became of them."""
        lines = self.cluster.run("squeue", "-h", "-t", "all", "-o", "%A %k").splitlines()
        return [
            line.split()[0] for line in lines if f":{attempt.attempt}:" in line.partition(" ")[2]
        ]

    def ours(self) -> dict[int, str]:
        """Processes of this place that live."""
        found = marked(f"{self.data}/")
        return {pid: words for pid, words in found.items() if pid != os.getpid()}


@contextmanager
def place_on(cluster: Slurm, data: Path, **settings: object) -> Iterator[SlurmPlace]:
    """Whatever runs at the end is cancelled, and then the test has failed."""
    place = SlurmPlace(cluster, data, **settings)
    try:
        yield place
        assert not place.engine().watching.live(), "attempts were left behind"
        # Steps need a moment to leave after their member did.
        until(lambda: not place.ours(), place.ours)
    finally:
        if place.ours():
            cluster.run("scancel", "--user=root")
            until(lambda: not place.ours(), place.ours)
        for engine in place.made:
            asyncio.run(engine.close())
