"""The agent's side of the protocol as part of a state: what it was told, what it runs, what is on
its way.

The decisions are the shipped ones: `agent.plan`, `agent.memory`, `control.outbox` and
`control.intake`. Only what carries them out is small: an engine that starts and ends attempts when
the search says so and keeps to the times of a notice and of a lease, and a network that delays,
repeats and loses one observation at a time.

    the agent hears      the newest desired state; it remembers it and acts
    it acts              again, on what it was told before
    it reports           the plane hears it, and the agent hears the answer
    it is not answered   the plane hears it, the agent does not know: nothing is renewed
    it sends             the observation stays on its way, and may arrive late, twice, or never
    it restarts          what was told and reported is gone, its memory and the engine are not

What must hold besides: an attempt that the engine still runs is the one that the plane knows, so no
seat is thought free that is not (8), no node runs more than it has GPUs (2), and no attempt is
started twice (6).
"""

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from parkade.agent.memory import Memory
from parkade.agent.plan import Forget, HandOver, Launch, Refuse, plan, with_refusals
from parkade.control.intake import Intake
from parkade.control.outbox import Outbox
from parkade.core.fleet.seat import Seat
from parkade.core.state.world import World
from parkade.core.workloads.life import Cause
from parkade.core.workloads.observed import EnginePhase, ObservedAttempt, RankExit
from parkade.core.workloads.workload import Stop
from parkade.ports import DesiredAttempt, DesiredState, Lease, Observation
from parkade.sim.check.breach import require
from parkade.sim.check.scenarios import POOL, TICK_US

SILENCE_US = 2 * TICK_US
"""After which the plane says that a pool is not reached."""
REPEAT_US = TICK_US
KILLED = 9


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt in the engine."""

    attempt: str
    workload: str
    generation: int
    ordered_us: int
    seats: tuple[Seat, ...]
    lease: Lease | None
    phase: EnginePhase = EnginePhase.STARTING
    started_us: int | None = None
    released_us: int | None = None
    code: int | None = None
    """Of its exit; None where a signal ended it, or it has not ended."""
    stop: Stop | None = None
    lapsed_us: int | None = None


class AgentSide:
    """Mutable; a branch is a copy."""

    __slots__ = (
        "desired",
        "engine",
        "heard_us",
        "intake",
        "launched",
        "memory",
        "reported",
        "sent",
    )

    def __init__(self, now_us: int) -> None:
        self.desired: DesiredState | None = None
        self.memory = Memory()
        self.engine: dict[str, Running] = {}
        self.reported: frozenset[str] = frozenset()
        self.launched: frozenset[str] = frozenset()
        self.heard_us = now_us
        self.sent: Observation | None = None
        self.intake = plane_intake(now_us)

    def copy(self) -> "AgentSide":
        """A branch of its own."""
        made = AgentSide.__new__(AgentSide)
        made.desired, made.reported, made.launched = self.desired, self.reported, self.launched
        made.heard_us, made.sent = self.heard_us, self.sent
        made.engine = self.engine.copy()
        made.memory = replace(
            self.memory, refused=self.memory.refused.copy(), ordered=self.memory.ordered.copy()
        )
        made.intake = _copied(self.intake)
        return made

    def hear(self, world: World, now_us: int) -> None:
        """The newest desired state arrives and is obeyed."""
        state = Outbox(world, sequence=world.records.sequence, digest="d").state(POOL)
        assert state is not None
        why = self.memory.why_refused(state)
        require(why is None, 6, f"the agent refuses its own plane: {why}")
        self.memory.accept(state)
        known = self.engine.keys() | {one.attempt for one in state.attempts}
        self.memory.keep_only(set(known))
        self.desired = state
        self.act(now_us)

    def act(self, now_us: int) -> None:
        """One round of the agent on what it was told."""
        if self.desired is None:
            return
        actions = plan(
            self.desired,
            self.observe(now_us),
            self.memory,
            launching=frozenset(),
            reported=self.reported,
            now_us=now_us,
        )
        for action in actions:
            match action:
                case Launch(attempt=attempt):
                    self._launch(attempt, now_us)
                case HandOver(attempt=name, order=order):
                    self.engine[name] = _ordered(self.engine[name], order)
                    self.memory.ordered.add(name)
                case Refuse(attempt=name, why=why):
                    self.memory.refused[name] = why
                case Forget(attempt=name):
                    del self.engine[name]

    def observe(self, now_us: int) -> Observation:
        """All of the pool, as the agent sees it now."""
        seen = Observation(
            pool=POOL,
            at_us=now_us,
            is_complete=True,
            attempts=tuple(_seen(it) for it in self.engine.values()),
        )
        return with_refusals(seen, self.desired, self.memory)

    def answered(self, seen: Observation, now_us: int) -> None:
        """The plane answered a report: leases are renewed, and what was released is known there."""
        self.reported = frozenset(
            one.attempt for one in seen.attempts if one.phase is EnginePhase.RELEASED
        )
        if self.desired is not None:
            self.heard_us = now_us

    def restart(self) -> None:
        """The agent's process is another; what it wrote down and what runs stays."""
        self.desired = None
        self.reported = frozenset()

    def pass_time(self, now_us: int) -> None:
        """What the engine does by itself until now: leases lapse, notices end."""
        for name, one in self.engine.items():
            if one.phase is EnginePhase.RELEASED:
                continue
            if one.lease is not None and one.lapsed_us is None:
                lapses_us = self.heard_us + one.lease.silence_us
                if lapses_us <= now_us:
                    one = _lapsed(one, one.lease, lapses_us)
            if one.stop is not None and one.stop.kill_us <= now_us:
                one = _released(one, None, one.stop.kill_us)
            self.engine[name] = one

    def start(self, name: str, now_us: int) -> None:
        """Its first process runs."""
        one = self.engine[name]
        self.engine[name] = replace(one, phase=EnginePhase.RUNNING, started_us=now_us)

    def end(self, name: str, code: int | None, now_us: int) -> None:
        """Its last process is gone."""
        self.engine[name] = _released(self.engine[name], code, now_us)

    def _launch(self, attempt: DesiredAttempt, now_us: int) -> None:
        if attempt.lease is not None and now_us - self.heard_us >= attempt.lease.silence_us:
            return
        name = attempt.attempt
        require(name not in self.launched, 6, f"{name} is started twice")
        self.launched |= {name}
        self.engine[name] = Running(
            attempt=name,
            workload=attempt.workload,
            generation=attempt.generation,
            ordered_us=attempt.ordered_us or 0,
            seats=attempt.ranks,
            lease=attempt.lease,
        )

    def look(self, world: World) -> None:
        """Raises Violation where plane and engine disagree about what holds seats."""
        used: dict[str, int] = {}
        for one in self.live():
            workload = world.records.workloads.get(one.workload)
            attempt = None if workload is None else workload.attempt
            is_known = attempt is not None and attempt.attempt == one.attempt
            says = f"{one.attempt} still runs, and the plane takes its seats for free"
            require(is_known, 8, says)
            for seat in one.seats:
                used[seat.node] = used.get(seat.node, 0) + seat.gpus
        for node, gpus in used.items():
            most = world.records.nodes[node].gpus
            require(gpus <= most, 2, f"{node} has {most} GPUs and runs work of {gpus}")

    def live(self) -> Iterator[Running]:
        """What has not been released."""
        return (one for one in self.engine.values() if one.phase is not EnginePhase.RELEASED)


def clocks_of(intake: Intake) -> tuple[int, int]:
    """When an intake heard the pool, or began, and the date of the newest observation; 0: none."""
    kept = vars(intake)
    return kept["_heard_us"].get(POOL, kept["_started_us"]), kept["_seen_us"].get(POOL, 0)


def plane_intake(now_us: int) -> Intake:
    """That of a plane that starts now."""
    return Intake(repeat_us=REPEAT_US, silence_us=SILENCE_US, started_us=now_us)


def _copied(intake: Intake) -> Intake:
    made = Intake.__new__(Intake)
    for name, value in vars(intake).items():
        setattr(made, name, value.copy() if isinstance(value, dict) else value)
    return made


def _ordered(one: Running, order: Stop) -> Running:
    """An order brings times forward, never back."""
    if one.stop is None:
        return replace(one, stop=order)
    stop = replace(
        order,
        deadline_us=min(one.stop.deadline_us, order.deadline_us),
        kill_us=min(one.stop.kill_us, order.kill_us),
    )
    return replace(one, stop=stop)


def _lapsed(one: Running, lease: Lease, at_us: int) -> Running:
    deadline_us = at_us + lease.notice_us
    order = Stop(
        noticed_us=at_us,
        deadline_us=deadline_us,
        kill_us=deadline_us + lease.kill_us,
        cause=Cause.LAPSED,
    )
    return replace(_ordered(one, order), lapsed_us=at_us)


def _released(one: Running, code: int | None, at_us: int) -> Running:
    return replace(one, phase=EnginePhase.RELEASED, code=code, released_us=at_us)


def _seen(one: Running) -> ObservedAttempt:
    exits: tuple[RankExit, ...] = ()
    if one.phase is EnginePhase.RELEASED:
        signal = KILLED if one.code is None else None
        exits = tuple(
            RankExit(rank=rank, code=one.code, signal=signal) for rank in range(len(one.seats))
        )
    return ObservedAttempt(
        attempt=one.attempt,
        generation=one.generation,
        phase=one.phase,
        started_us=one.started_us,
        released_us=one.released_us,
        exits=exits,
        checkpoint=None,
        devices=(),
        launch_error=None,
        engine_state=one.phase.value,
        ordered_us=one.ordered_us,
        lapsed_us=one.lapsed_us,
    )
