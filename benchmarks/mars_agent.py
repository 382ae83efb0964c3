"""What the agent of a pool costs while nothing happens and Mars watches: share of a core, memory.

    python benchmarks/mars_agent.py [SECONDS]

A server as `parkade up` starts it, whose own pool has one node, this machine, read by every sensor
that it has, each 5 s (the default). Beside it the same without `mars.yaml`. Children are counted.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from benchmarks.mars_idle import cpu_seconds
from benchmarks.service import pool, served
from parkade.mars.pool_file import NAME

SETTLE_S = 15
FILE = """format: 1
nodes: {n1: {local: true}}
repairs: {validate: shipped, sanitise: shipped}
"""


def main() -> None:
    """Prints both figures of both."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    for is_watched in (False, True):
        share, memory = measured(seconds, is_watched=is_watched)
        how = "with mars.yaml" if is_watched else "without"
        print(f"{how}: {share:.2f} % of a core, {memory:.0f} MiB")


def measured(seconds: int, *, is_watched: bool) -> tuple[float, float]:
    """The agent's share of a core in percent, and its memory in MiB."""
    with served() as stage:
        folder = stage.folder / "data" / "pools" / "bench"
        folder.mkdir(parents=True, mode=0o700)
        if is_watched:
            (folder / NAME).write_text(FILE)
            (folder / NAME).chmod(0o600)
        stage.operator.create_pool(pool(site="local", fabrics={"a": ["n1"]}, gpus=1))
        time.sleep(SETTLE_S)
        agent = the_agent()
        before = cpu_seconds(agent)
        time.sleep(seconds)
        share = (cpu_seconds(agent) - before) / seconds * 100
        return share, agent.memory_info().rss / 1_048_576


def the_agent() -> psutil.Process:
    """The server's child that runs the pool's engine."""
    for child in psutil.Process().children(recursive=True):
        words = child.cmdline()
        if "--pool" in words and "--child" in words:
            return child
    raise SystemExit("the server has started no agent")


if __name__ == "__main__":
    main()
