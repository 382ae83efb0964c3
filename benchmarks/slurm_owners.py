"""How long an owner's plain `sbatch` takes to run on a real Slurm: alone, lent, and with guests.

    python -m benchmarks.slurm_owners [ROUNDS]

A cluster of 3 nodes with fake GPUs, a server and an agent as processes. `bare`: a job of one node
before the pool is fenced. `free`: behind the fence, its node lent and idle. `guests`: all nodes
held by a guest that saves as soon as it is told and leaves; one that does not has its notice on
top. Seconds, p50 and p99.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence

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


def rounds(count: int, one: Callable[[], float]) -> str:
    """`count` of them, as p50 and p99."""
    return quantiles([one() for _ in range(count)])


def quantiles(found: Sequence[float]) -> str:
    """With few rounds p99 is the greatest."""
    return f"p50 {statistics.median(found):.2f} s, p99 {max(found):.2f} s of {len(found)}"


def with_guests(market: SlurmMarket) -> float:
    """All nodes are a guest's when the owner asks."""
    guest = market.guest(nodes=3)
    market.wait_for(guest, "running")
    took = timed(market)
    market.served.ask("POST", f"/workloads/{guest}/cancel", {"now": True})
    until(lambda: market.seen(guest)["phase"] == "cancelled")
    return took


def main() -> None:
    """Prints three lines."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with (
        open_folder() as folder,
        slurm(folder / "c", nodes=3, gpus=GPUS) as cluster,
        slurm_market(cluster, folder) as market,
    ):
        print("bare:  ", rounds(count, lambda: timed(market)), flush=True)
        market.fence()
        market.lend(2)
        print("free:  ", rounds(count, lambda: timed(market)), flush=True)
        print("guests:", rounds(count, lambda: with_guests(market)), flush=True)


if __name__ == "__main__":
    main()
