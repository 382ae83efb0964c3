"""The writer and the real core through months of simulated time, dying at every seam of a commit.

Power fails at a drawn point; what was in memory is gone, the journal is opened again, and every
command that was not answered is asked again under its key; at times the newest snapshot is torn as
well. The auditor reads the journal after each failure.
"""

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from parkade.control.answers import Decided, Idempotency
from parkade.control.cycle import Asked, Outcome
from parkade.control.recover import recover
from parkade.control.rules import RULES
from parkade.control.settings import PlaneSettings
from parkade.control.whole import check_whole
from parkade.control.writer import Writer
from parkade.core.state import commands
from parkade.core.state.codec import encode_snapshot
from parkade.core.state.people import Role
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.core.workloads.observed import EnginePhase, ObservedAttempt, RankExit
from parkade.ports import DesiredAttempt
from parkade.store import open_sqlite
from tests import builders
from tests.auditor import audit
from tests.clocks import HandClock

POINTS = ("before_commit", "inside_commit", "after_commit", "before_answer")
FOLD_POINTS = ("before_fold", "inside_fold", "end_of_fold", "after_fold")
SEGMENT = 8
SETTINGS = PlaneSettings(check_every=1, snapshot_every_events=40)

T = TypeVar("T")


class PowerLoss(BaseException):
    """Everything in memory is gone."""


class Node:
    """An agent's machine: it survives the server, and does what it was last told."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.launches: list[str] = []
        self.seen: dict[str, ObservedAttempt] = {}
        self._desired: dict[str, DesiredAttempt] = {}
        self._ends_us: dict[str, int] = {}

    def hear(self, attempts: tuple[DesiredAttempt, ...], now_us: int) -> None:
        """The whole desired state."""
        self._desired = {one.attempt: one for one in attempts}
        for one in attempts:
            if one.attempt not in self.seen:
                self._launch(one, now_us)
        released = [name for name, seen in self.seen.items() if seen.released_us is not None]
        for name in released:
            if name not in self._desired:
                del self.seen[name]

    def _launch(self, one: DesiredAttempt, now_us: int) -> None:
        self.launches.append(one.attempt)
        self._ends_us[one.attempt] = now_us + self._chance.randint(1, 5 * HOUR_US)
        self.seen[one.attempt] = builders.observed(
            one.attempt, generation=one.generation, started_us=now_us
        )

    def live(self, now_us: int) -> None:
        """Programs end by themselves, or by the deadline they were given."""
        for name, seen in self.seen.items():
            if seen.released_us is not None:
                continue
            desired = self._desired.get(name)
            stop_us = desired.stop.deadline_us if desired and desired.stop else None
            end_us = min(self._ends_us[name], stop_us or self._ends_us[name])
            if end_us > now_us:
                continue
            code = 0 if end_us == self._ends_us[name] else None
            exit_of_it = RankExit(rank=0, code=code, signal=15 if code is None else None)
            self.seen[name] = msgspec.structs.replace(
                seen, phase=EnginePhase.RELEASED, released_us=end_us, exits=(exit_of_it,)
            )


class Story:
    """A drawn sequence of commands; the draws do not depend on who died when."""

    def __init__(self, seed: int, path: Path, *, deaths: bool) -> None:
        self.chance = random.Random(seed)
        self._fate = random.Random(-seed - 1)
        self._deaths = deaths
        self._fuse: tuple[str, int] | None = None
        self.path = path
        self.clock = HandClock()
        self.node = Node(random.Random(seed + 1000))
        self.lives = self.keys = self.folded = 0
        self.told: list[tuple[commands.AnyCommand, Outcome]] = []
        self.writer = self._live()

    def _live(self) -> Writer:
        self.lives += 1
        self.store = open_sqlite(self.path, crash_point=self._point, segment_entries=SEGMENT)
        dependencies = builders.dependencies(self.store, self.clock, crash_point=self._point)
        return Writer(dependencies, SETTINGS)

    def _point(self, point: str) -> None:
        if self._fuse is None or self._fuse[0] != point:
            return
        self._fuse = (point, self._fuse[1] - 1)
        if self._fuse[1] == 0:
            self._fuse = None
            raise PowerLoss(point)

    def _surviving(self, do: Callable[[], T]) -> T:
        """Does it, in as many lives as it takes."""
        while True:
            try:
                return do()
            except PowerLoss:
                self.store.close()
                self._audit()
                if self._fate.random() < 0.3:
                    self._tear_newest_snapshot()
                self.writer = self._live()

    def _tear_newest_snapshot(self) -> None:
        connection = sqlite3.connect(self.path)
        with connection:
            connection.execute(
                "UPDATE snapshots SET body = substr(body, 1, length(body) / 2)"
                " WHERE sequence = (SELECT max(sequence) FROM snapshots)"
            )
        connection.close()

    def _audit(self) -> None:
        store = open_sqlite(self.path)
        audit(entry.body for entry in store.entries(after=0, limit=10**9))
        store.close()

    def ask(self, command: commands.AnyCommand) -> None:
        """Until it is answered, under one key."""
        self.keys += 1
        name = Idempotency(principal="x", key=str(self.keys), request_digest=str(command))
        if self._deaths and self._fate.random() < 0.15:
            self._fuse = (self._fate.choice(POINTS), self._fate.randint(1, 3))
        one = Asked(command=command, idempotency=name)
        outcome = self._surviving(lambda: self.writer.turn((one,)).outcomes[0])
        assert outcome is not None
        self.told.append((command, outcome))

    def fold(self) -> None:
        """The oldest entries, where there is a snapshot behind them."""
        if self._deaths and self._fate.random() < 0.3:
            self._fuse = (self._fate.choice(FOLD_POINTS), 1)
        made = self._surviving(lambda: self.store.fold(before_us=self.clock.wall))
        self.folded += made is not None
        self._fuse = None

    def pass_time(self) -> None:
        """Time passes on the node and for the server; the node is heard and told."""
        span_us = self.chance.choice((SECOND_US, 10 * SECOND_US, MINUTE_US, 40 * MINUTE_US))
        self.clock.pass_us(span_us)
        state = self.writer.outbox.state("box")
        assert state is not None
        self.node.hear(state.attempts, self.clock.wall)
        self.node.live(self.clock.wall)
        report = commands.ReportAttempts(
            by=None, pool="box", attempts=tuple(self.node.seen.values())
        )
        self.writer.intake.heard("box", self.clock.steady_us())
        one = Asked(command=report, idempotency=None)
        self._surviving(lambda: self.writer.turn((one,)).outcomes[0])
        health = self.writer.health()
        assert (health.frozen_markets, health.refused_internal) == ((), 0)

    def begin(self) -> None:
        """A pool, an org, money."""
        for command in (
            builders.open_pool("box", {"a": 3, "b": 2}),
            commands.CreateOrg(by=None, org="a"),
            commands.CreateOrg(by=None, org="b"),
            commands.CreateUser(by=None, user="ua", org="a", role=Role.OWNER, unix_name=None),
            commands.CreateUser(by=None, user="ub", org="b", role=Role.OWNER, unix_name=None),
            commands.Deposit(by=None, org="a", micros=10**12),
            commands.Deposit(by=None, org="b", micros=10**12),
        ):
            self.ask(command)

    def draw(self) -> commands.AnyCommand:
        """Something that somebody may want."""
        org = self.chance.choice("ab")
        number = self.chance.randint(1, max(1, len(self.told) // 3))
        kind = self.chance.randint(0, 9)
        if kind == 0:
            return commands.Deposit(by=None, org=org, micros=self.chance.randint(1, 10**6))
        if kind == 1:
            now = self.chance.random() < 0.5
            return commands.Cancel(by=None, workload=f"w{number}", now=now)
        if kind == 2:
            limit = self.chance.randint(10**6, 10**7)
            return commands.ChangeBid(by=None, workload=f"w{number}", limit_price_micros=limit)
        if kind == 3:
            return commands.Reserve(
                by=f"u{org}",
                org=org,
                market="box",
                name=None,
                nodes=1,
                start_us=None,
                end_us=self.clock.wall + self.chance.randint(1, 20) * HOUR_US,
            )
        if kind == 4:
            return commands.Lend(
                by=None,
                reservation=f"r{self.chance.randint(1, 5)}",
                floor_micros=self.chance.randint(10**6, 3 * 10**6),
                keep=0,
            )
        if kind == 5:
            return commands.MakeClaim(by=None, reservation=f"r{self.chance.randint(1, 5)}", nodes=1)
        return self._submit(org)

    def _submit(self, org: str) -> commands.Submit:
        return builders.submit(
            org,
            f"u{org}",
            nodes=self.chance.randint(1, 2),
            gpus=self.chance.choice((1, 2, 4, 4)),
            limit_price_micros=self.chance.randint(10**6, 10**7),
            retry_failures=3,
        )

    def run(self, steps: int) -> None:
        """Commands with time between them."""
        self.begin()
        for _ in range(steps):
            self.ask(self.draw())
            self.pass_time()
            self.fold()


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(5, 30))]
)
def test_power_may_fail_at_any_seam_of_a_commit(tmp_path: Path, seed: int) -> None:
    story = Story(seed, tmp_path / "parkade.sqlite3", deaths=True)
    story.run(60)
    entries = story.store.entries(after=0, limit=10**9)
    books = audit(entry.body for entry in entries)
    assert story.lives > 3
    assert story.folded > 3
    assert check_whole(story.store, RULES).entries == len(entries)
    assert len(set(story.node.launches)) == len(story.node.launches)
    accepted = [
        c for c, o in story.told if isinstance(o, Decided) and isinstance(c, commands.Submit)
    ]
    assert len(books.workloads) == len(accepted)
    deposited = sum(c.micros for c, _ in story.told if isinstance(c, commands.Deposit))
    assert -books.balances["external"] == deposited
    live = encode_snapshot(story.writer._cycle.world)
    assert encode_snapshot(recover(story.store, RULES).world) == live
    story.store.close()
