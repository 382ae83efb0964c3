"""The machines of a pool and what truly runs on them, whatever any agent sees or says.

They outlive agents, as keepers do: an order that was handed over is carried out, a lease that is
not renewed lapses. Everything follows from the instants at which something was handed over, so a
look at any later instant finds what happened, each thing at its own time.

Worked example: a program is launched at 0 s and has `start=10 work=100 save=20`. Told at 50 s to
leave by 80 s it has saved at 70 s and ends with 85; told at 75 s it would have saved at 95 s, and
if KILL comes at 90 s it is killed then and goes on later from its last checkpoint. Told at 5 s it
is gone at once: its first process never runs.

Instants are those of the loop, but for what is reported: that is dated by the wall clock.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from parkade.core.fleet.seat import Seat
from parkade.core.workloads.life import Cause
from parkade.core.workloads.observed import (
    Checkpoint,
    EnginePhase,
    ObservedAttempt,
    RankBegun,
    RankExit,
    RankLeft,
)
from parkade.core.workloads.saving import EXIT_SAVED
from parkade.core.workloads.workload import Stop
from parkade.ports import DesiredAttempt, NodeShape
from parkade.sim.clocks import SimulatedClock
from parkade.sim.program import Program, program_of

TERM, KILL = 15, 9
GIVEN_UP = "it was stopped before it began"
NOT_LET_IN = "the engine takes no job of its user"
SEEN_BROKEN_US = 20_000_000
"""From a machine's death until its engine says that the attempt is gone."""


@dataclass(frozen=True, kw_only=True)
class End:
    """How an attempt ends, and when its seats are free."""

    at_us: int
    code: int | None = None
    signal: int | None = None
    is_given_up: bool = False
    """Whether it was to leave before its first process."""
    is_unadmitted: bool = False
    """Whether the engine took no job of its user."""

    @property
    def is_forced(self) -> bool:
        """Whether TERM or KILL ended it."""
        return self.signal is not None


@dataclass(kw_only=True)
class Order:
    """A stop as it was handed over: by the wall clock, and when that is."""

    stop: Stop
    heard_us: int
    deadline_us: int
    kill_us: int


@dataclass(kw_only=True)
class Run:
    """One attempt on its machines."""

    desired: DesiredAttempt
    program: Program
    launched_us: int
    done_us: int
    """Work of earlier attempts."""

    will_fail: bool
    order: Order | None = None
    lapsed_us: int | None = None
    lost_us: int | None = None
    """When a machine of it died."""

    end: End | None = None
    resizes: int = 0
    """Of a live one, the count of changes of its ranks that were taken in."""

    leaves_us: dict[tuple[int, int], int] = field(default_factory=dict)
    """When ranks are gone that were told to leave alone, by number and since when."""

    left: dict[tuple[int, int], int] = field(default_factory=dict)
    """Those that are gone, with the date that is reported."""

    begins_us: dict[tuple[int, int], int | None] = field(default_factory=dict)
    """When ranks that joined begin; None: never."""

    begun: dict[tuple[int, int], int] = field(default_factory=dict)
    """Those that have, with the date that is reported."""

    dated: dict[str, int] = field(default_factory=dict)
    """What was reported, by the wall clock as it stood then."""

    @property
    def starts_us(self) -> int:
        """When its first process runs."""
        return self.launched_us + self.program.start_us

    @property
    def seats(self) -> tuple[Seat, ...]:
        """Those that are not free."""
        members = self.desired.members
        if not members:
            return self.desired.ranks
        return tuple(it.seat for it in members if (it.rank, it.since) not in self.left)

    def expected_end(self) -> End:
        """How it ends as things stand."""
        if self.order is None and self.lost_us is None:
            return self.own_end
        ends = [self.own_end]
        if self.order is not None:
            ends.append(self._ordered_end(self.order))
        if self.lost_us is not None:
            ends.append(End(at_us=self.lost_us + SEEN_BROKEN_US))
        return min(ends, key=lambda end: end.at_us)

    def lapses_us(self, heard_us: int | None) -> int | None:
        """When it gives itself the notice, where the control plane is not heard again after
        `heard_us`; None where no silence ends it."""
        lease = self.desired.lease
        if lease is None or self.order is not None or heard_us is None:
            return None
        return heard_us + lease.silence_us

    def progress_us(self, at_us: int, *, is_saved: bool) -> int:
        """Work that is not lost at an instant, of all attempts."""
        until_us = at_us if self.lost_us is None else min(at_us, self.lost_us)
        ran_us = max(0, until_us - self.starts_us)
        if not is_saved:
            every_us = self.program.every_us
            ran_us = 0 if every_us is None else ran_us - ran_us % every_us
        return self.done_us + ran_us

    @cached_property
    def own_end(self) -> End:
        """How it ends if nothing is told to it and no machine of it dies."""
        program = self.program
        if self.will_fail and program.fail_us is not None:
            return End(at_us=self.starts_us + max(0, program.fail_us - self.done_us), code=1)
        return End(at_us=self.starts_us + max(0, program.work_us - self.done_us), code=0)

    def leaves_by_us(self, stop: Stop, now_us: int, wall_us: int) -> int:
        """When one rank is gone that hears this notice now."""
        deadline_us = now_us + max(0, stop.deadline_us - wall_us)
        kill_us = now_us + max(0, stop.kill_us - wall_us)
        end = self._ordered_end(
            Order(stop=stop, heard_us=now_us, deadline_us=deadline_us, kill_us=kill_us)
        )
        return max(now_us, end.at_us)

    def joins_by_us(self, now_us: int) -> int | None:
        """When a rank that joins now begins; None: never."""
        number, every = len(self.begins_us) + 1, self.program.never_begins
        return None if every and number % every == 0 else now_us + self.program.start_us

    def _ordered_end(self, order: Order) -> End:
        program = self.program
        if order.heard_us < self.starts_us:
            return End(at_us=order.heard_us, is_given_up=True)
        if program.save_us is not None:
            saved_us = order.heard_us + program.save_us
            if saved_us < order.kill_us:
                return End(at_us=saved_us, code=EXIT_SAVED)
        if program.save_us is None and not program.is_deaf:
            return End(at_us=max(order.deadline_us, order.heard_us), signal=TERM)
        return End(at_us=order.kill_us + program.linger_us, signal=KILL)


def _nothing() -> None:
    return


def _nothing_of(_run: Run) -> None:
    return


class Machines:
    """All that a pool's engine runs, by attempt, in order of launch."""

    def __init__(self, nodes: tuple[NodeShape, ...], clock: SimulatedClock) -> None:
        self.gpus = {node.node: node.gpus for node in nodes}
        self.runs: dict[str, Run] = {}
        self.dead: dict[str, int] = {}
        self.heard_us: int | None = None
        """When the control plane was last heard, for leases."""

        self.ended: set[str] = set()
        """Names of attempts that were forgotten here; they are never run again."""

        self.listener: Callable[[], None] = _nothing
        """Called when something changed that did not change by itself."""

        self.on_launch: Callable[[Run], None] = _nothing_of
        self.on_end: Callable[[Run], None] = _nothing_of
        self._clock = clock
        self._done_us: dict[tuple[str, str], int] = {}
        self._has_failed: set[tuple[str, str]] = set()

    def free_gpus(self, node: str) -> int:
        """Of a node, as of the last `advance`. Cost grows with what runs in the pool."""
        held = sum(
            seat.gpus
            for run in self.runs.values()
            if run.end is None
            for seat in run.seats
            if seat.node == node
        )
        return self.gpus.get(node, 0) - held

    def launch(self, desired: DesiredAttempt) -> Run:
        """It runs from now on."""
        now_us = self._clock.steady_us()
        key = _work_of(desired)
        run = Run(
            desired=desired,
            program=program_of(desired.command),
            launched_us=now_us,
            done_us=self._done_us.get(key, 0),
            will_fail=key not in self._has_failed,
        )
        if any(seat.node in self.dead for seat in desired.ranks):
            run.lost_us = now_us
        self.runs[desired.attempt] = run
        self.on_launch(run)
        self.listener()
        return run

    def refuse(self, desired: DesiredAttempt) -> None:
        """It ends before it began: the engine takes no job of its user."""
        now_us = self._clock.steady_us()
        self.runs[desired.attempt] = Run(
            desired=desired,
            program=program_of(desired.command),
            launched_us=now_us,
            done_us=0,
            will_fail=False,
            end=End(at_us=now_us, is_unadmitted=True),
            dated={"released": self._clock.shown_us(now_us)},
        )
        self.listener()

    def stop(self, attempt: str, stop: Stop) -> None:
        """Hands over an order; it may bring an earlier one forward, never back."""
        run, now_us = self.runs[attempt], self._clock.steady_us()
        wall_us = self._clock.now_us()
        if run.order is None:
            run.order = Order(stop=stop, heard_us=now_us, deadline_us=now_us, kill_us=now_us)
            run.order.deadline_us += max(0, stop.deadline_us - wall_us)
            run.order.kill_us += max(0, stop.kill_us - wall_us)
            self.listener()
            return
        order = run.order
        if stop.deadline_us < order.stop.deadline_us or stop.kill_us < order.stop.kill_us:
            deadline_us = now_us + max(0, stop.deadline_us - wall_us)
            kill_us = now_us + max(0, stop.kill_us - wall_us)
            order.deadline_us = min(order.deadline_us, deadline_us)
            order.kill_us = min(order.kill_us, kill_us)
            order.stop = stop
            self.listener()

    def resize(self, desired: DesiredAttempt) -> None:
        """Ranks of a live attempt begin, or are told to leave; each leaves as the whole would."""
        run, now_us, wall_us = self.runs[desired.attempt], self._clock.steady_us(), self._clock
        known = {(it.rank, it.since) for it in desired.members}
        run.desired, run.resizes = desired, desired.resizes
        run.left = {name: at_us for name, at_us in run.left.items() if name in known}
        run.leaves_us = {name: at_us for name, at_us in run.leaves_us.items() if name in known}
        run.begun = {name: at_us for name, at_us in run.begun.items() if name in known}
        for rank in desired.members:
            name = (rank.rank, rank.since)
            if rank.since and name not in run.begins_us:
                run.begins_us[name] = run.joins_by_us(now_us) if rank.stop is None else None
            if rank.stop is None or name in run.left:
                continue
            gone_us = run.leaves_by_us(rank.stop, now_us, wall_us.now_us())
            if rank.seat.node in self.dead or (rank.since and name not in run.begun):
                run.begins_us[name] = None
                gone_us = now_us
            run.leaves_us[name] = min(gone_us, run.leaves_us.get(name, gone_us))
        self.listener()

    def renew(self) -> None:
        """The control plane was heard."""
        self.advance()
        self.heard_us = self._clock.steady_us()

    def die(self, node: str) -> None:
        """A machine is gone, with all that runs on it."""
        self.advance()
        now_us = self._clock.steady_us()
        self.dead[node] = now_us
        for run in self.runs.values():
            self._empty(run, node, now_us)
            is_there = any(seat.node == node for seat in run.seats)
            if is_there and run.end is None and run.lost_us is None:
                run.lost_us = now_us
        self.listener()

    def _empty(self, run: Run, node: str, now_us: int) -> None:
        """A rank that leaves alone is gone with its machine, and the others do not need it."""
        for rank in run.desired.members:
            name = (rank.rank, rank.since)
            if rank.seat.node == node and rank.stop is not None and run.end is None:
                run.leaves_us[name] = min(now_us, run.leaves_us.get(name, now_us))
                run.left.setdefault(name, self._clock.shown_us(now_us))

    def mend(self, node: str) -> None:
        """The machine is there again, and empty."""
        self.dead.pop(node, None)

    def advance(self) -> None:
        """What has happened up to now, each thing at its own time."""
        now_us = self._clock.steady_us()
        for run in self.runs.values():
            if run.end is not None:
                continue
            # Each look of each agent comes here, once for each attempt.
            end, lapses_us = run.expected_end(), run.lapses_us(self.heard_us)
            if lapses_us is not None and lapses_us <= now_us and lapses_us < end.at_us:
                self._lapse(run, lapses_us)
                end = run.expected_end()
            if run.starts_us <= now_us:
                run.dated.setdefault("started", self._clock.shown_us(run.starts_us))
            for name, begins_us in run.begins_us.items():
                if begins_us is not None and begins_us <= min(now_us, end.at_us):
                    run.begun.setdefault(name, self._clock.shown_us(begins_us))
            for name, at_us in run.leaves_us.items():
                if at_us <= min(now_us, end.at_us):
                    run.left.setdefault(name, self._clock.shown_us(at_us))
            if end.at_us <= now_us:
                self._end(run, end)

    def next_us(self) -> int | None:
        """When something happens next; None where nothing will by itself."""
        now_us = self._clock.steady_us()
        coming = [
            at_us for run in self.runs.values() for at_us in self._coming(run) if at_us > now_us
        ]
        return min(coming, default=None)

    def forget(self, attempt: str) -> None:
        """Drops what has ended; its name is never run again."""
        assert self.runs[attempt].end is not None
        del self.runs[attempt]
        self.ended.add(attempt)

    def observed(self) -> Iterator[ObservedAttempt]:
        """Everything as of the last `advance`."""
        now_us = self._clock.steady_us()
        for run in self.runs.values():
            yield _observed(run, now_us, self._clock)

    def _lapse(self, run: Run, at_us: int) -> None:
        lease = run.desired.lease
        assert lease is not None
        run.lapsed_us = at_us
        run.dated["lapsed"] = self._clock.shown_us(at_us)
        noticed_us = self._clock.shown_us(at_us)
        deadline_us, kill_us = at_us + lease.notice_us, at_us + lease.notice_us + lease.kill_us
        stop = Stop(
            noticed_us=noticed_us,
            deadline_us=noticed_us + lease.notice_us,
            kill_us=noticed_us + lease.notice_us + lease.kill_us,
            cause=Cause.LAPSED,
        )
        run.order = Order(stop=stop, heard_us=at_us, deadline_us=deadline_us, kill_us=kill_us)

    def _end(self, run: Run, end: End) -> None:
        run.end = end
        run.dated["released"] = self._clock.shown_us(end.at_us)
        key = _work_of(run.desired)
        self._done_us[key] = run.progress_us(end.at_us, is_saved=end.code == EXIT_SAVED)
        if end.code == 1:
            self._has_failed.add(key)
        self.on_end(run)

    def _coming(self, run: Run) -> Iterator[int]:
        if run.end is not None:
            return
        yield run.starts_us
        yield run.expected_end().at_us
        yield from run.leaves_us.values()
        yield from (at_us for at_us in run.begins_us.values() if at_us is not None)
        lapses_us = run.lapses_us(self.heard_us)
        if lapses_us is not None:
            yield lapses_us


def _work_of(desired: DesiredAttempt) -> tuple[str, str]:
    """What its attempts have in common on shared storage."""
    return desired.workload, desired.command


def _observed(run: Run, now_us: int, clock: SimulatedClock) -> ObservedAttempt:
    end, desired = run.end, run.desired
    has_started = run.starts_us <= now_us and (end is None or run.starts_us < end.at_us)
    phase = EnginePhase.RUNNING if has_started else EnginePhase.STARTING
    launch_error = None
    if end is not None and (end.is_given_up or end.is_unadmitted):
        launch_error = GIVEN_UP if end.is_given_up else NOT_LET_IN
    if end is not None:
        phase = EnginePhase.RELEASED
    return ObservedAttempt(
        attempt=desired.attempt,
        generation=desired.generation,
        phase=phase,
        started_us=run.dated.get("started") if has_started else None,
        released_us=None if end is None else run.dated["released"],
        exits=() if end is None else tuple(_exits(run, end)),
        checkpoint=_checkpoint(run, now_us, clock),
        devices=(),
        launch_error=launch_error,
        engine_state=phase.value,
        ordered_us=desired.ordered_us,
        is_signalled=run.order is not None and run.program.save_us is not None and has_started,
        lapsed_us=run.dated.get("lapsed"),
        resizes=run.resizes,
        left=tuple(
            RankLeft(rank=rank, since=since, left_us=left_us)
            for (rank, since), left_us in run.left.items()
        ),
        begun=tuple(
            RankBegun(rank=rank, since=since, begun_us=begun_us)
            for (rank, since), begun_us in run.begun.items()
        ),
        is_unadmitted=end is not None and end.is_unadmitted,
    )


def _exits(run: Run, end: End) -> Iterator[RankExit]:
    ranks = range(len(run.desired.ranks))
    there = [it.rank for it in run.desired.members if (it.rank, it.since) not in run.left]
    for rank in () if end.is_unadmitted else there or ranks:
        yield RankExit(rank=rank, code=end.code, signal=end.signal)


def _checkpoint(run: Run, now_us: int, clock: SimulatedClock) -> Checkpoint | None:
    """The last one, also that of a program which saved and ended."""
    every_us = run.program.every_us
    until_us = now_us if run.end is None else run.end.at_us
    until_us = until_us if run.lost_us is None else min(until_us, run.lost_us)
    if run.end is not None and run.end.code == EXIT_SAVED:
        at_us = run.end.at_us
    elif every_us is None or until_us - run.starts_us < every_us:
        return None
    else:
        at_us = until_us - (until_us - run.starts_us) % every_us
    step = (run.done_us + at_us - run.starts_us) // 1_000_000
    return Checkpoint(step=max(0, step), at_us=clock.shown_us(at_us))
