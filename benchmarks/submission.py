"""What a submission costs the server's processor beside HTTP's bytes, in one thread.

    python -m benchmarks.submission [--nodes 100] [--at-once 64] [--seconds 4]

The app is asked directly, and the writer's turns run between the requests, so that neither the
network nor the interpreter's lock is in the figures, and no clearing. The journal is in memory as
far as the system has such a folder. Prints the least and the median of all batches: on a machine
with other work the least is what compares.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.service import pool
from benchmarks.submit import specification
from parkade.api import ApiSettings, create_app
from parkade.control.clock import SystemClock
from parkade.control.plane import Plane
from parkade.control.settings import PlaneSettings
from parkade.service.first import make_operator
from parkade.store import open_sqlite
from tests import builders

FABRIC_NODES = 125
IN_MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
Post = Callable[[str, bytes, str], Awaitable[tuple[int, bytes]]]


class Turns:
    """Runs the writer's turns in the event loop, and keeps what they took."""

    def __init__(self, plane: Plane) -> None:
        self.seconds = 0.0
        self._is_due = False
        self._turn = plane.drive(self._ask)

    def _ask(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._is_due = False
        began = perf_counter()
        self._turn()
        self.seconds += perf_counter() - began


def posting(app: Any) -> Post:
    """Asks the app as an HTTP server does."""

    async def post(path: str, body: bytes, token: str) -> tuple[int, bytes]:
        headers = {
            "host": "127.0.0.1",
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            "content-length": str(len(body)),
        }
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "root_path": "",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        sent: list[Any] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: object) -> None:
            sent.append(message)

        await app(scope, receive, send)
        return sent[0]["status"], sent[1]["body"]

    return post


async def opened(plane: Plane, post: Post, nodes: int) -> str:
    """A pool, an org with money, and the token of its user."""
    operator: list[str] = []
    await make_operator(
        plane, show_secret=lambda secret: operator.append(secret), is_new_token_wanted=False
    )
    names = [f"n{number:05}" for number in range(nodes)]
    fabrics = {
        f"f{first}": names[first : first + FABRIC_NODES] for first in range(0, nodes, FABRIC_NODES)
    }
    supply = pool(site="elsewhere", fabrics=fabrics, gpus=8).model_dump(mode="json")
    asked: list[tuple[str, dict[str, object]]] = [
        ("/v1/pools", supply),
        ("/v1/orgs", {"org": "lab"}),
        ("/v1/orgs/lab/deposits", {"amount": "1000000000"}),
        ("/v1/users", {"user": "researcher", "org": "lab", "role": "member"}),
        ("/v1/tokens", {"user": "researcher"}),
    ]
    for path, body in asked:
        status, answer = await post(path, json.dumps(body).encode(), operator[0])
        assert status < 300, answer
    return str(json.loads(answer)["secret"])


async def measure(nodes: int, at_once: int, seconds: float) -> tuple[list[float], list[float]]:
    """Microseconds of each submission beside the writer's turn, and in it, by batch."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        store = open_sqlite(Path(folder) / "journal.sqlite3")
        with contextlib.closing(store):
            settings = PlaneSettings(clearing_part=1_000_000)
            plane = Plane(builders.dependencies(store, SystemClock()), settings)
            turns, post = Turns(plane), posting(create_app(plane, ApiSettings()))
            token = await opened(plane, post, nodes)
            spec = specification().model_dump(mode="json", exclude_unset=True)
            body = json.dumps({"spec": spec}).encode()
            beside: list[float] = []
            inside: list[float] = []
            until = perf_counter() + seconds
            while (began := perf_counter()) < until or not beside:
                turns.seconds = 0.0
                batch = (post("/v1/workloads", body, token) for _ in range(at_once))
                answers = await asyncio.gather(*batch)
                took = perf_counter() - began
                assert all(status == 201 for status, _ in answers), answers[0]
                beside.append((took - turns.seconds) / at_once * 1e6)
                inside.append(turns.seconds / at_once * 1e6)
            return beside, inside


def main() -> None:
    """Prints a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4.0)
    asked = parser.parse_args()
    found = asyncio.run(measure(asked.nodes, asked.at_once, asked.seconds))
    beside, inside = (f"{min(it):.0f} µs ({statistics.median(it):.0f})" for it in found)
    print(f"{asked.nodes:,} nodes, {asked.at_once} at once: {beside}, in the turn {inside}")


if __name__ == "__main__":
    main()
