"""The mix of workloads of Kueue's baseline performance test, decided under a simulated clock.

    python -m benchmarks.kueue_mix [--owners 30]

Kueue's test has 5 cohorts of 6 queues. Each queue owns 20 units of its cohort's 120, may borrow
100, and gets 350 workloads of 1 unit for 200 ms (one each 100 ms), 100 of 5 units for 500 ms (each
500 ms) and 50 of 20 units for 1 s (each 1.2 s), the larger ones at a higher priority. Here a cohort
is a fabric of 15 nodes of 8 GPUs, a queue an org of its own, a unit a GPU, and a priority the limit
of a bid: 0.50, 1 and 2. Work of 20 GPUs has four ranks of 5.

The production writer takes its turns: commands, events, their chain of digests, clearings (at most
one in 0.5 s), deadlines and what agents are told. Its journal is in memory, its clock shows what it
is told, and the agent starts and ends work at the very instant. So there is no HTTP, no disk, no
network and no engine.
"""

import argparse
import heapq
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from benchmarks.figures import Figure, Kind
from benchmarks.town import START_US, TERMS, spot
from parkade.control.cycle import Asked
from parkade.control.rules import RULES
from parkade.control.settings import PlaneSettings
from parkade.control.uncollected import set_apart
from parkade.control.writer import Writer
from parkade.core.fleet.market import InstanceType
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.observed import EnginePhase, ObservedAttempt, RankExit
from parkade.core.workloads.workload import Attempt
from parkade.sim.store import Disk, MemoryStore
from tests import builders

POOL = "pool"
MS_US = 1_000
OWNERS_OF_A_COHORT = 6
NODES_OF_A_COHORT = 15
GPUS = 8


@dataclass(frozen=True, kw_only=True)
class Class:
    """What an owner submits: `count` of these, one each `every_us`."""

    count: int
    every_us: int
    runs_us: int
    nodes: int
    gpus: int
    limit_micros: int


SMALL = Class(
    count=350,
    every_us=100 * MS_US,
    runs_us=200 * MS_US,
    nodes=1,
    gpus=1,
    limit_micros=MICROS // 2,
)
MEDIUM = Class(
    count=100, every_us=500 * MS_US, runs_us=500 * MS_US, nodes=1, gpus=5, limit_micros=MICROS
)
LARGE = Class(
    count=50, every_us=1200 * MS_US, runs_us=SECOND_US, nodes=4, gpus=5, limit_micros=2 * MICROS
)
CLASSES = (SMALL, MEDIUM, LARGE)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it. `cpu_s`: of this process, the benchmark's own part included."""

    workloads: int
    starts: int
    entries: int
    clearings: int
    simulated_s: float
    cpu_s: float
    clearing_cpu_s: float


class Clock:
    """Shows what it is told."""

    def __init__(self) -> None:
        self.passed_us = 0

    def now_us(self) -> int:
        """The wall clock."""
        return START_US + self.passed_us

    def steady_us(self) -> int:
        """The clock that is never set."""
        return self.passed_us


class Mix:
    """One run of the test."""

    def __init__(self, owners: int) -> None:
        self._clock = Clock()
        self._launched: list[Attempt] = []
        self._ending: list[tuple[int, int, Attempt]] = []
        self._number = itertools.count()
        self._runs_us: dict[str, int] = {}
        self._starts = self._clearings = 0
        self._clearing_cpu_s = 0.0
        store = MemoryStore(Disk(), builders.no_point)
        rules = replace(RULES, watch=self._watch, decide=self._decide)
        self._writer = Writer(
            builders.dependencies(store, self._clock, rules=rules), PlaneSettings()
        )
        self._open(owners)
        self._arrivals = list(_arrivals(owners))[::-1]
        self._workloads = len(self._arrivals)

    def run(self) -> Outcome:
        """Until everything has ended."""
        set_apart()
        began_s = time.process_time()
        first = self._writer.health().sequence
        while self._arrivals or self._runs_us:
            self._step()
        return Outcome(
            workloads=self._workloads,
            starts=self._starts,
            entries=self._writer.health().sequence - first,
            clearings=self._clearings,
            simulated_s=self._clock.passed_us / SECOND_US,
            cpu_s=time.process_time() - began_s,
            clearing_cpu_s=self._clearing_cpu_s,
        )

    def _step(self) -> None:
        """One turn of the writer with what is due now, and on to what is next."""
        now_us = self._clock.passed_us
        asked: list[commands.AnyCommand] = []
        runs_us: list[int] = []
        while self._arrivals and self._arrivals[-1][0] <= now_us:
            _, org, kind = self._arrivals.pop()
            spec = spot(nodes=kind.nodes, gpus=kind.gpus, limit_micros=kind.limit_micros)
            asked.append(commands.Submit(by=org, org=org, market=None, spec=spec, is_held=False))
            runs_us.append(kind.runs_us)
        asked += self._reports()
        self._writer.intake.heard(POOL, now_us)
        turn = self._writer.turn([Asked(command=command) for command in asked])
        for outcome in turn.outcomes:
            assert not isinstance(outcome, Refusal), outcome
        submitted = (
            event.workload.workload
            for outcome in turn.outcomes
            if not isinstance(outcome, Refusal)
            for event in outcome.events
            if isinstance(event, events.Submitted)
        )
        self._runs_us.update(zip(submitted, runs_us, strict=False))
        due_us = [now_us + turn.idle_us]
        due_us += [self._arrivals[-1][0]] if self._arrivals else []
        due_us += [self._ending[0][0]] if self._ending else []
        self._clock.passed_us = now_us if self._launched else max(now_us, min(due_us))

    def _reports(self) -> list[commands.AnyCommand]:
        """What the agent saw: what was launched runs, and what has run for its time has ended."""
        now_us = self._clock.passed_us
        seen = []
        for attempt in self._launched:
            ends_us = now_us + self._runs_us[_workload(attempt)]
            heapq.heappush(self._ending, (ends_us, next(self._number), attempt))
            seen.append(self._seen(attempt, None))
        self._starts += len(self._launched)
        self._launched.clear()
        while self._ending and self._ending[0][0] <= now_us:
            _, _, attempt = heapq.heappop(self._ending)
            del self._runs_us[_workload(attempt)]
            seen.append(self._seen(attempt, now_us))
        return [commands.ReportAttempts(by=None, pool=POOL, attempts=tuple(seen))] if seen else []

    def _seen(self, attempt: Attempt, ended_us: int | None) -> ObservedAttempt:
        phase = EnginePhase.RUNNING if ended_us is None else EnginePhase.RELEASED
        ranks = range(0 if ended_us is None else len(attempt.seats))
        return builders.observed(
            attempt.attempt,
            generation=attempt.generation,
            phase=phase,
            started_us=max(attempt.ordered_us, self._clock.now_us())
            if ended_us is None
            else attempt.ordered_us,
            released_us=None if ended_us is None else self._clock.now_us(),
            exits=tuple(RankExit(rank=rank, code=0, signal=None) for rank in ranks),
            checkpoint=None,
            engine_state=phase.value,
        )

    def _watch(self, _world: World, event: events.AnyEvent) -> None:
        if isinstance(event, events.Launched):
            self._launched.append(event.attempt)
        self._clearings += isinstance(event, events.Cleared)

    def _decide(
        self, world: World, command: commands.AnyCommand, now_us: int
    ) -> tuple[events.AnyEvent, ...] | Refusal:
        if not isinstance(command, commands.RunClearing):
            return RULES.decide(world, command, now_us)
        began_s = time.process_time()
        made = RULES.decide(world, command, now_us)
        self._clearing_cpu_s += time.process_time() - began_s
        return made

    def _open(self, owners: int) -> None:
        cohorts = -(-owners // OWNERS_OF_A_COHORT)
        fabrics = {f"f{number}n": NODES_OF_A_COHORT for number in range(cohorts)}
        kind = InstanceType(
            name="h100", gpu_model="H100", gpus_per_node=GPUS, memory_gib=1024, cpus=96
        )
        terms = replace(TERMS, turnaround_us=0, backoff_us=0, buffer_nodes=0)
        terms = replace(terms, clearing_pause_us=SECOND_US // 2)
        opened: list[commands.AnyCommand] = [
            builders.open_pool(POOL, fabrics, instance_type=kind, terms=terms)
        ]
        for org in map(_org, range(owners)):
            opened.append(commands.CreateOrg(by=None, org=org))
            opened.append(builders.create_user(org, org))
            opened.append(commands.Deposit(by=None, org=org, micros=10**9 * MICROS))
        self._writer.intake.heard(POOL, 0)
        turn = self._writer.turn([Asked(command=command) for command in opened])
        assert not any(isinstance(it, Refusal) for it in turn.outcomes), turn.outcomes


def _arrivals(owners: int) -> Iterator[tuple[int, str, Class]]:
    """(when, whose, what), in order of time."""
    found = (
        (number * kind.every_us, _org(owner), kind)
        for kind in CLASSES
        for number in range(1, kind.count + 1)
        for owner in range(owners)
    )
    return iter(sorted(found, key=lambda each: each[0]))


def _org(owner: int) -> str:
    return f"owner-{owner:02}"


def _workload(attempt: Attempt) -> str:
    return attempt.attempt.partition(".")[0]


def figures(*, quick: bool) -> list[Figure]:
    """Starts for each second of the processor."""
    outcome = Mix(1 if quick else 30).run()
    what = "workloads of Kueue's baseline mix started, journal in memory, simulated clock"
    rate = outcome.starts / outcome.cpu_s
    return [
        Figure(name="kueue_mix.starts", kind=Kind.DECISION, unit="/s", values=(rate,), what=what)
    ]


def main() -> None:
    """Prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--owners", type=int, default=30)
    it = Mix(parser.parse_args().owners).run()
    print(
        f"{it.workloads:,} workloads, {it.starts:,} starts, {it.entries:,} journal entries,"
        f" {it.clearings:,} clearings in {it.simulated_s:.1f} s of the simulated clock;"
        f" {it.cpu_s:.1f} CPU-s, {it.clearing_cpu_s:.1f} of them clearings:"
        f" {it.starts / it.cpu_s:,.0f} starts and {it.entries / it.cpu_s:,.0f} entries a CPU-second"
    )


if __name__ == "__main__":
    main()
