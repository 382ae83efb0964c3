"""Judges a run: the world after each event, the journal as it grows, and the machines beside both.

Three views that share nothing: the records (`touched`, and the core's own `check` now and then),
the auditors, which read committed events and nothing else, and what truly runs on the machines.
After a restored backup the auditors begin again with the restored journal.
"""

from collections.abc import Callable, Sequence

from parkade.core.healing.incident import RepairKind, RepairOrder, RepairReport
from parkade.core.kernel.check import check
from parkade.core.kernel.deadlines import next_deadline_us
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.state import commands, events, lines
from parkade.core.state.codec import decode_event, decode_snapshot, encode_event, encode_snapshot
from parkade.core.state.world import Records, World
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import SECOND_US
from parkade.sim.auditor import Auditor, Discrepancy
from parkade.sim.auditor.arrays import ArrayAuditor
from parkade.sim.auditor.chains import ChainAuditor
from parkade.sim.auditor.fallbacks import FallbackAuditor
from parkade.sim.auditor.jobs import JobAuditor
from parkade.sim.auditor.maintenance import MaintenanceAuditor
from parkade.sim.auditor.mars import MarsAuditor
from parkade.sim.auditor.owners import OwnersAuditor
from parkade.sim.auditor.seats import SeatAuditor
from parkade.sim.auditor.set_aside import SetAsideAuditor
from parkade.sim.auditor.windows import WindowAuditor
from parkade.sim.clocks import START_US
from parkade.sim.findings import Breach, Finding, require
from parkade.sim.lists import check_lists
from parkade.sim.machines import Run
from parkade.sim.pool import SimulatedPool
from parkade.sim.server import Server
from parkade.sim.touched import check_touched

WHOLE_EVERY = 100
"""Events between two looks at the whole world."""


class Judge:
    """See the module. `checks`: without, only what stops the program by itself is found."""

    def __init__(self, server: Server, *, checks: bool) -> None:
        self.world: World | None = None
        self.findings: list[Finding] = []
        self.events = 0
        """Committed so far, over all journals of the run."""

        self.kinds: dict[str, int] = {}
        self.pools: dict[str, SimulatedPool] = {}
        self.is_time_known = True
        """False once the wall clock was set: its dates cannot be compared any more."""

        self._server = server
        self._checks = checks
        self._pending: list[tuple[int, events.AnyEvent]] = []
        self._read = 0
        self._disturbed: list[tuple[int, int]] = []
        self._launched: set[tuple[str, int | None]] = set()
        self._carried: set[tuple[str, int]] = set()
        self._done: set[tuple[str, int]] = set()
        """Orders of repairs that began, and that were done, on the machines."""

        self.was_restored = False
        self._begin()

    def _begin(self) -> None:
        self.money = Auditor()
        self.seats = SeatAuditor()
        self.owners = OwnersAuditor(self._excused_us)
        self.mars = MarsAuditor()
        self.chains = ChainAuditor()
        self.maintenance = MaintenanceAuditor()
        self.fallbacks = FallbackAuditor()
        self.windows = WindowAuditor()
        self.set_aside = SetAsideAuditor(self.windows)
        self.arrays = ArrayAuditor()
        self.jobs = JobAuditor()
        self._orders: dict[str, int] = {}
        self._submitted: set[str] = set()
        self._read = 0

    def watch(self, world: World, event: events.AnyEvent) -> None:
        """An event was evolved and is not committed yet; Breach stops the server."""
        self.world = world
        self._pending.append((world.records.sequence, event))
        if self._checks:
            if isinstance(event, events.EpochOpened):
                self._check_recovered(world, event)
            check_touched(world, event)
            check_lists(world, event)
            if world.records.sequence % WHOLE_EVERY == 0:
                self._within(0, lambda: check(world))

    def follow(self) -> None:
        """Takes what was committed since the last time; the rest, if any, was lost with power."""
        last = len(self._server.disk.entries)
        pending, self._pending = self._pending, []
        for sequence, event in pending:
            if self._read < sequence <= last:
                self._take(sequence, event)

    def restored(self) -> None:
        """The journal is another one now: its auditors read it from its first entry."""
        self._pending.clear()
        self.was_restored = True
        self._begin()
        for entry in self._server.disk.entries:
            self._audit(entry.sequence, decode_event(entry.body, entry.version))

    def fail(self, error: BaseException, where: str = "") -> None:
        """Something stopped the program, or refused a command as its own fault."""
        if isinstance(error, Breach):
            self.find(error.invariant, error.says)
            return
        self.find(0, f"{type(error).__name__}: {error} {where}".strip())

    def disturb(self, until_us: int) -> None:
        """From now until then waits are not Parkade's own."""
        self._disturbed.append((self._server.loop.now_us, until_us))

    def launched(self, run: Run) -> None:
        """A run began on the machines."""
        if not self._checks:
            return
        desired = run.desired
        name = (desired.attempt, desired.ordered_us)
        others = [
            other.desired.attempt
            for pool in self.pools.values()
            for other in pool.machines.runs.values()
            if other.desired.workload == desired.workload
            and other is not run
            and other.end is None
            and other.expected_end().at_us > self._server.loop.now_us
        ]
        try:
            if not self.was_restored:
                require(name not in self._launched, 6, f"{desired.attempt} ran twice")
                is_alone = not others
                require(is_alone, 6, f"{desired.attempt} began while {others} still ran")
                is_ordered = self._orders.get(desired.attempt) == desired.ordered_us
                require(is_ordered, 22, f"{desired.attempt} ran and was not ordered")
                self._check_clean(run)
        except Breach as breach:
            self.fail(breach)
        self._launched.add(name)
        self._occupy(run)

    def ended(self, run: Run) -> None:
        """A run is over on the machines; what was forced had been told so, and had its time."""
        end = run.end
        assert end is not None
        if not self._checks:
            return
        stops = self.seats.stops.get(run.desired.attempt, ())
        is_known = self._orders.get(run.desired.attempt) == run.desired.ordered_us
        if not (end.is_forced and is_known and stops and self.is_time_known) or self.was_restored:
            return
        if run.lapsed_us is not None:
            return
        least_us = min(stop.deadline_us for stop in stops)
        is_due = run.dated["released"] >= least_us
        try:
            early_s = (least_us - run.dated["released"]) / SECOND_US
            require(is_due, 11, f"{run.desired.attempt} was killed {early_s:g} s early")
        except Breach as breach:
            self.fail(breach)

    def left_out(self, pool: str, nodes: Sequence[str]) -> None:
        """A pool's fence leaves these nodes out: nothing of ours is there."""
        if not self._checks or self.was_restored:
            return
        machines = self.pools[pool].machines
        try:
            for node in nodes:
                is_empty = machines.free_gpus(node) == machines.gpus[node]
                require(is_empty, 44, f"{node} is left out of the fence and has work on it")
        except Breach as breach:
            self.fail(breach)

    def began(self, order: RepairOrder) -> None:
        """A repair begins on the machines: it was ordered, and is carried out once."""
        if not self._checks:
            return
        name = (order.order, order.ordered_us)
        if not self.was_restored:
            try:
                require(name not in self._carried, 22, f"{order.order} was carried out twice")
                is_ordered = name in self.mars.orders
                require(is_ordered, 22, f"{order.order} was carried out and not ordered")
            except Breach as breach:
                self.fail(breach)
        self._carried.add(name)

    def repaired(self, order: RepairOrder, report: RepairReport) -> None:
        """So it ended."""
        if report.is_done:
            self._done.add((order.order, order.ordered_us))

    def close(self) -> None:
        """The story is over: everything is looked at once more."""
        if not self._checks or self.findings:
            return
        self.follow()
        self._within(13, self.money.close)
        self._within(15, self._check_replay)
        self._within(36, self._check_chains)
        self._within(4, self._check_repeated)
        at_us = 0 if self.world is None else self.world.records.now_us
        self._within(23, lambda: self.mars.close(at_us))
        for breach in self.owners.close(at_us).breaches:
            self.find(1, breach)

    def _check_chains(self) -> None:
        """Deadlines that are due by now and were not taken before the end are left out."""
        world = self.world
        if world is not None and _is_settled(world):
            self.chains.check_waiting(world)
            self.arrays.check_world(world)

    def _take(self, sequence: int, event: events.AnyEvent) -> None:
        self._read = sequence
        self.events += 1
        kind = type(event).__name__
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        self._audit(sequence, event)

    def _audit(self, sequence: int, event: events.AnyEvent) -> None:
        self._read = sequence
        if isinstance(event, events.Launched):
            self._orders[event.attempt.attempt] = event.attempt.ordered_us
        if not self._checks or self.findings:
            return
        body = self._server.disk.entries[sequence - 1].body
        self._within(13, lambda: self.money.read(body))
        self._within(37, lambda: self._read_expanded(event))
        if self.owners.audit.breaches:
            self.find(1, self.owners.audit.breaches[0])
        if isinstance(event, events.Ended):
            self._within(7, lambda: self._check_gone(event))
        elif isinstance(event, events.Started):
            self._within(22, lambda: self._check_began(event))
        elif isinstance(event, events.Submitted):
            self._within(22, lambda: self._check_once(event))

    def _read_expanded(self, event: events.AnyEvent) -> None:
        """Members of arrays are workloads to all other auditors."""
        expanded = self.arrays.read(event)
        for one in expanded.demands:
            if one is not event:
                self.money.read(encode_event(one))
            self.seats.read(one)
            self._read_mars(one)
            self.owners.read(one)
            self.maintenance.read(one)
            self.fallbacks.read(one)
            self.windows.read(one)
            self.set_aside.read(one)
            self.jobs.read(one)
        for one in expanded.chains:
            self.chains.read(one)

    def _read_mars(self, event: events.AnyEvent) -> None:
        """As its auditor reads it; what it says was done was done on the machines."""
        self.mars.read(event)
        if isinstance(event, events.RepairEnded | events.TurnaroundEnded):
            is_true = self.was_restored or self.mars.done <= self._done
            require(is_true, 22, f"{event.report.order} counts as done and was not done")

    def _check_clean(self, run: Run) -> None:
        """Nothing of another org is left where its agent can sanitise, and the market does not let
        orgs share nodes."""
        desired = run.desired
        for node in self._cleaned_nodes(run):
            others = self._pool_of(node).hardware.nodes[node].residue - {desired.org}
            words = f"{desired.attempt} began on {node} with what {sorted(others)} left"
            require(not others, 16, words)

    def _occupy(self, run: Run) -> None:
        """It leaves something behind. What was there before nodes were cleaned is not judged."""
        cleaned = self._cleaned_nodes(run)
        for node in dict.fromkeys(seat.node for seat in run.desired.ranks):
            residue = self._pool_of(node).hardware.nodes[node].residue
            if node not in cleaned:
                residue.clear()
            residue.add(run.desired.org)

    def _cleaned_nodes(self, run: Run) -> list[str]:
        return [
            node
            for node in dict.fromkeys(seat.node for seat in run.desired.ranks)
            if not self.mars.are_shared(node) and self.mars.can(node, RepairKind.SANITISE)
        ]

    def _pool_of(self, node: str) -> SimulatedPool:
        return next(it for it in self.pools.values() if node in it.hardware.nodes)

    def _check_recovered(self, world: World, event: events.EpochOpened) -> None:
        """What a start makes of snapshot and journal is what the journal gives from its begin."""
        replayed = self._replayed()
        evolve(replayed, event)
        is_same = encode_snapshot(replayed) == encode_snapshot(world)
        require(is_same, 15, "a start made another world than the journal gives")

    def _replayed(self) -> World:
        world = World(Records())
        for entry in self._server.disk.entries:
            evolve(world, decode_event(entry.body, entry.version))
        return world

    def _check_gone(self, event: events.Ended) -> None:
        """What the journal says has ended is truly gone; where that was concluded in silence, a
        machine that cannot get rid of it is excused."""
        is_concluded = event.summary.startswith("lost:")
        for pool in self.pools.values():
            run = pool.machines.runs.get(event.attempt)
            if run is None or run.desired.ordered_us != self._orders.get(event.attempt):
                continue
            pool.machines.advance()
            if is_concluded and run.program.linger_us:
                continue
            require(run.end is not None, 7, f"{event.attempt} still runs and is taken for ended")

    def _check_began(self, event: events.Started) -> None:
        """What the journal says has begun ran by that very order."""
        name = (event.attempt, self._orders.get(event.attempt))
        require(name in self._launched, 22, f"{event.attempt} is taken for one that never ran")

    def _check_once(self, event: events.Submitted) -> None:
        """A request has one effect: each act gives its workload a name of its own."""
        name = event.workload.spec.name
        require(name not in self._submitted, 22, f"{name} was submitted once and accepted twice")
        self._submitted.add(name)

    def _check_replay(self) -> None:
        """The journal gives the same world, byte for byte."""
        world = self._replayed()
        if self.world is None or world.records.sequence != self.world.records.sequence:
            return
        is_same = encode_snapshot(world) == encode_snapshot(self.world)
        require(is_same, 15, "replaying the journal gives another world")

    def _check_repeated(self) -> None:
        """A repeated clearing changes no seat; where two floors bind, the third does not."""
        if self.world is None or self.world.records.is_clock_doubted:
            return
        for market in self.world.records.markets:
            world = decode_snapshot(encode_snapshot(self.world))
            for turn in range(4):
                seated = _clear(world, market)
                require(turn < 3 or not seated, 4, f"a repeated clearing seats {seated} anew")

    def _within(self, invariant: int, look: Callable[[], object]) -> None:
        try:
            look()
        except Breach as breach:
            self.find(breach.invariant or invariant, breach.says)
        except Discrepancy as found:
            self.find(invariant, str(found))
        except AssertionError as found:
            self.find(invariant, f"AssertionError: {found}")

    def find(self, invariant: int, says: str) -> None:
        """Keeps a breach."""
        loop_us = self._server.loop.now_us
        self.findings.append(
            Finding(
                invariant=invariant,
                says=says,
                sequence=len(self._server.disk.entries),
                at_s=loop_us / SECOND_US,
            )
        )

    def _excused_us(self, from_us: int, to_us: int) -> int:
        """The whole of a wait during which something was disturbed."""
        if not self.is_time_known:
            return to_us - from_us
        begin_us = START_US
        for disturbed_from_us, until_us in self._disturbed:
            if begin_us + disturbed_from_us < to_us and begin_us + until_us > from_us:
                return to_us - from_us
        return 0


def _clear(world: World, market: str) -> list[str]:
    """Clears a copy of the world; the demands that got other seats or lost them."""
    made = decide(world, commands.RunClearing(by=None, market=market), world.records.now_us)
    assert not isinstance(made, Refusal), made
    found: list[str] = []
    for event in made:
        evolve(world, event)
        if isinstance(event, events.Cleared):
            found += [lines.name_of(it.demand) for it in event.won]
            found += [lines.name_of(it.demand) for it in event.left]
            found += [it.claim for it in event.claims]
    return found


def _is_settled(world: World) -> bool:
    due_us = next_deadline_us(world)
    return due_us is None or due_us > world.records.now_us
