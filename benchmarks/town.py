"""A world to measure: driven through `decide` and `evolve` alone, with everything that happened.

Nodes of 8 GPUs in fabrics of 125, forty orgs with money, and spot workloads drawn from a seed:
gangs of 1 to 4 nodes and one workload in ten below a node. One of the orgs reserves a quarter of
the nodes and lends them.
"""

import random
from collections.abc import Iterable

from msgspec.structs import replace

from parkade.core.fleet.market import InstanceType, MarketTerms
from parkade.core.kernel.deadlines import next_deadline_us, take_deadline
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.state import commands, events, lines
from parkade.core.state.world import Records, World
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.core.workloads.observed import EnginePhase, ObservedAttempt, RankExit
from parkade.core.workloads.spec import Capacity, CapacityKind, Interconnect, Spec
from parkade.core.workloads.workload import Attempt

START_US = 1_700_000_000 * SECOND_US
FABRIC_NODES = 125
GPUS = 8
ORGS = 40
POOL = "pool"
TERMS = MarketTerms(
    pay_as_you_go_micros=4 * MICROS,
    reservation_rate_micros=2 * MICROS,
    public_floor_micros=MICROS // 2,
    fee=Fraction(numerator=1, denominator=10),
    switching_credit=Fraction(numerator=1, denominator=20),
    notice_us=120 * SECOND_US,
    heal_notice_us=30 * SECOND_US,
    kill_us=30 * SECOND_US,
    turnaround_us=30 * SECOND_US,
    start_grace_us=120 * SECOND_US,
    minimum_charge_us=120 * SECOND_US,
    release_grace_us=60 * SECOND_US,
    clearing_interval_us=30 * SECOND_US,
    clearing_pause_us=SECOND_US,
    billing_period_us=HOUR_US,
    backoff_us=5 * MINUTE_US,
    retention_us=24 * HOUR_US,
    buffer_nodes=1,
)


class Town:
    """One world, its clock and its journal. Nothing is checked here: tests do that."""

    def __init__(self, *, nodes: int, seed: int = 7) -> None:
        self.world = World(Records(balances={"external": 0}))
        self.journal: list[events.AnyEvent] = []
        self.now_us = START_US
        self._chance = random.Random(seed)
        self._submitted = 0
        self.do(commands.OpenEpoch(by=None, installation="i" * 32, lineage="l" * 32))
        self.do(open_pool(nodes))
        for number in range(ORGS):
            self.do(commands.CreateOrg(by=None, org=f"org-{number:02}"))
            self.do(commands.Deposit(by=None, org=f"org-{number:02}", micros=10**9 * MICROS))
        self._lend(nodes // 4)

    def do(self, command: commands.AnyCommand) -> tuple[events.AnyEvent, ...]:
        """Decides and evolves; a refusal is a fault of the benchmark."""
        made = decide(self.world, command, self.now_us)
        assert not isinstance(made, Refusal), events
        self.happen(made)
        return made

    def happen(self, made: Iterable[events.AnyEvent]) -> None:
        """Evolves and remembers."""
        for event in made:
            self.journal.append(event)
            evolve(self.world, event)

    def submit(self, count: int) -> list[str]:
        """So many new workloads; their ids."""
        found = []
        for _ in range(count):
            made = self.do(self.submission())
            found += [one.workload.workload for one in made if isinstance(one, events.Submitted)]
        return found

    def submission(self) -> commands.Submit:
        """The next workload that somebody wants run."""
        self._submitted += 1
        nodes, gpus = self._chance.choice((1, 1, 1, 1, 2, 2, 4)), GPUS
        if self._chance.random() < 0.1:
            nodes, gpus = 1, self._chance.choice((1, 2, 4))
        limit_micros = self._chance.randint(400_000, 3_000_000)
        spec = spot(nodes=nodes, gpus=gpus, limit_micros=limit_micros)
        org = f"org-{self._submitted % ORGS:02}"
        return commands.Submit(by=None, org=org, market=None, spec=spec, is_held=False)

    def clear(self) -> None:
        """A clearing; what it seated is launched and started at once."""
        self.do(commands.RunClearing(by=None, market=POOL))
        self.take_deadlines()
        self.report(EnginePhase.RUNNING, [a for a in self.attempts() if a.started_us is None])

    def wait(self, span_us: int) -> None:
        """Time passes."""
        self.now_us += span_us
        self.take_deadlines()

    def take_deadlines(self) -> None:
        """Everything that is due."""
        while (due_us := next_deadline_us(self.world)) is not None and due_us <= self.now_us:
            self.happen(take_deadline(self.world))

    def attempts(self) -> list[Attempt]:
        """All that hold seats."""
        live = (self.world.records.workloads[name] for name in self.world.live)
        return [workload.attempt for workload in live if workload.attempt is not None]

    def leave(self) -> None:
        """Who was told to leave is gone, and so is one in ten of the others, done."""
        told = [attempt for attempt in self.attempts() if attempt.stop is not None]
        done = [attempt for attempt in self.attempts() if attempt.stop is None][::10]
        self.report(EnginePhase.RELEASED, told, code=85)
        self.report(EnginePhase.RELEASED, done, code=0)

    def reprice(self) -> None:
        """A clearing in which everybody stays and every price changes."""
        self.now_us += 30
        live = (self.world.records.workloads[name] for name in self.world.live)
        repriced = tuple(
            lines.Repriced(
                workload=workload.workload,
                rate=replace(attempt.rates[-1], from_us=self.now_us),
                price_set_by=None,
            )
            for workload in live
            if (attempt := workload.attempt) is not None and attempt.stop is None
        )
        cleared = events.Cleared(
            at_us=self.now_us,
            market=POOL,
            left=(),
            won=(),
            repriced=repriced,
            waiting=(),
            ladder=(),
        )
        self.happen([cleared])
        self.take_deadlines()

    def report(self, phase: EnginePhase, attempts: list[Attempt], code: int = 0) -> None:
        """What an agent would say of these attempts."""
        seen = tuple(self._observed(attempt, phase, code) for attempt in attempts)
        self.do(commands.ReportAttempts(by=None, pool=POOL, attempts=seen))
        self.take_deadlines()

    def _observed(self, attempt: Attempt, phase: EnginePhase, code: int) -> ObservedAttempt:
        is_over = phase is EnginePhase.RELEASED
        ranks = range(len(attempt.seats) if is_over else 0)
        return ObservedAttempt(
            attempt=attempt.attempt,
            generation=attempt.generation,
            phase=phase,
            started_us=self.now_us if attempt.started_us is None else attempt.started_us,
            released_us=self.now_us if is_over else None,
            exits=tuple(RankExit(rank=rank, code=code, signal=None) for rank in ranks),
            checkpoint=None,
            devices=(),
            launch_error=None,
            engine_state=phase.value,
        )

    def _lend(self, nodes: int) -> None:
        reserve = commands.Reserve(
            by=None, org="org-00", market=None, name="lent", nodes=nodes, start_us=None, end_us=None
        )
        self.do(reserve)
        self.take_deadlines()
        self.do(commands.Lend(by=None, reservation="lent", floor_micros=700_000, keep=0))


def open_pool(nodes: int) -> commands.OpenPool:
    """One pool of so many nodes."""
    fabrics: dict[str, list[str]] = {}
    for number in range(nodes):
        fabric = f"fabric-{number // FABRIC_NODES:03}"
        fabrics.setdefault(fabric, []).append(f"node-{number:05}")
    return commands.OpenPool(
        by=None,
        pool=POOL,
        site="site",
        supplier=None,
        engine="local",
        supply=commands.Supply(
            market=POOL,
            opens=commands.NewMarket(
                instance_type=InstanceType(
                    name="h100", gpu_model="H100", gpus_per_node=GPUS, memory_gib=1024, cpus=96
                ),
                terms=TERMS,
            ),
            fabrics=tuple((fabric, tuple(names)) for fabric, names in fabrics.items()),
        ),
    )


def spot(*, nodes: int, gpus: int, limit_micros: int) -> Spec:
    """A workload that bids."""
    return Spec(
        name="train",
        command="torchrun train.py",
        workdir="/home/lab/train",
        env=(),
        env_file=None,
        storage=(),
        nodes=nodes,
        gpus=gpus,
        instance_type=None,
        interconnect=Interconnect.FABRIC,
        capacity=Capacity(kind=CapacityKind.SPOT),
        limit_price_micros=limit_micros,
        max_spend_micros=None,
        checkpoint=None,
        priority=0,
        retry_failures=3,
        max_duration_us=24 * HOUR_US,
    )
