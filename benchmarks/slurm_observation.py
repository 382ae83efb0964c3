"""What one look of the agent at a large Slurm costs, on a real controller.

    python -m benchmarks.slurm_observation [JOBS [LOOKS [DAEMONS]]]

256 nodes of 8 fake GPUs in slurm.conf, of which DAEMONS (64) have a slurmd, and JOBS jobs (2,000)
of others that wait. A look is what the agent does each tick (`squeue`, and what follows), and
`nodes` what it does each 2 s (`sinfo`). Milliseconds of wall time, of the agent's own processor and
of its children's, medians; and the agent's greatest memory.
"""

import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from parkade.engines.slurm.engine import SlurmEngine
from parkade.engines.slurm.settings import SlurmSettings
from parkade.ports import NodeShape
from tests.clocks import WallClock
from tests.slurm_cluster import Slurm, open_folder
from tests.slurm_cluster.cluster import prepared
from tests.waits import until

NODES, WITH_SLURMD, GPUS = 256, 64, 8
AT_ONCE = 4


@contextmanager
def large_cluster(folder: Path, daemons: int) -> Iterator[Slurm]:
    """A controller that knows all nodes, and daemons of a few."""
    names = [f"node{number}" for number in range(1, NODES + 1)]
    cluster, _ = prepared(folder, names, gpus=GPUS, settings={"MaxJobCount": "20000"})
    try:
        cluster.munged.start()
        until((folder / "munge.sock").exists)
        cluster.start_controller()
        for name in names[:daemons]:
            cluster.start_node(name)
        until(lambda: all(cluster.state(it) == "idle" for it in names[:daemons]), cluster.log)
        yield cluster
    finally:
        cluster.end()


def fill(cluster: Slurm, jobs: int) -> None:
    """Submits so many jobs that wait."""
    words = ("sbatch", "--hold", "--gres=gpu:8", "--output=/dev/null", "--wrap=true")
    running: list[subprocess.Popen[bytes]] = []
    for _ in range(jobs):
        running.append(subprocess.Popen(words, env=cluster.environment, stdout=subprocess.DEVNULL))
        if len(running) == AT_ONCE:
            running.pop(0).wait()
    for one in running:
        one.wait()


def spent() -> tuple[float, float, float]:
    """Wall time, and processor time of this process and of its children, in seconds."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic(), time.process_time(), children.ru_utime + children.ru_stime


def measured(name: str, looks: int, look: Callable[[], object]) -> None:
    """Prints one line."""
    found = []
    for _ in range(looks):
        before = spent()
        look()
        found.append([1000 * (b - a) for a, b in zip(before, spent(), strict=True)])
    wall, own, children = (statistics.median(column) for column in zip(*found, strict=True))
    print(f"{name}: {wall:.0f} ms of wall time, {own:.0f} + {children:.0f} ms of processor")


def main() -> None:
    """Prints how many jobs there are, a line a kind of look, and the memory."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    looks = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    daemons = int(sys.argv[3]) if len(sys.argv) > 3 else WITH_SLURMD
    with (
        open_folder() as folder,
        large_cluster(folder / "c", daemons) as cluster,
        tempfile.TemporaryDirectory() as data,
    ):
        fill(cluster, jobs)
        engine = SlurmEngine(
            pool="large",
            data=Path(data),
            nodes=tuple(NodeShape(node=node, gpus=GPUS) for node in cluster.nodes),
            clock=WallClock(),
            settings=SlurmSettings(conf=str(cluster.folder / "slurm.conf"), root_workloads=True),
        )
        assert asyncio.run(engine.observe()).is_complete
        print(f"{NODES} nodes, {daemons} slurmd, {len(engine.watching.others)} jobs", flush=True)
        measured("look ", looks, lambda: asyncio.run(engine.observe()))
        measured("nodes", looks, lambda: engine.watching.nodes(0))
        most_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"at most {most_mb:.0f} MB in the agent")
        asyncio.run(engine.close())


if __name__ == "__main__":
    main()
