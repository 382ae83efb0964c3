"""Parkade over a trace: demand, owners and an agent around the production core.

What is decided here is what lies outside Parkade: when people submit and take back, when owners
claim and give back, when guests start, save and leave. At a minute of the trace first what ends
leaves, then owners give back and claim, then new guests come. What one owner claims at one minute
is one *reclaim*.
"""

from collections.abc import Callable
from functools import partial

from parkade.core.billing.charges import transfers_of
from parkade.core.state import commands, events, lines
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.observed import EnginePhase
from parkade.core.workloads.saving import EXIT_SAVED
from parkade.core.workloads.spec import Capacity, CapacityKind, Interconnect, Spec
from parkade.sim.replay.background import Background, is_background
from parkade.sim.replay.core_run import CoreRun
from parkade.sim.replay.demand import Demand, Guest, Minute
from parkade.sim.replay.fleet import MARKET, POOL, opening
from parkade.sim.replay.guests import Runner, lost_us, observed
from parkade.sim.replay.money import Money
from parkade.sim.replay.owners import OwnerClaim
from parkade.sim.replay.setup import Setup
from parkade.sim.replay.tally import BIN_US, Level, Reclaim, Tally

NEXT_CLEARING, PLACED, STARTING = Why.NEXT_CLEARING.value, Why.PLACED.value, "starting"
# Within a minute, after what changes at its begin was cleared.
FILL_AFTER_US = 45 * SECOND_US
Progress = Callable[[int], None]


class MarketRun:
    """One replay; `check_every` and `is_every_clearing_run` as in `CoreRun`."""

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
        self.core = CoreRun(
            MARKET,
            start_us=demand.start_us,
            follow=self._follow,
            check_every=check_every,
            is_every_clearing_run=is_every_clearing_run,
        )
        self._setup = setup
        self._demand = demand
        self._runners: dict[str, Runner] = {}
        self._by_number: dict[int, Runner] = {}
        self._claim_names: dict[int, str] = {}
        self._waiting: dict[str, Reclaim] = {}
        self._seated_claims: set[str] = set()
        self._background: Background | None = None
        if setup.headroom_percent is not None:
            nodes = sum(count for _, count in demand.nodes)
            self._background = Background(setup, nodes=nodes, gpus_per_node=demand.gpus_per_node)
        self.core.open(opening(setup, demand))

    def run(self, progress: Progress) -> None:
        """The whole trace; `progress` is told the minutes that are done."""
        start_us, end_us = self.tally.start_us, self.tally.end_us
        for minute in self._demand.changes:
            at_us = start_us + minute.minute * MINUTE_US
            self.core.at(at_us, partial(self._change, minute, progress))
        self.core.at(start_us + HOUR_US, self._report_running)
        self.core.at(start_us + BIN_US, self._sample_prices)
        if self._background is not None:
            self.core.at(start_us + FILL_AFTER_US, self._fill)
        self.core.run_until(end_us)
        self._report_running()
        # The books are closed: what runs ends here, so that all of its use is charged.
        for runner in tuple(self._runners.values()):
            if runner.attempt is not None and runner.started_us is not None:
                self._release(runner, code=0)
        for runner in self._by_number.values():
            self._wait(runner, None)
        for name in tuple(self._waiting):
            self._settle(name, self.core.world.records.claims[name].nodes)
        self.tally.close()
        progress(self._demand.minutes)

    @property
    def _now_us(self) -> int:
        return self.core.now_us

    # A minute of the trace.

    def _change(self, minute: Minute, progress: Progress) -> None:
        progress(minute.minute)
        self.tally.set(Level.OWNERS, minute.busy_gpus, self._now_us)
        self.tally.set(Level.QUEUED, minute.queued_gpus, self._now_us)
        for number in minute.gone:
            self._leave_queue(self._by_number.pop(number))
        for claim in minute.given_back:
            self._give_back(claim)
        self._claim(minute.claimed, self._free_nodes() / len(self.core.world.held_on))
        for guest in minute.new:
            self._submit(guest)

    def _free_nodes(self) -> int:
        held_on, promised_on = self.core.world.held_on, self.core.world.promised_on
        return sum(not held_on[node] and not promised_on[node] for node in held_on)

    def _fill(self) -> None:
        """Background guests come while enough nodes are free and none of them waits."""
        assert self._background is not None
        live = [it for it in self._by_number.values() if is_background(it.guest)]
        if all(it.attempt is not None for it in live):
            for guest, span_us in self._background.more(self._free_nodes()):
                self._submit(guest)
                self.core.at(self._now_us + span_us, partial(self._go, guest.number))
        self.core.at(self._now_us + MINUTE_US, self._fill)

    def _go(self, number: int) -> None:
        self._leave_queue(self._by_number.pop(number))

    def _claim(self, claimed: tuple[OwnerClaim, ...], headroom: float) -> None:
        nodes_of: dict[str, int] = {}
        for claim in claimed:
            nodes_of[claim.tenant] = nodes_of.get(claim.tenant, 0) + claim.nodes
        reclaims = {
            tenant: self.tally.begin_reclaim(tenant, nodes, headroom, self._now_us)
            for tenant, nodes in nodes_of.items()
        }
        for claim in claimed:
            self.tally.add(
                Level.OWNERS_WAITING, claim.nodes * self._demand.gpus_per_node, self._now_us
            )
            command = commands.MakeClaim(by=None, reservation=claim.tenant, nodes=claim.nodes)
            made = self.core.do(command)
            assert made is not None, f"a claim within the quota of {claim.tenant} was refused"
            name = next(it.claim.claim for it in made if isinstance(it, events.Claimed))
            self._claim_names[claim.number] = name
            self._waiting[name] = reclaims[claim.tenant]

    def _give_back(self, claim: OwnerClaim) -> None:
        name = self._claim_names.pop(claim.number)
        if name in self._waiting:
            self._settle(name, claim.nodes)
        else:
            gpus = claim.nodes * self._demand.gpus_per_node
            self._seated_claims.remove(name)
            self.tally.add(Level.OWNERS_NODES, -gpus, self._now_us)
        made = self.core.do(commands.Unclaim(by=None, claim=name))
        assert made is not None, f"{name} could not be given back"

    def _settle(self, name: str, nodes: int) -> None:
        """A claim waits no longer."""
        self.tally.settle(self._waiting.pop(name), nodes, self._now_us)
        self.tally.add(Level.OWNERS_WAITING, -nodes * self._demand.gpus_per_node, self._now_us)

    def _submit(self, guest: Guest) -> None:
        command = commands.Submit(
            by=None, org=guest.org, market=None, spec=spec_of(guest), is_held=False
        )
        made = self.core.do(command)
        assert made is not None, f"guest {guest.number} was refused"
        name = next(it.workload.workload for it in made if isinstance(it, events.Submitted))
        runner = self._runners[name] = self._by_number[guest.number] = Runner(guest, name)
        self._wait(runner, NEXT_CLEARING)

    def _wait(self, runner: Runner, reason: str | None) -> None:
        """What it waits for from now on; what it waited for until now is counted."""
        if runner.is_done:
            return
        if runner.waits_for is not None and not is_background(runner.guest):
            span_us = self._now_us - runner.waits_since_us
            self.tally.count_wait(runner.waits_for, runner.guest.gpus, span_us)
        runner.waits_for, runner.waits_since_us = reason, self._now_us

    def _leave_queue(self, runner: Runner) -> None:
        """Its job began at home, or was taken back: it is done as a guest, and loses nothing."""
        self._wait(runner, None)
        runner.is_done = True
        if runner.attempt is not None and runner.started_us is not None:
            self._release(runner, code=0)
            return
        made = self.core.do(commands.Cancel(by=None, workload=runner.workload, now=True))
        assert made is not None, f"{runner.workload} could not be cancelled"

    # The agent.

    def _follow(self, event: events.AnyEvent) -> None:
        for transfer in transfers_of(event):
            self.money.count(transfer, event.at_us)
        match event:
            case events.Launched(workload=name, attempt=attempt):
                runner = self._runners[name]
                runner.launch(attempt)
                self._wait(runner, STARTING)
                starts_us = attempt.ordered_us + self._setup.starting_us
                self.core.at(starts_us, partial(self._start, runner, attempt.generation))
            case events.Cleared():
                self._cleared(event)
            case events.StopOrdered(workload=name):
                self._stop(name)
            case events.ClaimSeated(claim=name, nodes=None):
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

    def _unseat(self, name: str) -> None:
        """An owner's nodes are taken back, or exchanged for others: it waits once more."""
        claim = self.core.world.records.claims[name]
        gpus = claim.nodes * self._demand.gpus_per_node
        self._seated_claims.remove(name)
        self.tally.rechosen += 1
        self._waiting[name] = self.tally.begin_reclaim(claim.org, claim.nodes, 0.0, self._now_us)
        self.tally.add(Level.OWNERS_NODES, -gpus, self._now_us)
        self.tally.add(Level.OWNERS_WAITING, gpus, self._now_us)

    def _seated(self, name: str) -> None:
        nodes = self.core.world.records.claims[name].nodes
        self._settle(name, nodes)
        self._seated_claims.add(name)
        self.tally.add(Level.OWNERS_NODES, nodes * self._demand.gpus_per_node, self._now_us)

    def _cleared(self, event: events.Cleared) -> None:
        """Guests leave; each reclaim that got one of their nodes has touched them."""
        won = {lines.name_of(line.demand): line for line in event.won}
        claimers: dict[str, Reclaim] = {}
        lost = (lines.name_of(line.demand) for line in event.left)
        for name in dict.fromkeys([*won, *lost]):
            if name in self._seated_claims:
                self._unseat(name)
        self.tally.rechosen += len(event.claims)
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
            if leaving.stop.cause in (Cause.BELOW_FLOOR, Cause.RECLAIMED, Cause.MOVED):
                assert runner.attempt is not None
                for seat in runner.attempt.seats:
                    if seat.node in claimers:
                        claimers[seat.node].touch(is_moved=name in won)
            self._stop(name)

    def _start(self, runner: Runner, generation: int) -> None:
        if not runner.is_at(generation) or runner.stop is not None:
            return
        runner.started_us = self._now_us
        self._wait(runner, None)
        self.tally.add(_level(runner), runner.guest.gpus, self._now_us)
        self._report(runner, EnginePhase.RUNNING)

    def _stop(self, name: str) -> None:
        runner = self._runners[name]
        attempt = self.core.world.records.workloads[name].attempt
        assert attempt is not None and attempt.stop is not None
        runner.stop = attempt.stop
        leaves_us = self._now_us if runner.is_done else max(self._now_us, runner.leaves_us())
        self.core.at(leaves_us, partial(self._leave, runner, runner.generation))

    def _leave(self, runner: Runner, generation: int) -> None:
        """It has saved and is gone, or was killed."""
        if not runner.is_at(generation):
            return
        if not runner.is_done and self._now_us < runner.leaves_us():
            return
        if not runner.is_done:
            self.tally.stops += 1
        self._release(runner, code=EXIT_SAVED if runner.has_saved_by(self._now_us) else None)

    def _release(self, runner: Runner, *, code: int | None) -> None:
        attempt, gpus = runner.attempt, runner.guest.gpus
        assert attempt is not None
        if runner.started_us is None:
            self.tally.unused_us += gpus * (self._now_us - attempt.ordered_us)
        else:
            self.tally.add(_level(runner), -gpus, self._now_us)
            self.tally.unused_us += gpus * (runner.started_us - attempt.ordered_us)
            if code is None and not runner.is_done:
                self.tally.lost_us += gpus * lost_us(
                    self._now_us - runner.started_us, self._setup.checkpoint_every_us
                )
        self._report(runner, EnginePhase.RELEASED, code=code)

    def _report_running(self) -> None:
        """Each full hour, so that use is posted; agents say it all the time."""
        running = [it for it in self._runners.values() if it.attempt is not None and it.started_us]
        seen = tuple(observed(it, EnginePhase.RUNNING, self._now_us) for it in running)
        self.core.do(commands.ReportAttempts(by=None, pool=POOL, attempts=seen))
        if self._now_us < self.tally.end_us:
            self.core.at(self._now_us + HOUR_US, self._report_running)

    def _sample_prices(self) -> None:
        self.money.sample(self.core.world, self._now_us)
        self.core.at(self._now_us + BIN_US, self._sample_prices)

    def _report(self, runner: Runner, phase: EnginePhase, *, code: int | None = None) -> None:
        seen = observed(runner, phase, self._now_us, code=code)
        self.core.do(commands.ReportAttempts(by=None, pool=POOL, attempts=(seen,)))


def _level(runner: Runner) -> Level:
    return Level.BACKGROUND if is_background(runner.guest) else Level.GUESTS


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
