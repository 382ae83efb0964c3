"""How quick the writer is, durably: `python -m tests.control.measure`. No test: a timing.

Deposits through the plane, each synced to disk before it is answered; in a temporary folder of
this machine's own disk.
"""

import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

import structlog

from parkade.control.clock import SystemClock
from parkade.control.plane import Plane
from parkade.control.settings import PlaneSettings
from parkade.core.state.commands import CreateOrg, Deposit
from parkade.store import open_sqlite
from tests import builders

ONE_BY_ONE = 1_000
TOGETHER = 20_000


async def deposit(plane: Plane, times: int) -> list[float]:
    """Seconds of each, one after the other, fewest first."""
    took = []
    for _ in range(times):
        started = time.perf_counter()
        await plane.execute(Deposit(by=None, org="a", micros=1))
        took.append(time.perf_counter() - started)
    return sorted(took)


async def measure(folder: Path) -> list[str]:
    """One line for each way of asking."""
    store = open_sqlite(folder / "parkade.sqlite3")
    dependencies = builders.dependencies(store, SystemClock())
    plane = Plane(dependencies, PlaneSettings(check_every=1000))
    plane.start()
    await plane.execute(CreateOrg(by=None, org="a"))
    took = await deposit(plane, ONE_BY_ONE)
    half, most = took[len(took) // 2] * 1e3, took[len(took) * 99 // 100] * 1e3
    lines = [f"one at a time: p50 {half:.2f} ms, p99 {most:.2f} ms to a durable answer"]
    for many in (16, 256):
        started = time.perf_counter()
        await asyncio.gather(*(deposit(plane, TOGETHER // many) for _ in range(many)))
        rate = TOGETHER / (time.perf_counter() - started)
        lines.append(f"{many} at once: {rate:.0f} commands/s")
    await plane.close()
    store.close()
    return lines


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as place:
        sys.stdout.write("\n".join(asyncio.run(measure(Path(place)))) + "\n")
