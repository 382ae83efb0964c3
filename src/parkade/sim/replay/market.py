"""Parkade over a trace: the production core, with demand, owners, agent and clock around it.

Commands go to `decide`, events to `evolve`, what is due by itself to the deadlines;
`urgent_markets` and `Schedule` say when a clearing is due, as in the control plane. What is
simulated is what lies outside: people, owners, and an agent that starts and stops guests.

Theory of operation. Time goes from one instant at which something is due to the next: a minute of
the trace, an action of the agent, a deadline, a clearing. At an instant deadlines come first, then
the minute's changes (what ends, what owners give back, what they claim, what arrives), then at
most one clearing, as in a turn of the writer. The claims of one owner at one minute
are one *reclaim*.

A clearing that changed nothing is not repeated until an event happens, or until time alone may
change its answer (a back-off ends, money is used up, another day of use begins: at the latest
`QUIET_US` later). That a clearing of an unchanged world makes no event is an invariant of the
core, and a test holds that replays with and without this give the same events.
"""

import hashlib
import heapq
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from parkade.control.schedule import Schedule
from parkade.core.billing.charges import transfers_of
from parkade.core.clearing.urgency import urgent_markets
from parkade.core.kernel.check import check
from parkade.core.kernel.deadlines import next_deadline_us, take_deadline
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.state import commands, events, lines
from parkade.core.state.codec import encode_event
from parkade.core.state.world import Records, World
from parkade.core.units.money import ceil_div
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import HOUR_US, MINUTE_US
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.observed import EnginePhase
from parkade.core.workloads.spec import Capacity, CapacityKind, Interconnect, Spec
from parkade.sim.replay.demand import Demand, Guest, Minute
from parkade.sim.replay.fleet import MARKET, POOL, opening
from parkade.sim.replay.guests import SAVED, Runner, lost_us, observed
from parkade.sim.replay.money import Money
from parkade.sim.replay.owners import OwnerClaim
from parkade.sim.replay.setup import Setup
from parkade.sim.replay.tally import BIN_US, Level, Reclaim, Tally

NEXT_CLEARING, PLACED, STARTING = Why.NEXT_CLEARING.value, Why.PLACED.value, "starting"
QUIET_US = 10 * MINUTE_US
CLEARING_PART = 4
Progress = Callable[[int], None]


class MarketRun:
    """One replay. `check_every`: the world's invariants are asserted after so many events."""

    def __init__(
        self,
        setup: Setup,
        demand: Demand,
        *,
        check_every: int | None = None,
        is_every_clearing_run: bool = False,
    ) -> None:
        self.tally = Tally(demand.start_us, demand.start_us + demand.minutes * MINUTE_US)
        self.money = Money(self.tally.start_us, self.tally.end_us)
        self.world = World(Records(balances={"external": 0}))
        self.events = self.clearings = 0
        self.clearing_cpu_s = 0.0
        self.now_us = demand.start_us
        self._setup = setup
        self._gpus_per_node = demand.gpus_per_node
        self._check_every = check_every
        self._unchecked = 0
        self._schedule = Schedule(part=CLEARING_PART)
        self._is_every_clearing_run = is_every_clearing_run
        self._is_settled = False
        self._cleared_us = self._quiet_until_us = 0
        self._actions: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0
        self._minutes = deque(demand.changes)
        self._runners: dict[str, Runner] = {}
        self._by_number: dict[int, Runner] = {}
        self._claim_names: dict[int, str] = {}
        self._waiting: dict[str, Reclaim] = {}
        self._digest = hashlib.sha256()
        for command in opening(setup, demand):
            made = self._do(command)
            assert made is not None, f"{command} was refused"
            self._take_deadlines()
        self._at(self.now_us + HOUR_US, self._report_running)
        self._at(self.now_us + BIN_US, self._sample_prices)

    @property
    def digest(self) -> str:
        """Of all events so far; the same for the same scenario and data."""
        return self._digest.hexdigest()

    def run(self, progress: Progress) -> None:
        """The whole trace; `progress` is told the minutes that are done."""
        end_us = self.tally.end_us
        while (at_us := self._next_us()) < end_us:
            self.now_us = max(self.now_us, at_us)
            self._take_deadlines()
            while self._minutes and self._minute_us() <= self.now_us:
                minute = self._minutes.popleft()
                self._change(minute)
                progress(minute.minute)
            while self._actions and self._actions[0][0] <= self.now_us:
                heapq.heappop(self._actions)[2]()
            if self._clearing_due_us() <= self.now_us:
                self._clear()
        self.now_us = end_us
        self._take_deadlines()
        self._report_running()
        # The books are closed: what runs ends here, so that all of its use is charged.
        for runner in tuple(self._runners.values()):
            if runner.attempt is not None and runner.started_us is not None:
                self._release(runner, code=0)
        for runner in self._by_number.values():
            self._wait(runner, None)
        for name in tuple(self._waiting):
            self._settle(name, self.world.records.claims[name].nodes)
        self.tally.close()
        progress((end_us - self.tally.start_us) // MINUTE_US)

    # Time.

    def _minute_us(self) -> int:
        return self.tally.start_us + self._minutes[0].minute * MINUTE_US

    def _next_us(self) -> int:
        times = [self._clearing_due_us()]
        if self._actions:
            times.append(self._actions[0][0])
        if self._minutes:
            times.append(self._minute_us())
        due_us = next_deadline_us(self.world)
        if due_us is not None:
            times.append(due_us)
        return min(times)

    def _clearing_due_us(self) -> int:
        due_us = self._schedule.due_us(self.world.records.markets[MARKET])
        return max(due_us, self._quiet_until_us) if self._is_settled else due_us

    def _at(self, at_us: int, action: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._actions, (at_us, self._count, action))

    # The core.

    def _do(self, command: commands.AnyCommand) -> tuple[events.AnyEvent, ...] | None:
        made = decide(self.world, command, max(self.now_us, self.world.records.now_us))
        if isinstance(made, Refusal):
            return None
        self._happen(made)
        return made

    def _happen(self, made: tuple[events.AnyEvent, ...]) -> None:
        for event in made:
            evolve(self.world, event)
            self._digest.update(encode_event(event))
            self._follow(event)
            for transfer in transfers_of(event):
                self.money.count(transfer, event.at_us)
        if made and self._is_settled:
            self._wake()
        self._schedule.ask(urgent_markets(self.world, made))
        self.events += len(made)
        self._unchecked += len(made)
        if self._check_every is not None and self._unchecked >= self._check_every:
            self._unchecked = 0
            check(self.world)

    def _take_deadlines(self) -> None:
        while (due_us := next_deadline_us(self.world)) is not None and due_us <= self.now_us:
            self._happen(take_deadline(self.world))

    def _clear(self) -> None:
        begun_s = time.thread_time()
        made = decide(self.world, commands.RunClearing(by=None, market=MARKET), self.now_us)
        self.clearing_cpu_s += time.thread_time() - begun_s
        assert not isinstance(made, Refusal), made
        self.clearings += 1
        self._cleared_us = self.now_us
        self._schedule.cleared(MARKET, now_us=self.now_us, started_us=0, ended_us=0)
        self._happen(made)
        self._take_deadlines()
        if not made and not self._is_every_clearing_run:
            self._is_settled = True
            self._quiet_until_us = self._wakes_us()

    def _wake(self) -> None:
        """Clearings go on at the instants at which they would be had none been left out."""
        self._is_settled = False
        interval_us = self.world.records.markets[MARKET].terms.clearing_interval_us
        left_out = (self.now_us - self._cleared_us - 1) // interval_us
        if left_out > 0:
            at_us = self._cleared_us + left_out * interval_us
            self._schedule.cleared(MARKET, now_us=at_us, started_us=0, ended_us=0)

    def _wakes_us(self) -> int:
        """The first interval's end at which time alone may have changed something."""
        workloads = (self.world.records.workloads[name] for name in self.world.live)
        waits = [it.not_before_us for it in workloads if it.not_before_us > self.now_us]
        wakes_us = min([self.now_us + QUIET_US, *waits])
        interval_us = self.world.records.markets[MARKET].terms.clearing_interval_us
        return self.now_us + ceil_div(wakes_us - self.now_us, interval_us) * interval_us

    # A minute of the trace.

    def _change(self, minute: Minute) -> None:
        self.tally.set(Level.OWNERS, minute.busy_gpus, self.now_us)
        self.tally.set(Level.QUEUED, minute.queued_gpus, self.now_us)
        for number in minute.gone:
            self._leave_queue(self._by_number.pop(number))
        for claim in minute.given_back:
            self._give_back(claim)
        self._claim(minute.claimed, self._headroom())
        for guest in minute.new:
            self._submit(guest)

    def _headroom(self) -> float:
        world = self.world
        free = sum(
            not world.held_on[node] and not world.promised_on[node] for node in world.records.nodes
        )
        return free / len(world.records.nodes)

    def _claim(self, claimed: tuple[OwnerClaim, ...], headroom: float) -> None:
        nodes_of: dict[str, int] = {}
        for claim in claimed:
            nodes_of[claim.tenant] = nodes_of.get(claim.tenant, 0) + claim.nodes
        reclaims = {
            tenant: self.tally.begin_reclaim(tenant, nodes, headroom, self.now_us)
            for tenant, nodes in nodes_of.items()
        }
        for claim in claimed:
            self.tally.add(Level.OWNERS_WAITING, claim.nodes * self._gpus_per_node, self.now_us)
            command = commands.MakeClaim(by=None, reservation=claim.tenant, nodes=claim.nodes)
            made = self._do(command)
            assert made is not None, f"a claim within the quota of {claim.tenant} was refused"
            name = next(it.claim.claim for it in made if isinstance(it, events.Claimed))
            self._claim_names[claim.number] = name
            self._waiting[name] = reclaims[claim.tenant]

    def _give_back(self, claim: OwnerClaim) -> None:
        name = self._claim_names.pop(claim.number)
        if name in self._waiting:
            self._settle(name, claim.nodes)
        else:
            gpus = claim.nodes * self._gpus_per_node
            self.tally.add(Level.OWNERS_NODES, -gpus, self.now_us)
        made = self._do(commands.Unclaim(by=None, claim=name))
        assert made is not None, f"{name} could not be given back"

    def _settle(self, name: str, nodes: int) -> None:
        """A claim waits no longer."""
        self.tally.settle(self._waiting.pop(name), nodes, self.now_us)
        self.tally.add(Level.OWNERS_WAITING, -nodes * self._gpus_per_node, self.now_us)

    def _submit(self, guest: Guest) -> None:
        command = commands.Submit(
            by=None, org=guest.org, market=None, spec=spec_of(guest), is_held=False
        )
        made = self._do(command)
        assert made is not None, f"guest {guest.number} was refused"
        name = next(it.workload.workload for it in made if isinstance(it, events.Submitted))
        runner = self._runners[name] = self._by_number[guest.number] = Runner(guest, name)
        self._wait(runner, NEXT_CLEARING)

    def _wait(self, runner: Runner, reason: str | None) -> None:
        """What it waits for from now on; what it waited for until now is counted."""
        if runner.is_done:
            return
        if runner.waits_for is not None:
            span_us = self.now_us - runner.waits_since_us
            self.tally.count_wait(runner.waits_for, runner.guest.gpus, span_us)
        runner.waits_for, runner.waits_since_us = reason, self.now_us

    def _leave_queue(self, runner: Runner) -> None:
        """Its job began at home, or was taken back: it is done as a guest, and loses nothing."""
        self._wait(runner, None)
        runner.is_done = True
        if runner.attempt is not None and runner.started_us is not None:
            self._release(runner, code=0)
            return
        made = self._do(commands.Cancel(by=None, workload=runner.workload, now=True))
        assert made is not None, f"{runner.workload} could not be cancelled"

    # The agent.

    def _follow(self, event: events.AnyEvent) -> None:
        match event:
            case events.Launched(workload=name, attempt=attempt):
                runner = self._runners[name]
                runner.launch(attempt)
                self._wait(runner, STARTING)
                starts_us = attempt.ordered_us + self._setup.starting_us
                self._at(starts_us, partial(self._start, runner, attempt.generation))
            case events.Cleared():
                self._cleared(event)
            case events.StopOrdered(workload=name):
                self._stop(name)
            case events.ClaimSeated(claim=name):
                self._seated(name)
            case events.Ended(workload=name, phase=phase):
                runner = self._runners[name]
                runner.attempt = None
                if not phase.is_ended:
                    self._wait(runner, PLACED if phase is Phase.PLACED else NEXT_CLEARING)
            case events.Forgotten(workloads=names):
                for name in names:
                    self._runners.pop(name, None)
            case _:
                pass

    def _seated(self, name: str) -> None:
        nodes = self.world.records.claims[name].nodes
        self._settle(name, nodes)
        self.tally.add(Level.OWNERS_NODES, nodes * self._gpus_per_node, self.now_us)

    def _cleared(self, event: events.Cleared) -> None:
        """Guests leave; each reclaim that got one of their nodes has touched them."""
        won = {lines.name_of(line.demand): line for line in event.won}
        claimers: dict[str, Reclaim] = {}
        for name, line in won.items():
            if name in self._waiting:
                claimers |= {seat.node: self._waiting[name] for seat in line.promise.seats}
        for waiting in event.waiting:
            name = lines.name_of(waiting.demand)
            if name in self._runners and self._runners[name].attempt is None:
                self._wait(self._runners[name], str(waiting.why))
        for name in won:
            if name in self._runners and self._runners[name].attempt is None:
                self._wait(self._runners[name], PLACED)
        for leaving in event.left:
            name = lines.name_of(leaving.demand)
            if leaving.stop is None or name not in self._runners:
                continue
            runner = self._runners[name]
            if leaving.stop.cause in (Cause.RECLAIMED, Cause.MOVED):
                assert runner.attempt is not None
                for seat in runner.attempt.seats:
                    if seat.node in claimers:
                        claimers[seat.node].touch(is_moved=name in won)
            self._stop(name)

    def _start(self, runner: Runner, generation: int) -> None:
        if not runner.is_at(generation) or runner.stop is not None:
            return
        runner.started_us = self.now_us
        self._wait(runner, None)
        self.tally.add(Level.GUESTS, runner.guest.gpus, self.now_us)
        self._report(runner, EnginePhase.RUNNING)

    def _stop(self, name: str) -> None:
        runner = self._runners[name]
        attempt = self.world.records.workloads[name].attempt
        assert attempt is not None and attempt.stop is not None
        runner.stop = attempt.stop
        leaves_us = self.now_us if runner.is_done else max(self.now_us, runner.leaves_us())
        self._at(leaves_us, partial(self._leave, runner, runner.generation))

    def _leave(self, runner: Runner, generation: int) -> None:
        """It has saved and is gone, or was killed."""
        if not runner.is_at(generation):
            return
        if not runner.is_done and self.now_us < runner.leaves_us():
            return
        if not runner.is_done:
            self.tally.stops += 1
        self._release(runner, code=SAVED if runner.has_saved_by(self.now_us) else None)

    def _release(self, runner: Runner, *, code: int | None) -> None:
        attempt, gpus = runner.attempt, runner.guest.gpus
        assert attempt is not None
        if runner.started_us is None:
            self.tally.unused_us += gpus * (self.now_us - attempt.ordered_us)
        else:
            self.tally.add(Level.GUESTS, -gpus, self.now_us)
            self.tally.unused_us += gpus * (runner.started_us - attempt.ordered_us)
            if code is None and not runner.is_done:
                self.tally.lost_us += gpus * lost_us(
                    self.now_us - runner.started_us, self._setup.checkpoint_every_us
                )
        self._report(runner, EnginePhase.RELEASED, code=code)

    def _report_running(self) -> None:
        """Each full hour, so that use is posted; agents say it all the time."""
        running = [it for it in self._runners.values() if it.attempt is not None and it.started_us]
        seen = tuple(observed(it, EnginePhase.RUNNING, self.now_us) for it in running)
        self._do(commands.ReportAttempts(by=None, pool=POOL, attempts=seen))
        if self.now_us < self.tally.end_us:
            self._at(self.now_us + HOUR_US, self._report_running)

    def _sample_prices(self) -> None:
        self.money.sample(self.world, self.now_us)
        self._at(self.now_us + BIN_US, self._sample_prices)

    def _report(self, runner: Runner, phase: EnginePhase, *, code: int | None = None) -> None:
        seen = observed(runner, phase, self.now_us, code=code)
        self._do(commands.ReportAttempts(by=None, pool=POOL, attempts=(seen,)))


def spec_of(guest: Guest) -> Spec:
    """What a guest's user submits."""
    return Spec(
        name=f"guest-{guest.number}",
        command="train",
        workdir="/",
        env=(),
        env_file=None,
        storage=(),
        nodes=1,
        gpus=guest.gpus,
        instance_type=None,
        interconnect=Interconnect.FABRIC,
        capacity=Capacity(kind=CapacityKind.SPOT),
        limit_price_micros=guest.limit_micros,
        max_spend_micros=None,
        checkpoint=None,
        priority=0,
        retry_failures=3,
        max_duration_us=None,
    )
