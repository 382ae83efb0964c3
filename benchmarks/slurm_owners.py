"""How long an owner's plain `sbatch` takes to run on a real Slurm: alone, lent, and with guests.

    python -m benchmarks.slurm_owners [ROUNDS]

A cluster of 3 nodes with fake GPUs, a server and an agent as processes. `bare`: a job of one node
before the pool is fenced. `free`: behind the fence, its node lent and idle. `guests`: all nodes
held by a guest that saves as soon as it is told and leaves; one that does not has its notice on
top. ROUNDS (100) of each, so that p99 is not the greatest alone.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.figures import percentile
from tests.service.slurm_market import GPUS, SlurmMarket, slurm_market
from tests.slurm_cluster import open_folder, slurm
from tests.waits import until


def timed(market: SlurmMarket) -> float:
    """From sbatch to running; the job is gone afterwards."""
    began = time.monotonic()
    job = market.owner_job(f"--gres=gpu:{GPUS}")
    market.wait_for_job(job, "RUNNING")
    took = time.monotonic() - began
    market.cluster.run("scancel", job)
    until(lambda: market.cluster.job_state(job) == "CANCELLED")
    return took


def line(name: str, found: Sequence[float]) -> str:
    """One row of the table: how many, and seconds."""
    p50, p90, p99 = (percentile(found, each) for each in (50, 90, 99))
    return f"{name:<28} {len(found):>4} {p50:6.2f} {p90:6.2f} {p99:6.2f} {max(found):6.2f}"


def with_guests(market: SlurmMarket) -> float:
    """All nodes are a guest's when the owner asks."""
    guest = market.guest(nodes=3)
    market.wait_for(guest, "running")
    took = timed(market)
    market.served.ask("POST", f"/workloads/{guest}/cancel", {"now": True})
    until(lambda: market.seen(guest)["phase"] == "cancelled")
    return took


def main() -> None:
    """Prints a table of three rows, each as soon as it is known."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with (
        open_folder() as folder,
        slurm(folder / "c", nodes=3, gpus=GPUS) as cluster,
        slurm_market(cluster, folder) as market,
    ):
        print(f"{'from sbatch to running':<28}    n    p50    p90    p99   most (seconds)")

        def row(name: str, one: Callable[[SlurmMarket], float]) -> None:
            print(line(name, [one(market) for _ in range(count)]), flush=True)

        row("bare: no fence", timed)
        market.fence()
        market.lend(2)
        row("free: fenced, lent, idle", timed)
        row("guests: on all nodes", with_guests)
        print(f"load {os.getloadavg()[1]:.0f}")


if __name__ == "__main__":
    main()
