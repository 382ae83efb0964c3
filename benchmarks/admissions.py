"""Submissions over HTTP, each on disk before its answer, by clients that keep their connection.

    python -m benchmarks.admissions [--only rate | --only latency]

`rate`: 1, 4, 16 and 64 clients that wait for each answer, and as many loops of `sbatch --hold`
against a real Slurm controller on this machine, in turn. Left out where Slurm is missing.

`latency`: 200 submissions a second, sent at their times, into a market of 1,000 nodes with 1,000
open workloads and into one of 12,500 with 10,000, while it clears every 2 s. Also the server's
memory, and what its journal grew by.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import psutil

from benchmarks.figures import percentile
from benchmarks.service import pool, served
from benchmarks.submit import server_cpu_seconds, specification
from demo.stage import Stage
from tests.slurm_cluster import Slurm, missing, open_folder, slurm

CLIENTS = (1, 4, 16, 64)
ROUNDS = 3
SECONDS = 4.0
RATE = 200
SENDERS = 64
FLEETS = ((1_000, 1_000), (12_500, 10_000))
FABRIC_NODES = 125
GPUS = 8
CLEARS_EVERY = "2s"
HELD = ("--hold", "--output=/dev/null", "--chdir=/", "--parsable", "--wrap=true")


@dataclass(frozen=True, kw_only=True)
class Sent:
    """Answers, their latencies in seconds, and the server's processor time."""

    seconds: float
    latencies: list[float]
    cpu_s: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Of each."""
        return self.cpu_s * 1000 / len(self.latencies)


class Door:
    """A server's submissions, as its clients send them."""

    def __init__(self, stage: Stage) -> None:
        self._port = int(stage.url.rpartition(":")[2])
        token = stage.operator.create_token("lab-member").secret
        spec = specification().model_dump(mode="json", exclude_unset=True)
        body = json.dumps({"spec": spec}).encode()
        head = (
            f"POST /v1/workloads HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._request = head.encode() + body

    def send(self, clients: int, seconds: float, rate: float = 0) -> Sent:
        """By a process of its own."""
        words = [self._port, clients, seconds, *([rate] if rate else [])]
        before = server_cpu_seconds()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.keep_alive", *map(str, words)],
            input=self._request,
            stdout=subprocess.PIPE,
            check=True,
        )
        cpu_s = server_cpu_seconds() - before
        return Sent(cpu_s=cpu_s, **json.loads(done.stdout))


@contextmanager
def market(nodes: int, **terms: str) -> Iterator[tuple[Stage, Door]]:
    """A server whose agent is elsewhere, so nothing is launched here."""
    with served() as stage:
        fabrics = {
            f"f{first}": [
                f"n{number:05}" for number in range(first, min(first + FABRIC_NODES, nodes))
            ]
            for first in range(0, nodes, FABRIC_NODES)
        }
        stage.operator.create_pool(pool(site="elsewhere", fabrics=fabrics, gpus=GPUS, **terms))
        stage.admit(deposit="1000000000")
        yield stage, Door(stage)


def sbatch_rate(cluster: Slurm, loops: int, seconds: float) -> float:
    """Held jobs a second of so many loops at once; gone afterwards."""
    began = perf_counter()

    def loop() -> int:
        count = 0
        while perf_counter() - began < seconds:
            cluster.run("sbatch", *HELD)
            count += 1
        return count

    with ThreadPoolExecutor(loops) as threads:
        count = sum(each.result() for each in [threads.submit(loop) for _ in range(loops)])
    took = perf_counter() - began
    cluster.run("scancel", "--user=root")
    return count / took


def rates(cluster: Slurm | None, *, clients: tuple[int, ...], rounds: int, seconds: float) -> None:
    """A line for each number of clients."""
    with market(100) as (_, door):
        for number in clients:
            ours, theirs = [], []
            for _ in range(rounds):
                ours.append(door.send(number, seconds))
                if cluster is not None:
                    theirs.append(sbatch_rate(cluster, number, seconds))
            rate = statistics.median(each.rate for each in ours)
            words = f"{number} clients: {spread([each.rate for each in ours])}/s"
            words += f", {statistics.median(each.cpu_ms for each in ours):.2f} ms of processor each"
            if theirs:
                beside = rate / statistics.median(theirs)
                words += f"; sbatch --hold {spread(theirs)}/s: {beside:.1f} times"
            print(words, flush=True)


def latencies(nodes: int, workloads: int, *, seconds: float, rate: float) -> None:
    """One line: single submissions while a market of this size clears."""
    with market(nodes, clearing_interval=CLEARS_EVERY) as (stage, door):
        before = size_of(stage.folder)
        sent = 0
        while sent < workloads:
            sent += len(door.send(SENDERS, 1.0).latencies)
        grown = size_of(stage.folder) - before
        found = door.send(SENDERS, seconds, rate)
        memory = memory_mib()
    of_each = [1000 * each for each in found.latencies]
    half, late = percentile(of_each, 50), percentile(of_each, 99)
    print(
        f"{nodes:,} nodes, {sent:,} open workloads, {rate:g}/s: half are answered within"
        f" {half:.1f} ms, 99 of 100 within {late:.1f} ms; memory {memory:.0f} MiB;"
        f" journal {grown / sent:,.0f} B a workload (load {os.getloadavg()[0]:.0f})",
        flush=True,
    )


def size_of(folder: Path) -> int:
    """Bytes of the server's journal."""
    return sum(file.stat().st_size for file in (folder / "data").glob("parkade.sqlite3*"))


def memory_mib() -> float:
    """Of the servers that this process started."""
    children = psutil.Process().children()
    return sum(child.memory_info().rss for child in children) / 2**20


def spread(values: list[float]) -> str:
    """The median, and the least and the greatest."""
    return f"{statistics.median(values):.0f} ({min(values):.0f} – {max(values):.0f})"


@contextmanager
def controller() -> Iterator[Slurm | None]:
    """A Slurm of one node, where this machine has Slurm."""
    if lacking := missing():
        print(f"without sbatch: this machine lacks {', '.join(lacking)}", flush=True)
        yield None
        return
    settings = {"MaxJobCount": "50000", "MinJobAge": "5"}
    with open_folder() as folder, slurm(folder / "c", nodes=1, settings=settings) as cluster:
        yield cluster


def main() -> None:
    """Prints a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["rate", "latency"])
    only = parser.parse_args().only
    if only != "latency":
        with controller() as cluster:
            rates(cluster, clients=CLIENTS, rounds=ROUNDS, seconds=SECONDS)
    if only != "rate":
        for nodes, workloads in FLEETS:
            latencies(nodes, workloads, seconds=SECONDS * 2, rate=RATE)


if __name__ == "__main__":
    main()
