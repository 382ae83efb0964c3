"""A journal's demand once more, under other terms: the core decides, and programs behave as before.

Theory of operation. What came from outside is asked again at its own instants: submissions, bids,
claims, lending, deposits, failures, cordons. What followed from the marketplace is decided anew:
clearings, deadlines, launches, notices. Between the two stand the agents: a process starts, saves
and ends when its program would (`programs`), and each full hour what runs is reported.

Names that the marketplace gives (`w5`, `c2`, a reservation's) may be others here, because what was
accepted there may be refused now. A command on such a name follows it; where its object does not
exist, or it is refused, it is left out and counted.
"""

from collections.abc import Sequence
from functools import partial

import msgspec
from msgspec.structs import replace

from parkade.core.healing.incident import RepairOrder, RepairReport
from parkade.core.state import commands, events, lines
from parkade.core.units.money import ceil_div
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.observed import EnginePhase, ObservedAttempt, RankExit
from parkade.core.workloads.saving import EXIT_SAVED
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.core.workloads.workload import Attempt, Stop, Workload
from parkade.sim.replay.core_run import CoreRun
from parkade.sim.whatif.change import Change, Changed
from parkade.sim.whatif.counting import Counting
from parkade.sim.whatif.explain import Asked, Step
from parkade.sim.whatif.programs import ASSUMED_US, Program, Programs

DONE, FAILED, KILL_SIGNAL = 0, 1, 9
REPAIR_US = 60 * SECOND_US
NEVER_US = 2**62

_BY_AGENTS = commands.ReportAttempts | commands.ReportRepair | commands.RunClearing


class _Runner(msgspec.Struct, kw_only=True):
    """A workload here, with its program there."""

    program: Program
    length_us: int | None
    fails_us: list[int]
    saves: list[tuple[int, bool]]
    ran_us: int = 0
    """How long it has run in all, less what was lost; of an elastic one, times its nodes."""

    attempts: int = 0
    attempt: Attempt | None = None
    started_us: int | None = None
    stop: Stop | None = None
    leaves_us: int | None = None
    saves_now: bool = False

    def to_run_us(self) -> int:
        """Until it is done or fails, on the nodes that it has."""
        ends = [it for it in (self.length_us, *self.fails_us[:1]) if it is not None]
        return ceil_div(max(0, min(ends) - self.ran_us), self._nodes()) if ends else NEVER_US

    def ran(self, span_us: int) -> None:
        """So long it has run on the nodes that it has."""
        self.ran_us += span_us * self._nodes()

    def _nodes(self) -> int:
        assert self.attempt is not None, "what has no attempt does not run"
        return self.program.nodes_counted(len(self.attempt.seats))


class Counterfactual:
    """One run until `end_us`; `counting` has its figures once it is over. `skipped`: commands that
    did not apply, by kind; `assumed`: workloads that ran here and never did there; `names`: of
    workloads and claims, those of here by those of there."""

    def __init__(
        self, steps: Sequence[Step], programs: Programs, change: Change, *, end_us: int
    ) -> None:
        asked = [step for step in steps if isinstance(step, Asked)]
        assert asked, "a journal begins with a command"
        self.skipped: dict[str, int] = {}
        self.assumed: set[str] = set()
        self._asked = [it for it in asked if not isinstance(it.command, _BY_AGENTS)]
        self._programs = programs
        self._changed = Changed(change)
        self.names: dict[str, str] = {}
        self._reservations: dict[str, str] = {}
        self._asking: str | None = None
        self._runners: dict[str, _Runner] = {}
        self._held: dict[str, list[ObservedAttempt]] = {}
        self.start_us, self.end_us = asked[0].now_us, end_us
        self.counting = Counting(self.start_us, self.end_us)
        self.core = CoreRun(
            None,
            start_us=self.start_us,
            follow=self._follow,
            check_every=None,
            is_every_clearing_run=False,
        )

    def run(self) -> None:
        """From the first command to the last. Cost: that of the core, and one action a command."""
        for asked in self._asked:
            self.core.at(asked.now_us, partial(self._ask, asked))
        self.core.at(self.start_us + HOUR_US, self._report_running)
        self.core.run_until(self.end_us + 1)
        self.counting.close(self.core.world)

    # People, owners, operators.

    def _ask(self, asked: Asked) -> None:
        command = self._changed.command(self.core.world, asked.command)
        renamed = None if command is None else self._renamed(command)
        self._asking = asked.gives
        made = None if renamed is None else self.core.do(renamed)
        self._asking = None
        if made is None:
            kind = type(asked.command).__name__
            self.skipped[kind] = self.skipped.get(kind, 0) + 1
        for event in made or ():
            if isinstance(event, events.ReachabilityChanged) and event.is_reachable:
                for seen in self._held.pop(event.pool, []):
                    self._send(event.pool, seen)

    def _name_here(self, name: str) -> str | None:
        """Of a workload, or of a member of an array, which has the array's name in its own."""
        array, underscore, index = name.partition("_")
        here = self.names.get(array)
        return None if here is None else f"{here}{underscore}{index}"

    def _renamed(self, command: commands.AnyCommand) -> commands.AnyCommand | None:
        """The command on the names of here; None where what it names does not exist here."""
        match command:
            case (
                commands.Cancel(workload=name)
                | commands.Hold(workload=name)
                | commands.Release(workload=name)
                | commands.ChangeBid(workload=name)
                | commands.ChangeBounds(workload=name)
                | commands.Retry(workload=name)
                | commands.Resubmit(workload=name)
            ):
                here = self._name_here(name)
                return None if here is None else replace(command, workload=here)
            case commands.Unclaim(claim=name):
                here = self.names.get(name)
                is_there = here is not None and here in self.core.world.records.claims
                return replace(command, claim=here) if is_there and here is not None else None
            case (
                commands.Lend(reservation=name)
                | commands.MakeClaim(reservation=name)
                | commands.EndReservation(reservation=name)
                | commands.ExtendReservation(reservation=name)
                | commands.SplitReservation(reservation=name)
                | commands.ShrinkReservation(reservation=name)
            ):
                here = self._reservations.get(name)
                return None if here is None else replace(command, reservation=here)
            case commands.Submit(spec=spec) if spec.capacity.kind is CapacityKind.RESERVATION:
                there = spec.entries or (spec.capacity,)
                found = [it for each in there if (it := self._entry_here(each)) is not None]
                if len(found) < len(there):
                    return None
                entries = tuple(found) if spec.entries else ()
                return replace(command, spec=replace(spec, capacity=found[0], entries=entries))
            case _:
                return command

    def _entry_here(self, capacity: Capacity) -> Capacity | None:
        """With the name that its reservation has here; None where it was not sold here."""
        if capacity.kind is not CapacityKind.RESERVATION:
            return capacity
        here = self._reservations.get(capacity.reservation or "")
        return None if here is None else replace(capacity, reservation=here)

    # Agents.

    def _follow(self, event: events.AnyEvent) -> None:
        self.counting.follow(event, self.core.world)
        match event:
            case events.Submitted(workload=it):
                self._runners[it.workload] = self._runner(it, self._asking)
            case events.Claimed(claim=claim):
                self.names[self._asking or ""] = claim.claim
            case events.Reserved(reservation=reservation):
                self._reservations[self._asking or ""] = reservation.reservation
            case events.Launched(workload=name, attempt=attempt):
                self._launched(name, attempt)
            case events.StopOrdered(workload=name):
                self._stopped(name)
            case events.Cleared(left=left):
                for leaving in left:
                    if leaving.stop is not None:
                        self._stopped(lines.name_of(leaving.demand))
            case events.Broken(workload=name):
                self._broken(name)
            case events.Ended(workload=name):
                self._runners[name].attempt = None
            case events.RepairOrdered(order=order) | events.TurnaroundOrdered(order=order):
                self.core.at(event.at_us + REPAIR_US, partial(self._repaired, order))
            case events.Forgotten(workloads=names):
                for name in names:
                    self._runners.pop(name, None)
            case _:
                pass

    def _runner(self, workload: Workload, there: str | None) -> _Runner:
        program = self._programs.by_workload.get(there or "")
        if there is not None:
            self.names[there] = workload.workload
        if program is None or not program.has_run:
            least = workload.spec.nodes if workload.spec.is_elastic else 0
            length_us = (self._programs.length_us or ASSUMED_US) * max(1, least)
            starting = Program(least_nodes=least, starting_us=[], fails_us=[], saves=[])
            return _Runner(program=starting, length_us=length_us, fails_us=[], saves=[])
        return _Runner(
            program=program,
            length_us=program.length_us,
            fails_us=list(program.fails_us),
            saves=list(program.saves),
        )

    def _launched(self, name: str, attempt: Attempt) -> None:
        runner = self._runners[name]
        if not runner.program.has_run:
            self.assumed.add(name)
        runner.attempts += 1
        runner.attempt, runner.started_us, runner.stop = attempt, None, None
        runner.leaves_us, runner.saves_now = None, False
        known = runner.program.starting_us
        delay_us = (
            known[min(runner.attempts, len(known)) - 1] if known else self._programs.starting_us
        )
        self.core.at(attempt.ordered_us + delay_us, partial(self._start, name, attempt.generation))

    def _is_at(self, name: str, generation: int) -> bool:
        runner = self._runners.get(name)
        attempt = None if runner is None else runner.attempt
        return attempt is not None and attempt.generation == generation

    def _start(self, name: str, generation: int) -> None:
        if not self._is_at(name, generation):
            return
        runner = self._runners[name]
        if runner.stop is not None or self._is_broken(name):
            return
        runner.started_us = self.core.now_us
        self._report(name, EnginePhase.RUNNING)
        if self._is_at(name, generation) and (to_run_us := runner.to_run_us()) < NEVER_US:
            self.core.at(self.core.now_us + to_run_us, partial(self._done, name, generation))

    def _is_broken(self, name: str) -> bool:
        attempt = self.core.world.records.workloads[name].attempt
        return attempt is not None and attempt.broken_us is not None

    def _done(self, name: str, generation: int) -> None:
        """Its work is done, or it fails."""
        if not self._is_at(name, generation) or self._is_broken(name):
            return
        runner = self._runners[name]
        has_failed = bool(runner.fails_us) and runner.fails_us[0] != runner.length_us
        self._ran(runner, is_kept=True)
        if has_failed:
            runner.fails_us.pop(0)
        self._report(name, EnginePhase.RELEASED, code=FAILED if has_failed else DONE)

    def _stopped(self, name: str) -> None:
        """It got a notice, or an earlier end of one."""
        runner = self._runners[name]
        attempt = self.core.world.records.workloads[name].attempt
        assert attempt is not None and attempt.stop is not None
        is_first = runner.stop is None
        runner.stop = stop = attempt.stop
        if runner.started_us is None:
            leaves_us = self.core.now_us
        elif is_first:
            span_us, runner.saves_now = self._saving(runner)
            leaves_us = stop.noticed_us + span_us
        else:
            assert runner.leaves_us is not None
            leaves_us = runner.leaves_us
        if leaves_us > stop.kill_us or not runner.saves_now:
            runner.saves_now, leaves_us = False, min(leaves_us, stop.kill_us)
        runner.leaves_us = max(self.core.now_us, leaves_us)
        self.core.at(runner.leaves_us, partial(self._leave, name, attempt.generation))

    def _saving(self, runner: _Runner) -> tuple[int, bool]:
        """How long it stays, and whether it has saved then: as at its next notice there; at
        others, as at its last."""
        if not runner.saves:
            return self._programs.saving_us, True
        span_us, is_saved = runner.saves[0]
        if len(runner.saves) > 1:
            runner.saves.pop(0)
        return (span_us, True) if is_saved else (NEVER_US, False)

    def _leave(self, name: str, generation: int) -> None:
        if not self._is_at(name, generation):
            return
        runner = self._runners[name]
        if runner.leaves_us is None or self.core.now_us < runner.leaves_us:
            return
        self._ran(runner, is_kept=runner.saves_now)
        self._report(name, EnginePhase.RELEASED, code=EXIT_SAVED if runner.saves_now else None)

    def _broken(self, name: str) -> None:
        """A node of it broke: what is left of it ends with the notice that follows, unsaved."""
        runner = self._runners[name]
        runner.saves_now = False
        attempt = runner.attempt
        if attempt is not None and runner.stop is None:
            # The node is gone; its agent sees the rest end at once.
            self.core.at(self.core.now_us + SECOND_US, partial(self._lost, name, attempt))

    def _lost(self, name: str, attempt: Attempt) -> None:
        if not self._is_at(name, attempt.generation):
            return
        self._ran(self._runners[name], is_kept=False)
        self._report(name, EnginePhase.RELEASED)

    def _ran(self, runner: _Runner, *, is_kept: bool) -> None:
        if runner.started_us is not None and is_kept:
            runner.ran(self.core.now_us - runner.started_us)

    def _repaired(self, order: RepairOrder) -> None:
        node = self.core.world.records.nodes.get(order.node)
        if node is None:
            return
        report = RepairReport(
            order=order.order,
            node=order.node,
            is_done=True,
            exit_code=0,
            says="assumed",
            began_us=order.ordered_us,
            ended_us=self.core.now_us,
        )
        self.core.do(commands.ReportRepair(by=None, pool=node.pool, report=report))

    def _report(self, name: str, phase: EnginePhase, *, code: int | None = None) -> None:
        runner = self._runners[name]
        attempt = runner.attempt
        assert attempt is not None
        is_over = phase is EnginePhase.RELEASED
        is_seen = is_over and not self._is_broken(name)
        exits = (RankExit(rank=0, code=code, signal=KILL_SIGNAL if code is None else None),)
        seen = ObservedAttempt(
            attempt=attempt.attempt,
            generation=attempt.generation,
            phase=phase,
            started_us=runner.started_us,
            released_us=self.core.now_us if is_over else None,
            exits=exits if is_seen else (),
            checkpoint=None,
            devices=(),
            launch_error=None,
            engine_state=phase.value,
        )
        pool = self.core.world.pool_of(attempt.seats)
        assert pool is not None
        if not pool.is_reachable:
            self._held.setdefault(pool.pool, []).append(seen)
        else:
            self._send(pool.pool, seen)

    def _send(self, pool: str, *seen: ObservedAttempt) -> None:
        self.core.do(commands.ReportAttempts(by=None, pool=pool, attempts=seen))

    def _report_running(self) -> None:
        """Each full hour, so that use is posted; agents say it all the time."""
        for name, runner in tuple(self._runners.items()):
            if runner.attempt is not None and runner.started_us is not None:
                self._report(name, EnginePhase.RUNNING)
        self.core.at(self.core.now_us + HOUR_US, self._report_running)
