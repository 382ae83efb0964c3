"""A journal's demand once more, under other terms: the core decides, and programs behave as before.

Theory of operation. What came from outside is asked again at its own instants: submissions, bids,
claims, lending, deposits, failures, cordons. What followed from the marketplace is decided anew:
clearings, deadlines, launches, notices. Between the two stand the agents: a process starts, saves
and ends when its program would (`programs`), and each full hour what runs is reported.

A command follows the name that its object has here (`names`); where that does not exist, or the
command is refused, it is left out and counted. A member of an array behaves as the same member did
in the journal, whenever it is opened.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from parkade.core.healing.incident import RepairOrder, RepairReport
from parkade.core.state import commands, events, lines
from parkade.core.units import indexes
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.array import member_name
from parkade.core.workloads.observed import (
    EnginePhase,
    ObservedAttempt,
    RankBegun,
    RankExit,
    RankLeft,
)
from parkade.core.workloads.ranks import begun_of
from parkade.core.workloads.saving import EXIT_SAVED
from parkade.core.workloads.workload import Attempt, Rank, Workload
from parkade.sim.replay.core_run import CoreRun
from parkade.sim.whatif.change import Change, Changed
from parkade.sim.whatif.counting import Counting
from parkade.sim.whatif.explain import Asked, Step
from parkade.sim.whatif.lives import OfWorkload
from parkade.sim.whatif.names import NamesHere
from parkade.sim.whatif.programs import Programs
from parkade.sim.whatif.runner import NEVER_US, Runner, runner_of

DONE, FAILED, KILL_SIGNAL = 0, 1, 9
REPAIR_US = 60 * SECOND_US

_BY_AGENTS = commands.ReportAttempts | commands.ReportRepair | commands.RunClearing


class Counterfactual:
    """One run until `end_us`; `counting` has its figures once it is over. `skipped`: commands that
    did not apply, by kind; `assumed`: workloads that ran here and never did there."""

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
        self._names = NamesHere()
        self._asking: str | None = None
        self._runners: dict[str, Runner] = {}
        self._lives: Counter[str] = Counter()
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
        world = self.core.world
        renamed = None if command is None else self._names.renamed(world, command)
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

    # Workloads by their names in the journal.

    def journal_names(self) -> Iterator[str]:
        """Of the workloads, and of the members of arrays that were opened here."""
        for name in self.counting.lives.workloads:
            if (there := self._names.workload_there(name)) is not None:
                yield there

    def find(self, there: str) -> OfWorkload | None:
        """What became of a workload; None where it was not accepted here."""
        here = self._names.workload(there)
        return None if here is None else self.counting.lives.find(here)

    # Agents.

    def _follow(self, event: events.AnyEvent) -> None:
        self.counting.follow(event, self.core.world)
        match event:
            case events.Submitted(workload=it):
                if self._asking is not None:
                    self._names.add_workload(self._asking, it.workload)
                if it.array is None:
                    self._open(it)
            case events.Resubmitted(workload=it):
                self._open(it)
            case events.MembersOpened(workload=name, members=members):
                for index in indexes.indexes(members):
                    member = member_name(name, index)
                    self._open(self.core.world.records.workloads[member])
            case events.Claimed(claim=claim):
                if self._asking is not None:
                    self._names.add_claim(self._asking, claim.claim)
            case (
                events.Reserved(reservation=reservation)
                | events.ReservationDivided(part=reservation)
            ):
                if self._asking is not None:
                    self._names.add_reservation(self._asking, reservation.reservation)
            case events.Launched(workload=name, attempt=attempt):
                self._launched(name, attempt)
            case events.StopOrdered(workload=name):
                self._stopped(name)
            case events.RanksChanged(workload=name, ranks=ranks):
                self._ranks_changed(name, ranks)
            case events.Cleared():
                for leaving in event.left:
                    if leaving.stop is not None:
                        self._stopped(lines.name_of(leaving.demand))
                for line in event.resized:
                    self._ranks_changed(line.workload, line.ranks)
            case events.Broken(workload=name):
                self._broken(name)
            case events.Ended(workload=name):
                self._runners[name].generation = None
            case events.RepairOrdered(order=order) | events.TurnaroundOrdered(order=order):
                self.core.at(event.at_us + REPAIR_US, partial(self._repaired, order))
            case events.Forgotten(workloads=names):
                for name in names:
                    self._runners.pop(name, None)
            case _:
                pass

    def _open(self, workload: Workload) -> None:
        """It begins a life here, its first or another."""
        name = workload.workload
        there = self._names.workload_there(name)
        least = workload.spec.nodes if workload.spec.is_elastic else 0
        life = self._lives[name]
        self._runners[name] = runner_of(self._programs, there, life, least_nodes=least)
        self._lives[name] += 1

    def _launched(self, name: str, attempt: Attempt) -> None:
        runner = self._runners[name]
        if not runner.program.has_run:
            self.assumed.add(name)
        runner.launch(attempt.generation, len(attempt.seats))
        known = runner.program.starting_us
        delay_us = (
            known[min(runner.attempts, len(known)) - 1] if known else self._programs.starting_us
        )
        self.core.at(attempt.ordered_us + delay_us, partial(self._start, name, attempt.generation))

    def _is_at(self, name: str, generation: int) -> bool:
        runner = self._runners.get(name)
        return runner is not None and runner.generation == generation

    def _attempt(self, name: str) -> Attempt:
        attempt = self.core.world.records.workloads[name].attempt
        assert attempt is not None, f"{name} has an attempt"
        return attempt

    def _start(self, name: str, generation: int) -> None:
        if not self._is_at(name, generation):
            return
        runner = self._runners[name]
        if runner.stop is not None or self._is_broken(name):
            return
        runner.start(self.core.now_us)
        self._report(name, EnginePhase.RUNNING)
        if self._is_at(name, generation):
            self._run_on(name, generation)

    def _run_on(self, name: str, generation: int) -> None:
        """It will be done, or fail, if its nodes stay."""
        runner = self._runners[name]
        if (to_run_us := runner.to_run_us()) < NEVER_US:
            done = partial(self._done, name, generation, runner.stretches)
            self.core.at(runner.since_us + to_run_us, done)

    def _ranks_changed(self, name: str, ranks: tuple[Rank, ...]) -> None:
        """It goes on with those that stay and have begun. Those that joined begin in a while; those
        that were told to leave do so."""
        runner = self._runners[name]
        generation = runner.generation
        assert generation is not None, "what has ranks has an attempt"
        runner.resize(len(begun_of(ranks)), self.core.now_us)
        if runner.stop is None:
            self._run_on(name, generation)
        for it in ranks:
            if not it.has_begun and (it.rank, it.since) not in runner.joined:
                runner.joined[it.rank, it.since] = False
                begins_us = self.core.now_us + self._programs.starting_us
                begin = partial(self._rank_begins, name, generation, it.rank, it.since)
                self.core.at(begins_us, begin)
            if it.leaving is not None and (it.rank, it.since) not in runner.leaving:
                runner.leaving.add((it.rank, it.since))
                stop = it.leaving.stop
                leaves_us = min(stop.noticed_us + self._programs.leaving_us, stop.kill_us)
                gone = partial(self._rank_gone, name, generation, it.rank, it.since)
                self.core.at(max(self.core.now_us, leaves_us), gone)

    def _rank_begins(self, name: str, generation: int, rank: int, since: int) -> None:
        if self._is_at(name, generation):
            self._runners[name].joined[rank, since] = True
            self._report(name, EnginePhase.RUNNING)

    def _rank_gone(self, name: str, generation: int, rank: int, since: int) -> None:
        if self._is_at(name, generation):
            gone = RankLeft(rank=rank, since=since, left_us=self.core.now_us)
            self._report(name, EnginePhase.RUNNING, left=(gone,))

    def _is_broken(self, name: str) -> bool:
        attempt = self.core.world.records.workloads[name].attempt
        return attempt is not None and attempt.broken_us is not None

    def _done(self, name: str, generation: int, stretch: int) -> None:
        """Its work is done, or it fails."""
        if not self._is_at(name, generation) or self._is_broken(name):
            return
        runner = self._runners[name]
        if runner.stretches != stretch:
            return
        has_failed = bool(runner.fails_us) and runner.fails_us[0] != runner.length_us
        runner.end(self.core.now_us, is_kept=True)
        if has_failed:
            runner.fails_us.pop(0)
        self._report(name, EnginePhase.RELEASED, code=FAILED if has_failed else DONE)

    def _stopped(self, name: str) -> None:
        """It got a notice, or an earlier end of one."""
        runner, attempt = self._runners[name], self._attempt(name)
        assert attempt.stop is not None
        is_first = runner.stop is None
        runner.stop = stop = attempt.stop
        if runner.started_us is None:
            leaves_us = self.core.now_us
        elif is_first:
            span_us, runner.saves_now = runner.saving(self._programs.saving_us)
            leaves_us = stop.noticed_us + span_us
        else:
            assert runner.leaves_us is not None
            leaves_us = runner.leaves_us
        if leaves_us > stop.kill_us or not runner.saves_now:
            runner.saves_now, leaves_us = False, min(leaves_us, stop.kill_us)
        runner.leaves_us = max(self.core.now_us, leaves_us)
        self.core.at(runner.leaves_us, partial(self._leave, name, attempt.generation))

    def _leave(self, name: str, generation: int) -> None:
        if not self._is_at(name, generation):
            return
        runner = self._runners[name]
        if runner.leaves_us is None or self.core.now_us < runner.leaves_us:
            return
        runner.end(self.core.now_us, is_kept=runner.saves_now)
        self._report(name, EnginePhase.RELEASED, code=EXIT_SAVED if runner.saves_now else None)

    def _broken(self, name: str) -> None:
        """A node of it broke: what is left of it ends with the notice that follows, unsaved."""
        runner = self._runners[name]
        runner.saves_now = False
        if runner.generation is not None and runner.stop is None:
            # The node is gone; its agent sees the rest end at once.
            lost = partial(self._lost, name, runner.generation)
            self.core.at(self.core.now_us + SECOND_US, lost)

    def _lost(self, name: str, generation: int) -> None:
        if self._is_at(name, generation):
            self._report(name, EnginePhase.RELEASED)

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

    def _report(
        self,
        name: str,
        phase: EnginePhase,
        *,
        code: int | None = None,
        left: tuple[RankLeft, ...] = (),
    ) -> None:
        runner, attempt = self._runners[name], self._attempt(name)
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
            resizes=attempt.resizes,
            left=left,
            begun=tuple(
                RankBegun(rank=rank, since=since, begun_us=self.core.now_us)
                for (rank, since), has_begun in runner.joined.items()
                if has_begun
            ),
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
            if runner.generation is not None and runner.started_us is not None:
                self._report(name, EnginePhase.RUNNING)
        self.core.at(self.core.now_us + HOUR_US, self._report_running)
