"""A day of a simulated market: demand, agents and clock around the production core.

Nothing of the market is written here: `CoreRun` decides and keeps the time. What is simulated is
what lies outside: people that submit, rebid and lose patience, owners that claim, machines that
break, and engines that start, save, linger and end. What happens is known from events alone.
"""

import gc
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from parkade.core.state import commands, events, lines
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.core.workloads.observed import EnginePhase
from parkade.sim.dynamics.demand import Claim, Demand, Job, Outage
from parkade.sim.dynamics.opening import MARKET, POOL, spec_of
from parkade.sim.dynamics.runner import Runner, observed
from parkade.sim.replay.core_run import CoreRun

START_US = 1_700_000_000 * SECOND_US // HOUR_US * HOUR_US
RETRY_US = 5 * MINUTE_US


class Listener(Protocol):
    """What is told of a day as it happens; it changes nothing."""

    def happened(self, event: events.AnyEvent, world: World, /) -> None:
        """An event was evolved."""
        ...

    def passed(self, world: World, now_us: int, /) -> None:
        """Everything at this instant has happened."""
        ...

    def cleared(self, cpu_s: float, /) -> None:
        """A clearing was decided in so much processor time; its event, if any, comes next."""
        ...

    def refused(self, command: commands.AnyCommand, refusal: Refusal, /) -> None:
        """A command was refused."""
        ...


class Day:
    """One market from its opening on. `opens`: the commands that open it. `check_every`: the
    world's invariants are asserted after so many events; None: never."""

    def __init__(
        self,
        demand: Demand,
        listeners: tuple[Listener, ...],
        *,
        opens: Iterable[commands.AnyCommand],
        check_every: int | None = None,
    ) -> None:
        self._listeners = listeners
        self._runners: dict[str, Runner] = {}
        self.name_of: dict[int, str] = {}
        self._core = CoreRun(
            MARKET,
            start_us=START_US,
            follow=self._happened,
            check_every=check_every,
            is_every_clearing_run=True,
            listener=self,
        )
        self._core.open(opens)
        for job in demand.jobs:
            self.at(START_US + job.at_us, partial(self.submit, job))
        for claim in demand.claims:
            self.at(START_US + claim.at_us, partial(self.claim, claim))
        for outage in demand.outages:
            self.at(START_US + outage.at_us, partial(self.break_node, outage))
        self.at(self.now_us + HOUR_US, self._report_running)

    @property
    def world(self) -> World:
        """As it stands."""
        return self._core.world

    @property
    def now_us(self) -> int:
        """The present."""
        return self._core.now_us

    @property
    def digest(self) -> str:
        """Of all events so far."""
        return self._core.digest

    def run(self, span_us: int) -> None:
        """Everything until so long after the start. Cost: one clearing an interval and more."""
        gc.collect()
        self._core.run_through(START_US + span_us)
        self.passed()

    def do(self, command: commands.AnyCommand) -> tuple[events.AnyEvent, ...] | None:
        """Decides and evolves; None where it is refused."""
        return self._core.do(command)

    def at(self, at_us: int, action: Callable[[], object]) -> None:
        """Something to do at an instant, after what was asked for the same instant before."""
        self._core.at(at_us, action)

    # What the core's run tells.

    def passed(self) -> None:
        """Everything at this instant has happened."""
        for listener in self._listeners:
            listener.passed(self.world, self.now_us)

    def cleared(self, cpu_s: float) -> None:
        """A clearing was decided."""
        for listener in self._listeners:
            listener.cleared(cpu_s)

    def refused(self, command: commands.AnyCommand, refusal: Refusal) -> None:
        """A command was refused."""
        for listener in self._listeners:
            listener.refused(command, refusal)

    def _happened(self, event: events.AnyEvent) -> None:
        for listener in self._listeners:
            listener.happened(event, self.world)
        self._follow(event)

    # People.

    def submit(self, job: Job) -> str | None:
        """The workload's id; None where it is refused."""
        spec = spec_of(job)
        made = self.do(commands.Submit(by=None, org=job.org, market=None, spec=spec, is_held=False))
        if made is None:
            return None
        name = next(it.workload.workload for it in made if isinstance(it, events.Submitted))
        self._runners[name] = Runner(job)
        self.name_of[job.number] = name
        if job.capacity == "spot":
            self.at(self.now_us + job.patience_us, partial(self._lose_patience, name))
        if job.rebid is not None:
            after_us, limit = job.rebid
            self.at(self.now_us + after_us, partial(self._rebid, name, limit))
        return name

    def _lose_patience(self, name: str) -> None:
        workload = self.world.records.workloads.get(name)
        if workload is not None and not workload.phase.is_ended and not workload.generation:
            self.do(commands.Cancel(by=None, workload=name, now=False))

    def _rebid(self, name: str, limit_micros: int) -> None:
        workload = self.world.records.workloads.get(name)
        if workload is not None and not workload.phase.is_ended:
            self.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=limit_micros))

    def claim(self, claim: Claim) -> str | None:
        """The claim's id; None where it is refused."""
        made = self.do(
            commands.MakeClaim(by=None, reservation=claim.reservation, nodes=claim.nodes)
        )
        if made is None:
            return None
        name = next(it.claim.claim for it in made if isinstance(it, events.Claimed))
        self.at(self.now_us + claim.span_us, partial(self._unclaim, name))
        return name

    def _unclaim(self, name: str) -> None:
        if name in self.world.records.claims:
            self.do(commands.Unclaim(by=None, claim=name))

    def break_node(self, outage: Outage) -> None:
        """A node breaks or is cordoned, and is well again after its span."""
        if outage.is_failure:
            self.do(commands.FailNode(by=None, node=outage.node, reason="simulated"))
        else:
            self.do(commands.CordonNode(by=None, node=outage.node, reason="simulated"))
        self.at(self.now_us + outage.span_us, partial(self._mend, outage))

    def _mend(self, outage: Outage) -> None:
        if not outage.is_failure:
            self.do(commands.UncordonNode(by=None, node=outage.node))
        elif self.do(commands.RestoreNode(by=None, node=outage.node)) is None:
            self.at(self.now_us + RETRY_US, partial(self._mend, outage))

    # Engines.

    def _follow(self, event: events.AnyEvent) -> None:
        """What an agent does about an event."""
        match event:
            case events.Launched(workload=name, attempt=attempt):
                runner = self._runners[name]
                runner.launch(attempt)
                starts_us = attempt.ordered_us + runner.job.starting_us
                self.at(starts_us, partial(self._start, name, runner.generation))
            case events.Cleared(left=left):
                for leaving in left:
                    if leaving.stop is not None:
                        self._stop(lines.name_of(leaving.demand))
            case events.StopOrdered(workload=name):
                self._stop(name)
            case events.Broken(workload=name):
                self._runners[name].broken_us = event.at_us
            case events.Ended(workload=name):
                self._runners[name].attempt = None
            case events.Forgotten(workloads=names):
                for name in names:
                    self._runners.pop(name, None)
            case _:
                pass

    def _start(self, name: str, generation: int) -> None:
        runner = self._runners[name]
        is_to_run = runner.broken_us is None and runner.stop is None
        if not runner.is_at(generation) or not is_to_run:
            return
        runner.started_us = self.now_us
        self._report(runner, EnginePhase.RUNNING)
        self.at(runner.ends_us(), partial(self._end, name, generation))

    def _stop(self, name: str) -> None:
        runner = self._runners[name]
        workload = self.world.records.workloads[name]
        assert workload.attempt is not None and workload.attempt.stop is not None
        runner.stop = workload.attempt.stop
        self.at(max(self.now_us, runner.leaves_us()), partial(self._leave, name, runner.generation))

    def _end(self, name: str, generation: int) -> None:
        """Its work is done, or it fails; unless it left, broke or is being killed."""
        runner = self._runners[name]
        if not runner.is_at(generation) or runner.broken_us is not None:
            return
        if runner.stop is not None and self.now_us > runner.leaves_us():
            return
        code = 1 if runner.is_failing() else 0
        runner.end(self.now_us)
        self._report(runner, EnginePhase.RELEASED, code=code)

    def _leave(self, name: str, generation: int) -> None:
        """It has saved and is gone, or was killed."""
        runner = self._runners[name]
        if not runner.is_at(generation) or self.now_us < runner.leaves_us():
            return
        code = runner.leave(self.now_us)
        self._report(runner, EnginePhase.RELEASED, code=code)

    def _report_running(self) -> None:
        """Each full hour, so that use is posted; agents say it all the time."""
        seen = tuple(
            observed(runner, EnginePhase.RUNNING, self.now_us, code=None)
            for runner in self._runners.values()
            if runner.attempt is not None and runner.started_us is not None
        )
        self.do(commands.ReportAttempts(by=None, pool=POOL, attempts=seen))
        self.at(self.now_us + HOUR_US, self._report_running)

    def _report(self, runner: Runner, phase: EnginePhase, *, code: int | None = None) -> None:
        seen = observed(runner, phase, self.now_us, code=code)
        self.do(commands.ReportAttempts(by=None, pool=POOL, attempts=(seen,)))
