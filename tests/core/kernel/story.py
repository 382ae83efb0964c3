"""A vocabulary for tests of the world: a parkade with a clock, an obedient engine, and people.

Every command is decided, evolved and checked as the control cycle does it; the engine here starts
and stops at once unless a test says otherwise. Times are seconds, money is in whole units.
"""

from typing import Any

from msgspec.structs import replace

from parkade.core.clearing.urgency import urgent_markets
from parkade.core.kernel.check import check
from parkade.core.kernel.deadlines import next_deadline_us, take_deadline
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.state import commands, events
from parkade.core.state.codec import decode_event, encode_event, encode_snapshot
from parkade.core.state.world import Records, World
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.dependency import Condition, Dependency
from parkade.core.workloads.life import Phase
from parkade.core.workloads.observed import (
    Checkpoint,
    EnginePhase,
    RankBegun,
    RankExit,
    RankLeft,
)
from parkade.core.workloads.spec import Capacity, CapacityKind, Interconnect, Resize, Spec
from parkade.core.workloads.workload import Attempt, Stop, Workload
from tests import builders

START_US = 1_700_000_000 * SECOND_US

TERMS = builders.terms(public_floor_micros=8 * MICROS, buffer_nodes=1)


class Parkade:
    """One world and everything that happened to it; `journal` holds each event in order."""

    def __init__(
        self,
        *,
        fabrics: dict[str, int] | None = None,
        gpus: int = 2,
        **terms: Any,
    ) -> None:
        engine = terms.pop("engine", "local")
        self.is_engine_known = terms.pop("is_engine_known", True)
        self.world = World(Records())
        self.journal: list[events.AnyEvent] = []
        self.now_us = START_US
        self._do(builders.open_epoch())
        self._do(
            builders.open_pool(
                "pool",
                {"a": 3, "b": 3} if fabrics is None else fabrics,
                gpus=gpus,
                engine=engine,
                terms=replace(TERMS, **terms),
            )
        )

    def org(self, name: str, *, deposit: int = 1_000_000) -> str:
        """An org with money."""
        self._do(commands.CreateOrg(by=None, org=name))
        if deposit:
            self._do(commands.Deposit(by=None, org=name, micros=deposit * MICROS))
        return name

    def reserve(
        self, org: str, nodes: int, *, hours: int | None = None, in_hours: int | None = None
    ) -> str:
        """A reservation that begins now, or later, for some hours or with an open end."""
        if org not in self.world.records.orgs:
            self.org(org)
        start_us = None if in_hours is None else self.now_us + in_hours * HOUR_US
        end_us = None if hours is None else (start_us or self.now_us) + hours * HOUR_US
        command = commands.Reserve(
            by=None, org=org, market=None, name=None, nodes=nodes, start_us=start_us, end_us=end_us
        )
        made = self.do(command)
        self.tick()
        return next(e.reservation.reservation for e in made if isinstance(e, events.Reserved))

    def lend(self, reservation: str, floor: int, *, keep: int = 0) -> None:
        """The standing offer."""
        self.do(
            commands.Lend(by=None, reservation=reservation, floor_micros=floor * MICROS, keep=keep)
        )

    def claim(self, reservation: str, nodes: int) -> str:
        """The owner takes nodes for itself."""
        made = self.do(commands.MakeClaim(by=None, reservation=reservation, nodes=nodes))
        return next(e.claim.claim for e in made if isinstance(e, events.Claimed))

    def bid(self, org: str, limit: float, **shape: Any) -> str:
        """A spot workload."""
        return self.submit(org, Capacity(kind=CapacityKind.SPOT), limit=limit, **shape)

    def on_reservation(
        self, org: str, reservation: str, *, nodes: int = 1, gpus: int = 2, **rest: Any
    ) -> str:
        """The owner's own workload."""
        capacity = Capacity(kind=CapacityKind.RESERVATION, reservation=reservation)
        return self.submit(org, capacity, nodes=nodes, gpus=gpus, **rest)

    def on_demand(
        self, org: str, *, hours: int = 1, nodes: int = 1, gpus: int = 2, **rest: Any
    ) -> str:
        """A short window at the posted price."""
        capacity = Capacity(kind=CapacityKind.ON_DEMAND)
        return self.submit(
            org, capacity, nodes=nodes, gpus=gpus, max_duration_us=hours * HOUR_US, **rest
        )

    def submit(self, org: str, capacity: Capacity, **shape: Any) -> str:
        """A workload's id; fails the test where it is refused."""
        if org not in self.world.records.orgs:
            self.org(org)
        if shape.get("resize") is Resize.LIVE and self.is_engine_known:
            self.engine_changes_what_runs()
        spec = replace(self.spec(**shape), capacity=capacity)
        command = commands.Submit(by=None, org=org, market=None, spec=spec, is_held=False)
        made = self.do(command)
        return next(e.workload.workload for e in made if isinstance(e, events.Submitted))

    def engine_changes_what_runs(self) -> None:
        """The agent has said so."""
        self._do(
            commands.ReportReachability(by=None, pool="pool", is_reachable=True, resizes_live=True)
        )

    def spec(
        self,
        *,
        limit: float | None = None,
        reservation: str | None = None,
        on_demand_hours: int | None = None,
        nodes: int = 1,
        gpus: int = 2,
        max_duration_us: int | None = None,
        max_spend: int | None = None,
        failures: int = 0,
        any_fabric: bool = False,
        spread: bool = True,
        most_nodes: int = 0,
        resize: Resize = Resize.RESTART,
        labels: tuple[tuple[str, str], ...] = (),
        after: tuple[tuple[str, str], ...] = (),
        array: str | None = None,
    ) -> Spec:
        """What someone wants run; spot with a limit, else the reservation's or on-demand. `after`:
        pairs of condition and workload; `array`: as the spec's key has it."""
        capacity = Capacity(kind=CapacityKind.SPOT)
        if reservation is not None:
            capacity = Capacity(kind=CapacityKind.RESERVATION, reservation=reservation)
        if on_demand_hours is not None:
            capacity = Capacity(kind=CapacityKind.ON_DEMAND)
            max_duration_us = on_demand_hours * HOUR_US
        return builders.spec(
            nodes=nodes,
            gpus=gpus,
            interconnect=Interconnect.ANY if any_fabric else Interconnect.FABRIC,
            capacity=capacity,
            limit_price_micros=None if limit is None else round(limit * MICROS),
            max_spend_micros=None if max_spend is None else max_spend * MICROS,
            retry_failures=failures,
            max_duration_us=max_duration_us,
            spread=spread,
            most_nodes=most_nodes,
            resize=resize,
            labels=labels,
            after=tuple(
                Dependency(condition=Condition(condition), workload=name)
                for condition, name in after
            ),
            array=None if array is None else builders.array(array),
        )

    def clear(self) -> None:
        """A clearing now, and what it launches."""
        self._do(commands.RunClearing(by=None, market="pool"))
        self.tick()

    def tick(self, seconds: float = 0) -> None:
        """Time passes: deadlines in order of their time."""
        until_us = self.now_us + round(seconds * SECOND_US)
        while (due_us := next_deadline_us(self.world)) is not None and due_us <= until_us:
            self.now_us = max(self.now_us, due_us)
            before = len(self.journal)
            self.happen(take_deadline(self.world))
            assert len(self.journal) > before, "a deadline that changes nothing"
        self.now_us = until_us

    def pass_time(self, seconds: int) -> None:
        """Time passes with a clearing each interval, whatever the engine does."""
        for left in range(seconds, 0, -30):
            self.tick(min(30, left))
            self.heard()
            self.clear()

    def run(self, seconds: float, *, obey: bool = True) -> None:
        """Time passes with an obedient engine and a clearing each interval."""
        left = seconds
        while left > 0:
            step = min(left, 30.0)
            if obey:
                self.start_all()
            self.tick(step)
            if obey:
                self.heard()
                self.stop_all()
            self.clear()
            left -= step
        if obey:
            self.start_all()

    def start_all(self) -> None:
        """The engine reports the first process of everything ordered."""
        for name in list(self.world.live):
            workload = self.workload(name)
            attempt = workload.attempt
            if attempt is None or attempt.stop is not None:
                continue
            if attempt.started_us is None or not all(it.has_begun for it in attempt.ranks):
                self.started(name)

    def heard(self) -> None:
        """The engine reports that everything runs on."""
        for name in list(self.world.live):
            attempt = self.workload(name).attempt
            if attempt is not None and attempt.started_us is not None and attempt.stop is None:
                self._report(name, EnginePhase.RUNNING)

    def stop_all(self) -> None:
        """All attempts that have their notice are gone."""
        for name in list(self.world.live):
            attempt = self.workload(name).attempt
            if attempt is not None and attempt.stop is not None:
                self.ended(name, code=85)

            elif attempt is not None and any(it.leaving for it in attempt.ranks):
                self.ranks_left(name)

    def ranks_left(
        self, name: str, *, at_us: int | None = None, begun: tuple[RankBegun, ...] | None = None
    ) -> None:
        """The ranks of a live attempt that were told to leave alone are gone."""
        left = tuple(
            RankLeft(rank=it.rank, since=it.since, left_us=at_us or self.now_us)
            for it in self.attempt(name).ranks
            if it.leaving is not None
        )
        self._report(name, EnginePhase.RUNNING, left=left, begun=begun)

    def started(self, name: str) -> None:
        """The first process of an attempt runs, and all ranks that joined it."""
        self._report(name, EnginePhase.RUNNING)

    def begun(self, name: str, *numbers: int, at_us: int | None = None) -> None:
        """Of the ranks that joined a live attempt, these run, now or since an earlier instant."""
        begun = tuple(
            RankBegun(rank=it.rank, since=it.since, begun_us=at_us or self.now_us)
            for it in self.attempt(name).ranks
            if it.rank in numbers
        )
        self._report(name, EnginePhase.RUNNING, begun=begun)

    def saved(self, name: str, step: int) -> None:
        """The program reports a checkpoint."""
        saved = Checkpoint(step=step, at_us=self.now_us)
        self._report(name, EnginePhase.RUNNING, checkpoint=saved)

    def ended(
        self,
        name: str,
        *,
        code: int | None = 0,
        signal: int | None = None,
        at_us: int | None = None,
    ) -> None:
        """All ranks ended so, and the seats are free, now or as of an earlier instant."""
        code = None if signal is not None else code
        self._report(name, EnginePhase.RELEASED, code=code, signal=signal, at_us=at_us)

    def _report(
        self,
        name: str,
        phase: EnginePhase,
        *,
        code: int | None = None,
        signal: int | None = None,
        checkpoint: Checkpoint | None = None,
        at_us: int | None = None,
        left: tuple[RankLeft, ...] = (),
        begun: tuple[RankBegun, ...] | None = None,
    ) -> None:
        attempt = self.attempt(name)
        if begun is None:
            begun = tuple(
                RankBegun(rank=it.rank, since=it.since, begun_us=self.now_us)
                for it in attempt.ranks
                if it.since
            )
        is_over = phase is EnginePhase.RELEASED
        started_us = self.now_us if attempt.started_us is None else attempt.started_us
        seen = builders.observed(
            attempt.attempt,
            generation=attempt.generation,
            phase=phase,
            started_us=started_us,
            released_us=(at_us or self.now_us) if is_over else None,
            exits=tuple(
                RankExit(rank=rank, code=code, signal=signal)
                for rank in range(len(attempt.seats) if is_over else 0)
            ),
            checkpoint=checkpoint,
            engine_state=phase.value,
            left=left,
            resizes=attempt.resizes,
            begun=begun,
        )
        pool = self.world.pool_of(attempt.seats)
        assert pool is not None, "an attempt has seats"
        self.do(commands.ReportAttempts(by=None, pool=pool.pool, attempts=(seen,)))

    def fail(self, node: str) -> None:
        """The operator reports a node broken."""
        self.do(commands.FailNode(by=None, node=node, reason="test"))

    def workload(self, name: str) -> Workload:
        """Its record."""
        return self.world.records.workloads[name]

    def attempt(self, name: str) -> Attempt:
        """Its run; fails the test where it has none."""
        attempt = self.workload(name).attempt
        assert attempt is not None, f"{name} has no attempt"
        return attempt

    def stop(self, name: str) -> Stop:
        """The notice its run was given; fails the test where it has none."""
        stop = self.attempt(name).stop
        assert stop is not None, f"{name} has no notice"
        return stop

    def phase(self, name: str) -> Phase:
        """Where it is."""
        return self.workload(name).phase

    def nodes_of(self, name: str) -> tuple[str, ...]:
        """Nodes it is promised, else those it holds."""
        workload = self.workload(name)
        seats = workload.promise.seats if workload.promise else ()
        if not seats and workload.attempt is not None:
            seats = workload.attempt.seats
        return tuple(seat.node for seat in seats)

    def price(self, name: str) -> int:
        """Micro-units per GPU-hour in force."""
        workload = self.workload(name)
        holder = workload.promise or workload.attempt
        assert holder is not None
        return holder.rates[-1].price_micros

    def balance(self, account: str) -> int:
        """Micro-units."""
        return self.world.ledger.balance(account)

    def do(self, command: commands.AnyCommand) -> tuple[events.AnyEvent, ...]:
        """Decides and evolves; a clearing follows where the events ask for one."""
        made = self._do(command)
        self.tick()
        if urgent_markets(self.world, made):
            self.clear()
        return made

    def refused(self, command: commands.AnyCommand) -> Refusal:
        """The refusal of a command that must be refused."""
        outcome = decide(self.world, command, self.now_us)
        assert isinstance(outcome, Refusal), f"not refused: {outcome}"
        return outcome

    def _do(self, command: commands.AnyCommand) -> tuple[events.AnyEvent, ...]:
        before = encode_snapshot(self.world)
        outcome = decide(self.world, command, max(self.now_us, self.world.records.now_us))
        assert encode_snapshot(self.world) == before, "decide changed the world"
        assert not isinstance(outcome, Refusal), f"refused: {outcome}"
        self.happen(outcome)
        return outcome

    def happen(self, made: tuple[events.AnyEvent, ...]) -> None:
        """Takes in what was not decided here."""
        for event in made:
            self.journal.append(event)
            evolve(self.world, event)
        check(self.world)

    def replayed(self) -> bytes:
        """The snapshot of a world rebuilt from the journal's bytes."""
        world = World(Records())
        for event in self.journal:
            evolve(world, decode_event(encode_event(event)))
        return encode_snapshot(world)
