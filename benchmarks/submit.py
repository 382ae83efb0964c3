"""How fast a submission is accepted: committed to disk, and through a whole server.

The open loop sends at its own times, whatever the server does, and each latency counts from when
the request should have been sent: a server that stalls is charged with everyone who waited.

    python benchmarks/run.py --only submit
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import Figure, Kind, percentile, seconds
from benchmarks.service import pool, served
from benchmarks.town import Town, open_pool
from demo.stage import Stage
from parkade.client.asynchronous import AsyncClient
from parkade.control.cycle import Asked, Cycle
from parkade.control.recover import recover
from parkade.control.rules import RULES
from parkade.core.state import commands
from parkade.store import open_sqlite
from parkade.wire.spec import WorkloadSpec

CLIENTS = 4


@dataclass(frozen=True, kw_only=True)
class Load:
    """`rounds` of `seconds` each, open at `rate` a second and closed with CLIENTS clients."""

    rate: int
    seconds: float
    rounds: int
    commits: int
    nodes: int


FULL = Load(rate=50, seconds=4.0, rounds=3, commits=100, nodes=100)
QUICK = Load(rate=20, seconds=0.3, rounds=1, commits=3, nodes=4)


def figures(*, quick: bool) -> list[Figure]:
    """Everything of this file."""
    load = QUICK if quick else FULL
    return [*committing(load), *serving(load)]


def committing(load: Load) -> list[Figure]:
    """Without HTTP: decided, evolved and committed, alone and sixty-four to a commit."""
    with tempfile.TemporaryDirectory(prefix="parkade-bench-") as folder:
        store = open_sqlite(Path(folder) / "journal.sqlite3")
        with contextlib.closing(store):
            town = Town(nodes=load.nodes)
            cycle = Cycle(recover(store, RULES), store, RULES, check_every=0)
            cycle.open(
                commands.OpenEpoch(by=None, installation="i" * 32, lineage="l" * 32), town.now_us
            )
            orgs = [commands.CreateOrg(by=None, org=name) for name in town.world.records.orgs]
            _take(cycle, town, [open_pool(load.nodes), *orgs])
            alone = [_commit_ms(cycle, town, 1) for _ in range(load.commits)]
            shared = [_commit_ms(cycle, town, 64) for _ in range(max(3, load.commits // 10))]
    return [
        Figure(
            name="submit.commit",
            kind=Kind.DURABLE,
            unit="ms",
            values=tuple(alone),
            what="one submission decided, evolved, committed",
        ),
        Figure(
            name="submit.commit_rate",
            kind=Kind.DURABLE,
            unit="/s",
            values=tuple(64 / ms * 1000 for ms in shared),
            what="submissions where 64 share a commit",
        ),
    ]


def _commit_ms(cycle: Cycle, town: Town, count: int) -> float:
    submissions = [town.submission() for _ in range(count)]
    return seconds(lambda: _take(cycle, town, submissions)) * 1000


def _take(cycle: Cycle, town: Town, submissions: Sequence[commands.AnyCommand]) -> None:
    given = [Asked(command=command, idempotency=None) for command in submissions]
    outcomes, _ = cycle.take_commands(town.now_us, given)
    assert len(outcomes) == len(submissions)


def serving(load: Load) -> list[Figure]:
    """A server process over HTTP. Its pool's agent is elsewhere: nothing is launched here."""
    with served() as stage:
        names = [f"n{number:03}" for number in range(load.nodes)]
        stage.operator.create_pool(pool(site="elsewhere", fabrics={"f": names}, gpus=8))
        stage.admit(deposit="1000000")
        token = stage.operator.create_token("lab-member").secret
        opened = [asyncio.run(open_loop(stage, token, load)) for _ in range(load.rounds)]
        closed = [_closed(stage, token, load) for _ in range(load.rounds)]
    many = f"{load.rate} submissions/s over HTTP, each durable, open loop"
    return [
        *(
            Figure(
                name=f"submit.latency_p{percent}",
                kind=Kind.END_TO_END,
                unit="ms",
                values=tuple(percentile(latencies, percent) * 1000 for latencies in opened),
                what=f"scheduled to answered: {many}",
            )
            for percent in (50, 99)
        ),
        Figure(
            name="submit.rate",
            kind=Kind.END_TO_END,
            unit="/s",
            values=tuple(rate for rate, _ in closed),
            what=f"submissions over HTTP, each durable, {CLIENTS} clients that wait for answers",
        ),
        Figure(
            name="submit.server_cpu",
            kind=Kind.END_TO_END,
            unit="ms",
            values=tuple(cpu for _, cpu in closed),
            what="processor time of the server for each of these",
        ),
    ]


def _closed(stage: Stage, token: str, load: Load) -> tuple[float, float]:
    """Submissions a second, and the server's processor time for each in milliseconds."""
    before = server_cpu_seconds()
    count, span = asyncio.run(closed_loop(stage, token, load))
    return count / span, (server_cpu_seconds() - before) * 1000 / count


def server_cpu_seconds() -> float:
    """Of the servers that this process started."""
    times = [child.cpu_times() for child in psutil.Process().children()]
    return sum(each.user + each.system for each in times)


async def open_loop(stage: Stage, token: str, load: Load) -> list[float]:
    """Seconds from each scheduled instant to the answer."""
    async with AsyncClient(stage.url, token=token) as client:
        await client.whoami()
        start = time.perf_counter() + 0.1
        count = round(load.rate * load.seconds)
        due = [start + number / load.rate for number in range(count)]
        return await asyncio.gather(*(_latency(client, at) for at in due))


async def _latency(client: AsyncClient, due: float) -> float:
    await asyncio.sleep(due - time.perf_counter())
    await client.submit(specification())
    return time.perf_counter() - due


async def closed_loop(stage: Stage, token: str, load: Load) -> tuple[int, float]:
    """Submissions and seconds of clients that each wait for the answer before the next."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [AsyncClient(stage.url, token=token) for _ in range(CLIENTS)]
        for client in clients:
            await stack.enter_async_context(client)
            await client.whoami()
        began = time.perf_counter()
        until = began + load.seconds
        loops: list[Coroutine[Any, Any, int]] = [_submit_until(one, until) for one in clients]
        counts = await asyncio.gather(*loops)
        return sum(counts), time.perf_counter() - began


async def _submit_until(client: AsyncClient, until: float) -> int:
    count = 0
    while time.perf_counter() < until:
        await client.submit(specification())
        count += 1
    return count


def specification() -> WorkloadSpec:
    """A node for an hour."""
    spec = {
        "name": "train",
        "command": "true",
        "workdir": "/",
        "gpus": 8,
        "capacity": "spot",
        "limit_price": "2.50",
        "max_duration": "1h",
    }
    return WorkloadSpec.model_validate(spec)
