"""What became of each workload of a run: its waits, the GPUs that it held, its notices.

A member of an array counts as a workload of its own, submitted when its array let it take part; the
array itself never runs and is none. What a workload holds may change while it runs: ranks of a live
one join and leave, and the kind of its capacity is that of its list's entry at the time.
"""

import msgspec

from parkade.core.state import events, lines
from parkade.core.state.world import World
from parkade.core.units import indexes
from parkade.core.units.indexes import Spans
from parkade.core.workloads.array import member_name
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.ranks import ranks_of
from parkade.core.workloads.workload import Attempt, Rank, Workload
from parkade.sim.whatif.timeline import Timeline

PREEMPTED = (
    *(Cause.OUTBID, Cause.BELOW_FLOOR, Cause.RECLAIMED),
    *(Cause.MOVED, Cause.HEALED, Cause.RESIZED),
)
WAITS = (Phase.QUEUED, Phase.PLACED)


class OfWorkload(msgspec.Struct, kw_only=True):
    """What became of a workload."""

    org: str
    name: str
    gpus: int
    """Of an elastic one the least."""

    submitted_us: int
    first_us: int | None = None
    """When its first process ran."""

    ran_us: dict[str, int]
    """GPUs × microseconds between first processes and released seats, by kind of capacity."""

    paid_micros: int = 0
    stops: dict[str, int] = msgspec.field(default_factory=dict)
    """Notices by cause, also those of single ranks."""

    phase: Phase

    @property
    def gpu_us(self) -> int:
        """Of all kinds."""
        return sum(self.ran_us.values())


class _Seat(msgspec.Struct, frozen=True, kw_only=True):
    """What a rank holds, and since when it runs there, None: not yet; `is_leaving`: it was told to
    leave alone."""

    gpus: int
    since_us: int | None
    is_leaving: bool


_Seats = dict[tuple[int, int], _Seat]
"""By number and count of the change with which a rank came, which together name it."""


class Lives:
    """Follows the workloads of a run."""

    def __init__(self, timeline: Timeline) -> None:
        self.workloads: dict[str, OfWorkload] = {}
        self.arrays: dict[str, Workload] = {}
        """As they were submitted."""

        self.running = timeline.zeros()
        self.waiting = timeline.zeros()
        self.moved_gpus = 0
        self._timeline = timeline
        self._held: dict[str, tuple[str, _Seats]] = {}
        """Of what runs: the kind of its capacity, and its seats."""

        self._waits: dict[str, int] = {}
        """Since when what waits does."""

        self._unopened: dict[str, list[tuple[Spans, Phase]]] = {}
        """Of arrays, what became of members that were not open, the newest last."""

    def follow(self, event: events.AnyEvent, world: World) -> None:
        """The next event; `world` is that after it."""
        match event:
            case events.Submitted(workload=it) if it.array is not None:
                self.arrays[it.workload] = it
            case events.Submitted(workload=it):
                self._open(it, event.at_us)
            case events.MembersOpened(workload=name, members=members):
                for index in indexes.indexes(members):
                    member = member_name(name, index)
                    self._open(world.records.workloads[member], event.at_us)
            case events.MembersEnded(workload=name, members=members, phase=phase):
                self._unopened.setdefault(name, []).append((members, phase))
            case events.MembersRetried(workload=name, members=members):
                self._unopened.setdefault(name, []).append((members, Phase.QUEUED))
                for index in indexes.indexes(members):
                    if (one := self.workloads.get(member_name(name, index))) is not None:
                        one.phase = Phase.QUEUED
            case events.Resubmitted(workload=it):
                self._look(world, it.workload, event.at_us)
            case events.Cleared():
                self._cleared(event, world)
            case _ if isinstance(event, events.WorkloadStep):
                self._stepped(event, world)
            case _:
                pass

    def close(self) -> None:
        """What stands at the end is counted until then."""
        end_us = self._timeline.end_us
        for name in tuple(self._held):
            self._hold(name, None, end_us)
        for name in tuple(self._waits):
            self._wait(name, end_us, waits=False)

    def find(self, name: str) -> OfWorkload | None:
        """A workload; also a member that was never opened."""
        found = self.workloads.get(name)
        array, _, index = name.partition("_")
        if found is not None or not index or array not in self.arrays:
            return found
        whole, here = self.arrays[array], int(index)
        ends = (
            phase
            for members, phase in reversed(self._unopened.get(array, []))
            if indexes.both(members, ((here, here),))
        )
        return _blank(whole, whole.submitted_us, next(ends, Phase.QUEUED))

    def _open(self, it: Workload, at_us: int) -> None:
        if it.workload not in self.workloads:
            self.workloads[it.workload] = _blank(it, at_us, it.phase)
        self.workloads[it.workload].phase = it.phase
        self._wait(it.workload, at_us, waits=it.phase in WAITS)

    def _cleared(self, event: events.Cleared, world: World) -> None:
        for left in event.left:
            name = lines.name_of(left.demand)
            if left.stop is not None:
                self._stopped(world, name, left.stop.cause)
            self._look(world, name, event.at_us)
        for won in event.won:
            self._look(world, lines.name_of(won.demand), event.at_us)
        for resized in event.resized:
            self._ranks_changed(resized.workload, resized.ranks, event.at_us)

    def _stepped(self, event: events.WorkloadStep, world: World) -> None:
        name = event.workload
        if name not in self.workloads:
            return
        match event:
            case events.Started():
                one, record = self.workloads[name], world.records.workloads[name]
                one.first_us = event.at_us if one.first_us is None else one.first_us
                assert record.attempt is not None
                seats = _seats(record.attempt, event.at_us)
                self._hold(name, (record.spec.capacity.kind.value, seats), event.at_us)
            case events.EntryTaken() | events.FellBack():
                self._other_kind(world.records.workloads[name], event.at_us)
            case events.RanksChanged(ranks=ranks):
                self._ranks_changed(name, ranks, event.at_us)
            case events.StopOrdered(stop=stop):
                self._stopped(world, name, stop.cause)
            case events.Ended():
                self._hold(name, None, event.at_us)
            case _:
                pass
        self._look(world, name, event.at_us)

    def _look(self, world: World, name: str, at_us: int) -> None:
        """Its phase, and whether it waits for seats."""
        if name not in self.workloads:
            return
        phase = world.records.workloads[name].phase
        self.workloads[name].phase = phase
        self._wait(name, at_us, waits=phase in WAITS)

    def _wait(self, name: str, at_us: int, *, waits: bool) -> None:
        if waits:
            self._waits.setdefault(name, at_us)
        elif (begun_us := self._waits.pop(name, None)) is not None:
            gpus = self.workloads[name].gpus
            self._timeline.fill(self.waiting, gpus, begun_us, at_us)

    def _stopped(self, world: World, name: str, cause: Cause) -> None:
        if name in self.workloads:
            attempt = world.records.workloads[name].attempt
            assert attempt is not None, "only an attempt has a notice"
            self._count_notice(name, cause, attempt.gpus)

    def _count_notice(self, name: str, cause: Cause, gpus: int) -> None:
        if cause not in PREEMPTED:
            return
        stops = self.workloads[name].stops
        stops[cause.value] = stops.get(cause.value, 0) + 1
        if cause is Cause.MOVED:
            self.moved_gpus += gpus

    def _ranks_changed(self, name: str, ranks: tuple[Rank, ...], at_us: int) -> None:
        """Ranks joined, left, or were told to leave alone; those told together are one notice."""
        kind, before = self._held[name]
        after: _Seats = {}
        noticed: dict[Cause, int] = {}
        for it in ranks:
            seat = before.pop((it.rank, it.since), None)
            since_us = it.begun_us if seat is None or seat.since_us is None else seat.since_us
            if it.leaving is not None and (seat is None or not seat.is_leaving):
                cause = it.leaving.stop.cause
                noticed[cause] = noticed.get(cause, 0) + it.seat.gpus
            after[it.rank, it.since] = _Seat(
                gpus=it.seat.gpus, since_us=since_us, is_leaving=it.leaving is not None
            )
        self._ran(name, kind, before, at_us)
        self._held[name] = kind, after
        for cause, gpus in noticed.items():
            self._count_notice(name, cause, gpus)

    def _other_kind(self, workload: Workload, at_us: int) -> None:
        name = workload.workload
        if name in self._held:
            _, seats = self._held[name]
            anew = {
                it: seat if seat.since_us is None else msgspec.structs.replace(seat, since_us=at_us)
                for it, seat in seats.items()
            }
            self._hold(name, (workload.spec.capacity.kind.value, anew), at_us)

    def _hold(self, name: str, held: tuple[str, _Seats] | None, at_us: int) -> None:
        """It holds these seats from an instant on, or none."""
        before = self._held.pop(name, None)
        if before is not None:
            self._ran(name, *before, at_us)
        if held is not None:
            self._held[name] = held

    def _ran(self, name: str, kind: str, seats: _Seats, at_us: int) -> None:
        ran_us = self.workloads[name].ran_us
        for seat in seats.values():
            if seat.since_us is None:
                continue
            span_us = max(0, at_us - seat.since_us)
            ran_us[kind] = ran_us.get(kind, 0) + seat.gpus * span_us
            self._timeline.fill(self.running, seat.gpus, seat.since_us, at_us)


def _blank(it: Workload, at_us: int, phase: Phase) -> OfWorkload:
    return OfWorkload(
        org=it.org,
        name=it.spec.name or it.workload,
        gpus=it.spec.total_gpus,
        submitted_us=at_us,
        ran_us={it.spec.capacity.kind.value: 0},
        phase=phase,
    )


def _seats(attempt: Attempt, at_us: int) -> _Seats:
    return {
        (it.rank, it.since): _Seat(
            gpus=it.seat.gpus, since_us=at_us, is_leaving=it.leaving is not None
        )
        for it in ranks_of(attempt)
    }
