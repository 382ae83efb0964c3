"""From an owner's claim to the notice in its guests' hands, through a whole server.

Six nodes of two slots, all lent and taken by twelve guests: programs that write down when their
signal came, say 'saved' and leave. The owner claims node after node; agent and terms as by
default, but for no back-off, so that the guests come back at once.

The stations between come from what is left behind: instants of the journal, and the times of the
order (the agent's) and of the notice (the keeper's), which each guest notes beside its own.

    python benchmarks/run.py --only reclaim
"""

import contextlib
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.figures import Figure, Kind, percentile
from benchmarks.service import pool, served
from demo.stage import Stage
from parkade.client import Client
from parkade.core.state.codec import decode_event
from parkade.core.state.events import Claimed, Cleared
from parkade.core.state.lines import name_of
from parkade.store import open_sqlite
from parkade.wire.reservations import Reserve
from parkade.wire.spec import WorkloadSpec

NODES, SLOTS = 6, 2
PATIENCE_S = 30.0
QUIET_S = (2.2, 3.2)
"""Later than the clearing that follows the guests' leaving, and the pause after that one."""
BUSY_S = (0.0, 0.5)
GUEST = """
leave() {
    at=$EPOCHREALTIME
    told=$(stat -c %.6Y "${PARKADE_NOTICE_FILE%/*}/order.json" "$PARKADE_NOTICE_FILE")
    echo "$at" $told > "NOTES/.$PARKADE_ATTEMPT"
    mv "NOTES/.$PARKADE_ATTEMPT" "NOTES/left-$PARKADE_ATTEMPT"
    kill $!
    exit 85
}
trap leave USR1
: > "NOTES/ready-$PARKADE_ATTEMPT"
sleep 300 & wait $!
"""
"""Bounded: it ends by itself where nobody is left to end it."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One guest's, on the wall clock in seconds."""

    claim: str
    asked: float
    answered: float
    ordered: float
    noticed: float
    signalled: float
    clearing: float

    @property
    def took(self) -> float:
        """From the claim's sending to the guest's signal."""
        return self.signalled - self.asked


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many waves; a wave claims `claims` nodes one after the other, then gives all back."""

    quiet: int
    busy: int
    bursts: int
    claims: int


FULL = Plan(quiet=3, busy=3, bursts=3, claims=NODES)
QUICK = Plan(quiet=1, busy=0, bursts=0, claims=1)


class Street:
    """The guests and what they note."""

    def __init__(self, stage: Stage, owner: Client, guests: Client) -> None:
        self._stage = stage
        self._owner = owner
        self._notes = stage.folder / "notes"
        self._notes.mkdir()
        script = stage.folder / "guest.sh"
        script.write_text(GUEST.replace("NOTES", str(self._notes)))
        self._guests = guests
        specs = [_guest(f"guest-{number}", script) for number in range(NODES * SLOTS)]
        self._names = [guests.submit(spec).workload for spec in specs]
        self._read: set[str] = set()
        self._claims: list[str] = []

    def await_full(self) -> None:
        """All guests run, listen, and everything has come to rest."""
        self._stage.until("the guests listen", self._is_full, seconds=PATIENCE_S)

    def reclaim(self, nodes: int) -> list[Notice]:
        """Claims, and waits until everyone who sits there knows."""
        asked = time.time()
        claim = self._owner.claim_nodes("acme", nodes=nodes).claim
        answered = time.time()
        self._claims.append(claim)
        left = self._await_notes(nodes * SLOTS)
        clearing = last_clearing_seconds(self._stage)
        return [
            Notice(
                claim=claim,
                asked=asked,
                answered=answered,
                ordered=ordered,
                noticed=noticed,
                signalled=signalled,
                clearing=clearing,
            )
            for signalled, ordered, noticed in left
        ]

    def give_back(self) -> None:
        """The guests may return."""
        for claim in self._claims:
            self._owner.unclaim_nodes(claim)
        self._claims.clear()
        self.await_full()

    def send_away(self) -> None:
        """Ends the guests: a server that stops leaves what runs on its nodes."""
        for guest in self._names:
            self._guests.cancel(guest, now=True)
        self._stage.until(
            "the guests are gone",
            lambda: not self._guests.list_workloads().workloads,
            seconds=PATIENCE_S,
        )

    def _is_full(self) -> bool:
        left = {path.name.removeprefix("left-") for path in self._notes.glob("left-*")}
        ready = {path.name.removeprefix("ready-") for path in self._notes.glob("ready-*")}
        return len(ready - left) == NODES * SLOTS

    def _await_notes(self, count: int) -> list[tuple[float, float, float]]:
        until = time.monotonic() + PATIENCE_S
        while len(new := self._unread()) < count:
            assert time.monotonic() < until, f"{len(new)} of {count} guests were told"
            time.sleep(0.005)
        self._read.update(path.name for path in new)
        return [_read_note(path) for path in new]

    def _unread(self) -> list[Path]:
        return [path for path in self._notes.glob("left-*") if path.name not in self._read]


def _read_note(path: Path) -> tuple[float, float, float]:
    signalled, ordered, noticed = map(float, path.read_text().split())
    return signalled, ordered, noticed


def last_clearing_seconds(stage: Stage) -> float:
    """What the server says that its last clearing took, committed."""
    page = httpx.get(f"{stage.url}/metrics").text
    found = re.search(r"^parkade_clearing_seconds (\S+)$", page, re.MULTILINE)
    assert found is not None
    return float(found[1])


def _guest(name: str, script: Path) -> WorkloadSpec:
    spec = {
        "name": name,
        "command": f"exec /bin/bash {script}",
        "workdir": str(script.parent),
        "gpus": 1,
        "capacity": "spot",
        "limit_price": "9",
        "checkpoint": {"signal": "SIGUSR1", "needs": "1s"},
    }
    return WorkloadSpec.model_validate(spec)


def figures(*, quick: bool) -> list[Figure]:
    """Everything of this file."""
    plan = QUICK if quick else FULL
    chance = random.Random(7)
    with served() as stage:
        with parked(stage) as street:
            quiet = waves(street, plan.quiet, plan.claims, QUIET_S, chance)
            busy = waves(street, plan.busy, plan.claims, BUSY_S, chance)
            bursts = [one for _ in range(plan.bursts) for one in burst(street)]
        stage.close()
        instants = read_instants(stage.folder / "data" / "parkade.sqlite3")
    return [
        *_summary("quiet", quiet, "one node at a time, 2.2-3.2 s after the last one"),
        *_summary("busy", busy, "one node at a time, 0-0.5 s after the last one"),
        *_summary("burst", bursts, "all six nodes with one claim"),
        *_stations("quiet", quiet, instants),
        *_stations("busy", busy, instants),
        *_stations("burst", bursts, instants),
    ]


@contextlib.contextmanager
def parked(stage: Stage) -> Iterator[Street]:
    """A full street; whoever is still there at the end is sent away."""
    fabrics = {name: [f"{name}{n}" for n in range(1, NODES // 2 + 1)] for name in ("a", "b")}
    stage.operator.create_pool(pool(site="local", fabrics=fabrics, gpus=SLOTS))
    people = stage.admit(deposit="100000")
    people["acme"].create_reservation(Reserve(nodes=NODES))
    street = Street(stage, people["acme"], people["lab"])
    # Lending asks for a clearing; newcomers on spot would wait for the next interval.
    people["acme"].lend_reservation("acme", floor="1")
    try:
        street.await_full()
        yield street
    finally:
        street.send_away()


def read_instants(path: Path) -> dict[str, tuple[float, float]]:
    """By claim, when it was decided and when the clearing that seated it began, from the journal
    of a server that has stopped."""
    claimed: dict[str, float] = {}
    found: dict[str, tuple[float, float]] = {}
    with contextlib.closing(open_sqlite(path)) as store:
        for entry in store.entries(after=0, limit=store.last_sequence()):
            event = decode_event(entry.body, entry.version)
            if isinstance(event, Claimed):
                claimed[event.claim.claim] = event.at_us / 1e6
            elif isinstance(event, Cleared):
                for won in event.won:
                    name = name_of(won.demand)
                    if name in claimed and name not in found:
                        found[name] = (claimed[name], event.at_us / 1e6)
    return found


def waves(
    street: Street, count: int, claims: int, pause_s: tuple[float, float], chance: random.Random
) -> list[Notice]:
    """Each time node after node, then all back."""
    found = []
    for _ in range(count):
        for _ in range(claims):
            time.sleep(chance.uniform(*pause_s))
            found += street.reclaim(1)
        street.give_back()
    return found


def burst(street: Street) -> list[Notice]:
    """Everything at once, once all is quiet."""
    time.sleep(QUIET_S[1])
    found = street.reclaim(NODES)
    street.give_back()
    return found


def _summary(name: str, notices: list[Notice], what: str) -> list[Figure]:
    took = tuple(one.took * 1000 for one in notices)
    if not took:
        return []
    said = f"claim sent to guest signalled: {what}, {len(took)} guests"
    return [
        _figure(f"reclaim.{name}", took, said),
        _figure(f"reclaim.{name}_p99", (percentile(took, 99),), "of these, the 99th percentile"),
    ]


def _stations(
    wave: str, notices: list[Notice], instants: dict[str, tuple[float, float]]
) -> list[Figure]:
    """Where a guest's time goes, leg after leg; the legs add up to it."""
    if not notices:
        return []
    legs: dict[str, list[float]] = {name: [] for name in LEGS}
    for one in notices:
        claimed, cleared = instants[one.claim]
        decided = min(cleared + one.clearing, one.ordered)
        stops = (one.asked, claimed, cleared, decided, one.ordered, one.noticed, one.signalled)
        for name, start, end in zip(LEGS, stops, stops[1:], strict=False):
            legs[name].append((end - start) * 1000)
    return [
        _figure(f"reclaim.{wave}_{name}", tuple(legs[name]), f"of {wave}: {LEGS[name]}")
        for name in LEGS
    ]


LEGS = {
    "request": "client, HTTP, authentication, until the writer's turn begins",
    "pause": "until the turn of the clearing begins; 0 where it is the same turn",
    "clearing": "the clearing decided and committed, as the server's metric tells",
    "agent": "the claim's commit, the long poll's answer, the agent's look, the order written",
    "keeper": "the keeper is poked and writes the notice",
    "signal": "the program's signal and its own clock",
}


def _figure(name: str, values: tuple[float, ...], what: str) -> Figure:
    return Figure(name=name, kind=Kind.END_TO_END, unit="ms", values=values, what=what)
