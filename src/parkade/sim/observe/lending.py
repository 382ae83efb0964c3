"""The cluster as a marketplace: the shipped core over a part of the trace, at one floor.

What is decided here lies outside Parkade: users and an agent. Each account's entitlement is a
reservation that lends what idles at the floor. A user submits to the reservation of its account
while that has GPUs free, else it bids for spot; when a reservation gets room, the oldest bids of
its account that still wait are submitted there anew. A job runs for as long as it ran in the trace.
After a notice one that saves goes on later, any other begins anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial

import msgspec
from msgspec.structs import replace

from parkade.core.billing.charges import transfers_of
from parkade.core.fleet.market import MarketTerms
from parkade.core.ledger.accounts import Transfer, TransferKind, org_of
from parkade.core.state import commands, events, lines
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.core.workloads.life import Cause
from parkade.core.workloads.observed import EnginePhase
from parkade.core.workloads.saving import EXIT_SAVED
from parkade.core.workloads.spec import Capacity, CapacityKind, Interconnect, Spec
from parkade.sim.observe.asks import Ask, Part
from parkade.sim.observe.entitlements import Entitlement
from parkade.sim.observe.kinds import NodeKind
from parkade.sim.replay.core_run import CoreRun
from parkade.sim.replay.demand import Demand, Guest
from parkade.sim.replay.fleet import MARKET, POOL, fund, opening
from parkade.sim.replay.guests import Runner, observed
from parkade.sim.replay.setup import Setup

STARTING_US = 5 * SECOND_US
PAID = (TransferKind.USAGE, TransferKind.MINIMUM_CHARGE, TransferKind.LATE_START)
PAUSES_US = 2 * SECOND_US
"""An owner that got its nodes in the next clearing has not waited."""

Progress = Callable[[int], None]


class Outcome(msgspec.Struct, kw_only=True):
    """What became of one job."""

    ask: Ask
    first_start_us: int | None = None
    done_us: int | None = None
    spot_us: int = 0
    """GPUs x microseconds on capacity of others."""

    lost_us: int = 0
    """GPUs x microseconds that it ran in vain."""

    notices: int = 0

    def delay_s(self, now_us: int) -> float:
        """From eligible to its end, less its length: all the time that is not useful. Of a job that
        is not done, as if it began now: the least that it can be."""
        until_us = self.done_us
        if until_us is None:
            until_us = now_us + self.ask.length_us
        return (until_us - self.ask.eligible_us - self.ask.length_us) / SECOND_US


class _Job:
    """A job with its present workload."""

    def __init__(self, ask: Ask) -> None:
        self.outcome = Outcome(ask=ask)
        self.ask = ask
        self.left_us = ask.length_us
        self.runner: Runner | None = None
        self.is_home = False
        self.submitted_us = 0

    @property
    def is_settled(self) -> bool:
        """It is done, or runs."""
        runner = self.runner
        is_held = runner is not None and runner.attempt is not None and runner.stop is None
        is_running = is_held and runner is not None and runner.started_us is not None
        return self.outcome.done_us is not None or is_running


class Lending:
    """One run at one floor; `owner_waits_us` are from submission to the order, of jobs on their
    own reservation, and `reclaims` those for which a guest was told to leave."""

    def __init__(
        self,
        kind: NodeKind,
        entitled: tuple[Entitlement, ...],
        asks: tuple[Ask, ...],
        part: Part,
        *,
        terms: MarketTerms,
        floor_micros: int,
    ) -> None:
        self._part, self._kind = part, kind
        self._room = {it.account: it.gpus for it in entitled}
        self._waiting_bids: defaultdict[int, dict[int, _Job]] = defaultdict(dict)
        self._jobs: dict[str, _Job] = {}
        self._asks = asks
        self._all: list[_Job] = []
        self.outcomes: list[Outcome] = []
        self.owner_waits_us: list[int] = []
        self.paid: defaultdict[str, int] = defaultdict(int)
        """Micro-units by org: what its guests paid."""

        self.earned: defaultdict[str, int] = defaultdict(int)
        """Micro-units by org: payouts to it."""

        self.notices = dict.fromkeys((Cause.RECLAIMED, Cause.OUTBID, Cause.MOVED), 0)
        self.fees = 0
        self.core = CoreRun(
            MARKET,
            start_us=part.begin_s * SECOND_US,
            follow=self._follow,
            check_every=None,
            is_every_clearing_run=False,
        )
        setup = Setup(
            terms=terms,
            fabric_nodes=kind.nodes,
            floor_micros=floor_micros,
            keep_percent=0,
            headroom_percent=None,
            starting_us=STARTING_US,
            checkpoint_every_us=HOUR_US,
        )
        self._open(setup, entitled)

    def _open(self, setup: Setup, entitled: tuple[Entitlement, ...]) -> None:
        nodes = tuple((org_name(it.account), it.nodes) for it in entitled)
        spare = self._kind.nodes - sum(count for _, count in nodes)
        # A demand without changes: what opens the market reads nodes alone.
        demand = Demand(
            start_us=self.core.now_us,
            minutes=0,
            nodes=nodes,
            gpus_per_node=self._kind.gpus_per_node,
            changes=(),
            busy_gpu_minutes=0,
            queued_gpu_minutes=0,
            servable_gpu_minutes=0,
            cuts=0,
        )
        self.core.open(_opening(setup, demand, spare))
        known = {name for name, _ in nodes}
        for account in sorted({ask.account for ask in self._asks}):
            if org_name(account) not in known:
                self.core.open(fund(org_name(account)))

    def run(self, progress: Progress) -> None:
        """All jobs of the part, and then until they run or are done, at most as long again. What
        runs then is taken to end in peace."""
        for ask in self._asks:
            self.core.at(ask.eligible_us, partial(self._arrive, ask))
        begin_us = self._part.begin_s * SECOND_US
        length_us = (self._part.end_s - self._part.begin_s) * SECOND_US
        self.core.at(begin_us + HOUR_US, self._report_running)
        last_us = begin_us + 2 * length_us
        step_us = max(MINUTE_US, length_us // 50)
        while self.core.now_us < last_us:
            self.core.run_until(min(last_us, self.core.now_us + step_us))
            progress(min(100, 100 * (self.core.now_us - begin_us) // max(1, length_us)))
            is_over = self.core.now_us >= begin_us + length_us
            if is_over and all(it.is_settled for it in self._all):
                break
        self._report_running()
        for job in self._all:
            runner = job.runner
            if job.outcome.done_us is None and job.is_settled and runner is not None:
                assert runner.started_us is not None
                done_us = runner.started_us + job.left_us
                self._release(job, code=0)
                job.outcome.done_us = done_us

    # Users.

    def _arrive(self, ask: Ask) -> None:
        job = _Job(ask)
        self._all.append(job)
        self.outcomes.append(job.outcome)
        self._submit(job)

    def _submit(self, job: _Job) -> None:
        """To its own reservation while that has room, else as a bid."""
        ask = job.ask
        total = ask.nodes * ask.gpus
        job.is_home = self._room.get(ask.account, 0) >= total
        if job.is_home:
            self._room[ask.account] -= total
        org = org_name(ask.account)
        made = self.core.do(
            commands.Submit(
                by=None, org=org, market=None, spec=_spec(ask, is_home=job.is_home), is_held=False
            )
        )
        assert made is not None, f"job {ask.number} was refused"
        name = next(it.workload.workload for it in made if isinstance(it, events.Submitted))
        guest = Guest(
            number=ask.number,
            org=org,
            gpus=total,
            limit_micros=ask.limit_micros,
            saving_us=ask.saving_us,
        )
        job.runner = Runner(guest, name)
        job.submitted_us = self.core.now_us
        self._jobs[name] = job
        if not job.is_home:
            self._waiting_bids[ask.account][ask.number] = job

    def _come_home(self, account: int) -> None:
        """Bids of an account that still wait are submitted to its reservation, the oldest first."""
        for job in tuple(self._waiting_bids[account].values()):
            if self._room.get(account, 0) <= 0:
                return
            if self._room[account] < job.ask.nodes * job.ask.gpus:
                continue
            runner = job.runner
            assert runner is not None and runner.attempt is None
            if self.core.world.records.workloads[runner.workload].attempt is not None:
                continue
            made = self.core.do(commands.Cancel(by=None, workload=runner.workload, now=True))
            if made is not None:
                del self._waiting_bids[account][job.ask.number]
                self._jobs.pop(runner.workload)
                self._submit(job)

    # The agent.

    def _follow(self, event: events.AnyEvent) -> None:
        for transfer in transfers_of(event):
            self._count(transfer)
        match event:
            case events.Launched(workload=name, attempt=attempt) if name in self._jobs:
                job = self._jobs[name]
                runner = _runner(job)
                runner.launch(attempt)
                self._waiting_bids[job.ask.account].pop(job.ask.number, None)
                if job.is_home:
                    self.owner_waits_us.append(attempt.ordered_us - job.submitted_us)
                starts_us = attempt.ordered_us + STARTING_US
                self.core.at(starts_us, partial(self._start, job, attempt.generation))
            case events.Cleared():
                for leaving in event.left:
                    name = lines.name_of(leaving.demand)
                    if leaving.stop is not None and name in self._jobs:
                        self._stop(self._jobs[name], leaving.stop.cause)
            case events.StopOrdered(workload=name, stop=stop) if name in self._jobs:
                self._stop(self._jobs[name], stop.cause)
            case events.Ended(workload=name, phase=phase) if name in self._jobs:
                job = self._jobs[name]
                _runner(job).attempt = None
                if not phase.is_ended and not job.is_home:
                    self._waiting_bids[job.ask.account][job.ask.number] = job
            case _:
                pass

    def _count(self, transfer: Transfer) -> None:
        if transfer.kind in PAID and (org := org_of(transfer.debit)) is not None:
            self.paid[org] += transfer.micros
        elif transfer.kind is TransferKind.PAYOUT and (org := org_of(transfer.credit)) is not None:
            self.earned[org] += transfer.micros
        elif transfer.kind is TransferKind.FEE:
            self.fees += transfer.micros

    def _start(self, job: _Job, generation: int) -> None:
        runner = _runner(job)
        if not runner.is_at(generation) or runner.stop is not None:
            return
        now_us = runner.started_us = self.core.now_us
        if job.outcome.first_start_us is None:
            job.outcome.first_start_us = now_us
        self._report(job, EnginePhase.RUNNING)
        self.core.at(now_us + job.left_us, partial(self._finish, job, generation))

    def _finish(self, job: _Job, generation: int) -> None:
        if _runner(job).is_at(generation):
            self._release(job, code=0)

    def _stop(self, job: _Job, cause: Cause) -> None:
        runner = _runner(job)
        attempt = self.core.world.records.workloads[runner.workload].attempt
        if attempt is None or attempt.stop is None or runner.attempt is None:
            return
        if runner.stop is None and cause in self.notices:
            self.notices[cause] += 1
            job.outcome.notices += 1
        runner.stop = attempt.stop
        leaves_us = max(self.core.now_us, runner.leaves_us())
        self.core.at(leaves_us, partial(self._leave, job, runner.generation))

    def _leave(self, job: _Job, generation: int) -> None:
        runner = _runner(job)
        if runner.is_at(generation) and self.core.now_us >= runner.leaves_us():
            has_saved = runner.has_saved_by(self.core.now_us)
            self._release(job, code=EXIT_SAVED if has_saved else None)

    def _release(self, job: _Job, *, code: int | None) -> None:
        """Its seats are free: it is done (0), has saved, or was killed (None)."""
        runner, ask = _runner(job), job.ask
        total = ask.nodes * ask.gpus
        ran_us = 0 if runner.started_us is None else self.core.now_us - runner.started_us
        if not job.is_home:
            job.outcome.spot_us += total * ran_us
        if code is None:
            job.outcome.lost_us += total * (ran_us + ask.length_us - job.left_us)
            job.left_us = ask.length_us
        else:
            job.left_us = max(1, job.left_us - ran_us)
        if code == 0:
            job.outcome.done_us = self.core.now_us
        self._report(job, EnginePhase.RELEASED, code=code)
        if code == 0 and job.is_home:
            self._room[ask.account] += total
            self._come_home(ask.account)

    def _report(self, job: _Job, phase: EnginePhase, *, code: int | None = None) -> None:
        seen = observed(_runner(job), phase, self.core.now_us, code=code)
        exits = tuple(
            replace(one, rank=rank) for one in seen.exits for rank in range(job.ask.nodes)
        )
        self.core.do(
            commands.ReportAttempts(by=None, pool=POOL, attempts=(replace(seen, exits=exits),))
        )

    def _report_running(self) -> None:
        """Each full hour, so that use is posted."""
        running = [
            it.runner
            for it in self._jobs.values()
            if it.runner is not None and it.runner.attempt is not None and it.runner.started_us
        ]
        seen = tuple(observed(it, EnginePhase.RUNNING, self.core.now_us) for it in running)
        if seen:
            self.core.do(commands.ReportAttempts(by=None, pool=POOL, attempts=seen))
        self.core.at(self.core.now_us + HOUR_US, self._report_running)

    def money(self) -> tuple[float, float, float]:
        """(paid by guests, paid out to owners, fees), in whole units."""
        paid, earned = sum(self.paid.values()), sum(self.earned.values())
        return paid / MICROS, earned / MICROS, self.fees / MICROS


def org_name(account: int) -> str:
    """Accounts may be called what an org may not, so orgs are numbered."""
    return f"a{account}"


def _runner(job: _Job) -> Runner:
    assert job.runner is not None
    return job.runner


def _opening(setup: Setup, demand: Demand, spare: int) -> list[commands.AnyCommand]:
    """The market's opening with unreserved nodes beside the owners'."""
    if not spare:
        return list(opening(setup, demand))
    sized = replace(demand, nodes=(*demand.nodes, ("spare", spare)))
    return [
        command
        for command in opening(setup, sized)
        if getattr(command, "org", None) != "spare"
        and getattr(command, "reservation", None) != "spare"
    ]


def _spec(ask: Ask, *, is_home: bool) -> Spec:
    """What its user submits."""
    home = Capacity(kind=CapacityKind.RESERVATION, reservation=org_name(ask.account))
    return Spec(
        name=f"job-{ask.number}",
        command="run",
        workdir="/",
        env=(),
        env_file=None,
        storage=(),
        nodes=ask.nodes,
        gpus=ask.gpus,
        instance_type=None,
        interconnect=Interconnect.ANY,
        capacity=home if is_home else Capacity(kind=CapacityKind.SPOT),
        limit_price_micros=None if is_home else ask.limit_micros,
        max_spend_micros=None,
        checkpoint=None,
        priority=0,
        retry_failures=1000,
        max_duration_us=None,
    )
