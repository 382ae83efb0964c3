"""A report over a million drawn job rows: its time and its memory.

    python benchmarks/observe.py [ROWS]

The fleet has 256 nodes of 8 GPUs and 20 accounts of unequal size. Jobs come by day and by night and
run in order of submission, so that the replay of the policy has a truth. The report is a process of
its own, whose peak memory is told by the kernel.
"""

import heapq
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from parkade.sim.observe.asking import ASKED, SINFO_COLUMNS

NODES, GPUS = 256, 8
ACCOUNTS = 20
LOAD = 0.7
MEAN_GPU_S = 2.9 * 3 * 3600
BEGIN_S = 1_780_000_000
SHAPES = ((1, 1), (1, 1), (1, 2), (1, 4), (1, 8), (1, 8), (2, 8), (4, 8))


def write(folder: Path, rows: int) -> None:
    """`jobs.sacct` and `nodes.sinfo`."""
    chance = random.Random(rows)
    names = [f"gpu{number:03}" for number in range(1, NODES + 1)]
    with (folder / "nodes.sinfo").open("w") as out:
        out.write("|".join(SINFO_COLUMNS) + "\n")
        for name in names:
            out.write(f"{name}|main|gpu:h100:{GPUS}|96|mixed|1|7-00:00:00\n")
    free = [GPUS] * NODES
    ends: list[tuple[int, tuple[int, ...], int]] = []
    now_s = at_s = float(BEGIN_S)
    mean_s = 0.0
    for nodes, gpus in SHAPES:
        mean_s += nodes * gpus * 3200 / len(SHAPES)
    gap_s = mean_s / (NODES * GPUS * LOAD)
    with (folder / "jobs.sacct").open("w") as out:
        out.write(ASKED.replace(",", "|") + "\n")
        for number in range(1, rows + 1):
            day = (at_s % 86_400) / 86_400
            at_s += chance.expovariate(1 / gap_s) * (0.6 if 0.3 < day < 0.75 else 1.6)
            now_s = max(now_s, at_s)
            nodes, gpus = chance.choice(SHAPES)
            while True:
                fit = [place for place, left in enumerate(free) if left >= gpus][:nodes]
                if len(fit) == nodes:
                    break
                end_s, seats, held = heapq.heappop(ends)
                for place in seats:
                    free[place] += held
                now_s = max(now_s, end_s)
            while ends and ends[0][0] <= now_s:
                _, seats, held = heapq.heappop(ends)
                for place in seats:
                    free[place] += held
            for place in fit:
                free[place] -= gpus
            runs_s = round(min(86_400, chance.lognormvariate(7.35, 1.2)) + 1)
            start_s = round(now_s)
            heapq.heappush(ends, (start_s + runs_s, tuple(fit), gpus))
            account = f"lab{min(ACCOUNTS, int(chance.paretovariate(0.6)))}"
            tres = (
                f"billing={nodes * gpus},cpu={12 * nodes * gpus},gres/gpu:h100={nodes * gpus},"
                f"gres/gpu={nodes * gpus},mem={nodes * gpus}00G,node={nodes}"
            )
            hosts = ",".join(names[place] for place in fit)
            out.write(
                f"{number}|{number}|{account}|u{number % 97}|main|normal|COMPLETED|{round(at_s)}|"
                f"{round(at_s)}|{start_s}|{start_s + runs_s}|{runs_s // 60 * 2 + 10}|{tres}|{tres}|"
                f"{nodes}|{hosts}||{4294901760 - number}|None|{runs_s // 3600:02}:30:00\n"
            )


def main() -> None:
    """Prints seconds, MB and the report's own words."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, rows)
        words = [
            sys.executable, "-m", "parkade.cli", "observe", "sacct", str(folder / "jobs.sacct"),
            "--sinfo", str(folder / "nodes.sinfo"), "--html", str(folder / "report.html"),
        ]  # fmt: skip
        begun_s = time.monotonic()
        subprocess.run(words, check=True, env={**os.environ, "COLUMNS": "200"})
        wall_s = time.monotonic() - begun_s
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"\n{rows:,} rows: {wall_s:.0f} s of time, {used.ru_utime + used.ru_stime:.0f} CPU-s,"
        f" {used.ru_maxrss / 1000:.0f} MB at most"
    )


if __name__ == "__main__":
    main()
