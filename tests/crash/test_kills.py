"""Kills the real server and its agent at their worst moments, and holds what must hold.

After each kill the journal is read by an independent auditor, and compared with what the client
was told and with the processes on this machine: nothing acknowledged is lost, nothing is done or
charged twice, and what ran goes on running and is never started again.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.auditor import Books, audit
from tests.crash.marketplace import POOL, Died, Marketplace, is_alive, new_key
from tests.waits import PATIENCE_S, until

pytestmark = pytest.mark.system

POINTS = (
    "before_commit",
    "inside_commit",
    "after_commit",
    "before_answer",
    "after_launch",
    "agent",
)
"""`after_launch` kills the agent behind a launch, `agent` kills it from outside at any moment; the
others kill the server."""
LONGEST_LIFE_S = 2.5
AGENT_LIFE_S = 0.5


@pytest.fixture
def marketplace(tmp_path: Path) -> Iterator[Marketplace]:
    made = Marketplace(tmp_path)
    yield made
    made.close()


class Client:
    """Asks one thing after another, each until it is answered, whoever dies in between."""

    def __init__(self, marketplace: Marketplace, chance: random.Random) -> None:
        self._marketplace = marketplace
        self._chance = chance
        self._todo: tuple[str, str, dict[str, Any], str] | None = None
        self._first: list[tuple[str, str, dict[str, Any]]] = [
            ("pool", "/pools", POOL),
            ("org", "/orgs", {"org": "acme"}),
            ("deposit", "/orgs/acme/deposits", {"amount": "50"}),
        ]
        self.told: list[tuple[str, Any]] = []

    def act(self) -> None:
        """The next request, or the one that was not answered; Died where it is not again."""
        if self._todo is None:
            self._todo = (*self._next(), new_key())
        kind, path, body, key = self._todo
        answer = self._marketplace.post(path, body, key)
        if "code" not in answer:
            self.told.append((kind, answer))
        else:
            assert kind in ("cancel", "bid"), answer
        self._todo = None

    def _next(self) -> tuple[str, str, dict[str, Any]]:
        if self._first:
            return self._first.pop(0)
        known = [answer["workload"] for kind, answer in self.told if kind == "submit"]
        draw = self._chance.random()
        if draw < 0.35 or not known:
            return "submit", "/workloads", self._submission(len(known))
        workload = self._chance.choice(known)
        if draw < 0.5:
            return "cancel", f"/workloads/{workload}/cancel", {"now": draw < 0.42}
        if draw < 0.65:
            limit = str(self._chance.randint(1, 9))
            return "bid", f"/workloads/{workload}/bid", {"limit_price": limit}
        return "deposit", "/orgs/acme/deposits", {"amount": "1"}

    def _submission(self, number: int) -> dict[str, Any]:
        file = self._marketplace.runs / f"run-{number}"
        seconds = self._chance.choice(("0.2", "600", "600"))
        spec = {
            "name": f"run-{number}",
            "command": f"echo $PARKADE_ATTEMPT $$ >> {file}; exec sleep {seconds}",
            "workdir": "/tmp",
            "gpus": self._chance.randint(1, 4),
            "limit_price": str(self._chance.randint(1, 9)),
        }
        return {"org": "acme", "spec": spec}


def live_until_it_dies(marketplace: Marketplace, client: Client, crash_at: str) -> bool:
    """One life of the server; where its trap is not sprung, it is killed from outside: false.

    `crash_at` is `point:number`: the passing at which it dies, or for `agent`, how long that lives.
    """
    marketplace.start(crash_at)
    point, _, number = crash_at.partition(":")
    try:
        marketplace.wait_ready()
        began = time.monotonic()
        kill_at = began + AGENT_LIFE_S * int(number) if point == "agent" else None
        while (now := time.monotonic()) < began + LONGEST_LIFE_S:
            client.act()
            if kill_at is not None and now > kill_at:
                marketplace.kill_agent()
                kill_at = None
            if marketplace.wait_death(0.02):
                return True
    except Died:
        assert marketplace.wait_death(PATIENCE_S)
        return True
    marketplace.kill()
    return False


def check_after_death(marketplace: Marketplace, client: Client) -> Books:
    """What must hold whenever nobody is alive to explain it."""
    bodies = marketplace.journal()
    events = [json.loads(body) for body in bodies]
    books = audit(bodies)
    moved = [
        (sequence, position, one["debit"], one["credit"], one["micros"])
        for sequence, event in enumerate(events, start=1)
        for position, one in enumerate(event.get("transfers", ()))
    ]
    assert marketplace.transfers() == moved, "the statements are not what the journal says"
    told = Counter(kind for kind, _ in client.told)
    kinds = Counter(event["type"] for event in events)
    deposits = sum(1 for e in events for t in e.get("transfers", ()) if t["kind"] == "deposit")
    assert told["deposit"] <= deposits <= told["deposit"] + 1
    assert told["submit"] <= kinds["Submitted"] <= told["submit"] + 1
    for kind, answer in client.told:
        assert kind != "submit" or answer["workload"] in books.workloads
    started = Counter(attempt for attempt, _ in marketplace.started())
    assert set(started.values()) <= {1}, f"an attempt was started again: {started}"
    assert started.keys() <= books.runs.keys(), "something ran that nobody ordered"
    return books


def check_who_runs(marketplace: Marketplace, books: Books) -> None:
    """Nobody who should run was lost with the server: its keeper and it go on."""
    stopped = {attempt for attempt, run in books.runs.items() if run.kill_us is not None}
    now_us = time.time_ns() // 1000
    for attempt, process in marketplace.started():
        run = books.runs[attempt]
        command = books.workloads[attempt.rpartition(".")[0]]["spec"]["command"]
        is_long = command.endswith("600")
        if is_long and run.end is None and attempt not in stopped:
            assert is_alive(process), f"{attempt} died with the server"
        if run.end is not None and run.end["at_us"] < now_us:
            assert not is_alive(process), f"{attempt} has ended and still runs"


def end_everything(marketplace: Marketplace, client: Client) -> None:
    """A calm life at the end, in which every workload is cancelled and leaves."""
    marketplace.start()
    marketplace.wait_ready()
    client.act()
    until(lambda: not cancel_all(marketplace), marketplace.last_words)
    marketplace.stop()


def cancel_all(marketplace: Marketplace) -> list[Any]:
    """Cancels what lives, and returns it."""
    live: list[Any] = marketplace.get("/workloads?limit=1000")["workloads"]
    for workload in live:
        path = f"/workloads/{workload['workload']}/cancel"
        marketplace.post(path, {"now": True}, new_key())
    return live


@pytest.mark.parametrize(
    ("seed", "rounds"),
    [(1, 1), *(pytest.param(seed, 2, marks=pytest.mark.slow) for seed in (2, 3, 4, 5))],
)
def test_nothing_is_lost_or_done_twice_however_server_and_agent_die(
    marketplace: Marketplace, seed: int, rounds: int
) -> None:
    chance = random.Random(seed)
    client = Client(marketplace, chance)
    points = [*POINTS] * rounds
    chance.shuffle(points)
    for point in points:
        number = chance.randint(1, 3 if point in ("after_launch", "agent") else 12)
        live_until_it_dies(marketplace, client, f"{point}:{number}")
        check_who_runs(marketplace, check_after_death(marketplace, client))
    end_everything(marketplace, client)
    books = check_after_death(marketplace, client)
    assert books.live == {}
    for attempt, process in marketplace.started():
        assert not is_alive(process), f"{attempt} has ended and still runs"
    ran = {attempt for attempt, run in books.runs.items() if run.started_us is not None}
    assert ran <= {attempt for attempt, _ in marketplace.started()}
