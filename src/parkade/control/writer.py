"""The one writer: a turn is deadlines, commands, answers, views for a bounded time, and at most one
plan and one clearing, so that none of them keeps the others waiting for long. While a long clearing
is decided beside the turns, they take only what may go beside it (`control.beside`).

Runs turns in a thread of its own, or is driven turn by turn by a simulator. What escapes from a
turn is not cured: `on_fatal` ends the process, and a restart rebuilds the world from the journal.
"""

import secrets
import threading
from collections.abc import Callable, Sequence

import msgspec
import structlog

from parkade.control.answers import Health, PlaneStopped
from parkade.control.bell import Bell
from parkade.control.beside import BeginBeside, Beside, DecisionFailed, NoDecision, may_go_beside
from parkade.control.clock import ClockGuard, SteadyClock
from parkade.control.cycle import Asked, Committed, Cycle, Outcome
from parkade.control.feed import Feed
from parkade.control.healing_figures import HealingFigures
from parkade.control.inbox import Inbox, Waiting, WaitingCommand, WaitingView, resolve
from parkade.control.intake import Intake
from parkade.control.market_figures import MarketFigures
from parkade.control.outbox import Outbox
from parkade.control.recover import Recovering, recover
from parkade.control.rules import Rules
from parkade.control.schedule import Schedule
from parkade.control.settings import PlaneSettings
from parkade.control.snapshots import Snapshots
from parkade.control.viewers import Viewers
from parkade.core.state.commands import OpenEpoch, RunClearing
from parkade.ports import Archiving, Leadership, Store

FIRST_PACE_US = 100
"""How long a market's first clearing is thought to take for each workload that is not ended."""

_log = structlog.get_logger(__name__)


def random_name() -> str:
    """128 random bits, for an installation or a lineage."""
    return secrets.token_hex(16)


class Dependencies(msgspec.Struct, frozen=True, kw_only=True):
    """What the writer is given.

    `accepted`: an operator said that agents of a lost journal shall obey this one, in an epoch of
    at least this number; None: it did not. `on_fatal` must not return in production, and
    `crash_point` does nothing there. `leadership` was acquired before; the writer stops where it is
    lost. `draw_name` names the installation and the lineage of an epoch. `recover` gives the world
    to begin with. `archiving`: the same store, where it can fold old entries. `beside`
    begins a long clearing's decision; without it each clearing is decided within its turn.
    """

    store: Store
    clock: SteadyClock
    rules: Rules
    on_fatal: Callable[[BaseException], None]
    crash_point: Callable[[str], None]
    leadership: Leadership
    accepted: int | None = None
    draw_name: Callable[[], str] = random_name
    recover: Recovering = recover
    archiving: Archiving | None = None
    beside: BeginBeside | None = None


class LeadershipLost(Exception):
    """Another process may write to the journal by now; this one must stop."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """`outcomes` of the driver's own commands; nothing will be due for `idle_us`. `seen`: what the
    inbox had taken in by then must wait on, so that only more than that ends the idleness."""

    outcomes: tuple[Outcome, ...]
    idle_us: int
    seen: int | None = None


class Writer:
    """Owns the world.

    `inbox`, `feed`, `outbox`, `viewers`, `intake`, `health`, `present_us` and `clock_behind_us` are
    for other threads too.
    """

    def __init__(self, dependencies: Dependencies, settings: PlaneSettings) -> None:
        self._dependencies = dependencies
        self._settings = settings
        self._clock = dependencies.clock
        store, rules = dependencies.store, dependencies.rules
        recovered = dependencies.recover(store, rules)
        world = recovered.world
        recorded_us = world.records.now_us
        self._guard = ClockGuard(
            dependencies.clock,
            floor_us=recorded_us,
            jump_us=settings.jump_us,
            restart_us=settings.restart_jump_us,
        )
        self._cycle = Cycle(recovered, store, rules, check_every=settings.check_every)
        self._schedule = Schedule(part=settings.clearing_part)
        self.clock_behind_us = 0
        self._now_us, _ = self._read_clock()
        self._read_at = (self._now_us, self._clock.steady_us())
        self._cycle.open(
            OpenEpoch(
                by=None,
                installation=dependencies.draw_name(),
                lineage=dependencies.draw_name(),
                accepts_agents=dependencies.accepted is not None,
                least=dependencies.accepted or 0,
            ),
            self._now_us,
        )
        self._cycle.note_unheard(now_us=self._now_us, unheard_us=self._now_us - recorded_us)
        sequence = self._cycle.sequence
        self.inbox = Inbox(
            limit=settings.inbox_limit,
            org_limit=settings.org_inbox_limit,
            plans_limit=settings.plans_limit,
            org_plans_limit=settings.org_plans_limit,
        )
        self.feed = Feed(store, sequence=sequence, length=settings.feed_length)
        self.outbox = Outbox(world, sequence=sequence, digest=self._cycle.digest)
        self.viewers = Viewers(world)
        self.healing = HealingFigures(world)
        self.market = MarketFigures(world)
        self.desired_bell = Bell()
        started_us = self._clock.steady_us()
        self.intake = Intake(
            repeat_us=settings.observation_repeat_us,
            silence_us=settings.unreachable_after_us,
            started_us=started_us,
        )
        self._snapshots = Snapshots(store, settings, sequence, self._now_us)
        self._commits = self._commands = self._commit_us = self._clearing_us = 0
        self._pace_us: dict[str, float] = {}
        self._beside: Beside | None = None
        self._in_hand: list[WaitingCommand] = []
        self._is_running = False
        self._turn_since_us: int | None = None
        self._thread = threading.Thread(target=self._run, name="parkade-writer", daemon=True)

    def start(self) -> None:
        """Turns follow each other in a thread from now on."""
        self._is_running = True
        self._thread.start()

    def stop(self) -> None:
        """Ends after the present turn, with a snapshot; what still waits gets PlaneStopped."""
        left = self.inbox.close()
        resolve((waiting, PlaneStopped("the server is stopping")) for waiting in left)
        if self._thread.is_alive():
            self._thread.join()
        if self._beside is not None:
            self._beside.deciding.give_up()
        self.feed.close()

    def turn(self, asked: Sequence[Asked] = ()) -> Turn:
        """One step. `asked` is for who drives it without a thread; it comes before the inbox."""
        self._turn_since_us = self._clock.steady_us()
        try:
            return self._turn(asked)
        finally:
            self._turn_since_us = None

    def _turn(self, asked: Sequence[Asked]) -> Turn:
        if not self._dependencies.leadership.is_held():
            raise LeadershipLost(
                "the journal's lock is gone: another server may write; start this one again"
            )
        if self._beside is not None:
            seen, before = self.inbox.entered, self._commands
            if not self._is_settled(self._beside, at_once=bool(asked)):
                self._carry_out((), may_go_beside)
                has_moved = self._show_views() or self._commands > before
                idle_us = 0 if has_moved else self._settings.longest_wait_us
                return Turn(outcomes=(), idle_us=idle_us, seen=seen)
        settings, cycle = self._settings, self._cycle
        now_us, committed = self._read_clock()
        self._now_us = self.viewers.now_us = now_us
        self._read_at = (now_us, self._clock.steady_us())
        self._publish(committed)
        is_sure = not cycle.world.records.is_clock_doubted
        while committed := cycle.take_deadlines(now_us, limit=settings.deadlines_limit):
            self._publish(committed)
        outcomes = self._take_commands(asked)
        self._show_views()
        self._show_plan()
        if is_sure:
            self._clear_one(now_us)
        self._snapshots.follow(cycle.world, cycle.sequence, now_us)
        steady_us = self._clock.steady_us()
        self.healing.refresh(cycle.world, now_us=now_us, steady_us=steady_us)
        self.market.refresh(cycle.world, steady_us=steady_us)
        return Turn(outcomes=outcomes, idle_us=self._idle_us(now_us))

    def present_us(self) -> int:
        """The present without a turn: the last turn's, and the steady clock's time since."""
        now_us, steady_us = self._read_at
        return now_us + self._clock.steady_us() - steady_us

    def health(self) -> Health:
        """How it is doing. A turn that does not end, as where a database or a disk hangs, is no
        running: a thread that waits for it can say nothing itself."""
        records = self._cycle.world.records
        since_us, steady_us = self._turn_since_us, self._clock.steady_us()
        hangs = since_us is not None and steady_us - since_us > self._settings.longest_turn_us
        pools = list(records.pools)
        return Health(
            is_running=self._is_running and not hangs,
            epoch=records.epoch,
            sequence=self.feed.sequence,
            is_clock_doubted=records.is_clock_doubted,
            clock_behind_us=self.clock_behind_us,
            frozen_markets=self._schedule.frozen,
            silent_pools=tuple(p for p in pools if self.intake.is_silent(p, steady_us)),
            engine_silent_pools=self.intake.engine_silent(pools, steady_us),
            waiting=len(self.inbox),
            entered=self.inbox.entered,
            commits=self._commits,
            commands=self._commands,
            refused_internal=self._cycle.refused_internal,
            commit_us=self._commit_us,
            clearing_us=self._clearing_us,
        )

    def _run(self) -> None:
        try:
            while not self.inbox.is_closed:
                turn = self.turn()
                self.inbox.wait(turn.idle_us, seen=turn.seen)
            self._snapshots.keep(self._cycle.world, self._cycle.sequence, self._now_us)
        except BaseException as error:  # noqa: BLE001 - whatever it was, the process ends
            _log.critical("writer_stopped", exc_info=True, done="the process ends; restart it")
            self._is_running = False
            self._dependencies.on_fatal(error)
            left = [*self._in_hand, *self.inbox.close()]
            resolve((one, PlaneStopped("the server has stopped: see its log")) for one in left)
            self.feed.close()
        self._is_running = False

    def _read_clock(self) -> tuple[int, Committed]:
        is_doubted = self._cycle.world.records.is_clock_doubted
        reading = self._guard.read(is_doubted=is_doubted)
        self._note_behind(reading.behind_us)
        if reading.leapt_us:
            from_us = reading.now_us - reading.leapt_us
            committed = self._cycle.advance_clock(now_us=from_us, by_us=reading.leapt_us)
            return reading.now_us, committed
        if reading.jumped_from_us is None:
            return reading.now_us, ()
        _log.error("clock_jumped", from_us=reading.jumped_from_us, done="clearing stopped")
        return reading.now_us, self._cycle.doubt_clock(
            from_us=reading.jumped_from_us, now_us=reading.now_us
        )

    def _note_behind(self, behind_us: int) -> None:
        was_behind, self.clock_behind_us = self.clock_behind_us > 0, behind_us
        if behind_us and not was_behind:
            done = "the present goes on at the steady clock's pace; set the clock right"
            _log.error("clock_behind", seconds=behind_us / 1e6, done=done)
        elif was_behind and not behind_us:
            _log.info("clock_agrees")

    def _take_commands(self, driven: Sequence[Asked]) -> tuple[Outcome, ...]:
        pools = self._cycle.world.records.pools.values()
        reachable = self.intake.reachability(pools, self._clock.steady_us())
        reported = [Asked(command=command) for command in reachable]
        return self._carry_out([*reported, *driven])[len(reported) :]

    def _carry_out(
        self, own: Sequence[Asked], only: Callable[[Asked], bool] | None = None
    ) -> tuple[Outcome, ...]:
        """Decides and commits in one batch the writer's own and what waits; the outcomes of its
        own, which come first."""
        waiting = self._in_hand = self.inbox.take_commands(self._settings.batch_limit, only)
        asked = [*own, *(one.asked for one in waiting)]
        if not asked:
            return ()
        started_us = self._clock.steady_us()
        outcomes, committed = self._cycle.take_commands(self._now_us, asked)
        self._commit_us = self._clock.steady_us() - started_us
        self.market.commits.note(self._commit_us)
        self._commits += 1
        self._commands += len(asked)
        self._dependencies.crash_point("before_answer")
        self._publish(committed)
        resolve(zip(waiting, outcomes[len(own) :], strict=True))
        return outcomes[: len(own)]

    def _show_views(self) -> int:
        """Views in turn between orgs until the time for them is over; the others wait for the next
        turn. How many were shown."""
        ends_us = self._clock.steady_us() + self._settings.views_us
        answers: list[tuple[Waiting, object]] = []
        while (waiting := self.inbox.take_view()) is not None:
            answers.append((waiting, self._seen(waiting)))
            if len(answers) >= self._settings.batch_limit or self._clock.steady_us() >= ends_us:
                break
        resolve(answers)
        return len(answers)

    def _show_plan(self) -> None:
        """One plan: it may take as long as a clearing."""
        waiting = self.inbox.take_plan()
        if waiting is not None:
            resolve([(waiting, self._seen(waiting))])

    def _seen(self, waiting: WaitingView) -> object:
        try:
            return waiting.view(self._cycle.world, self._now_us)
        except Exception as error:  # noqa: BLE001 - it is the asker's, who gets it
            return error

    def _clear_one(self, now_us: int) -> None:
        started_us = self._clock.steady_us()
        markets = self._cycle.world.records.markets.values()
        market, _ = self._schedule.next(markets, now_us=now_us, steady_us=started_us)
        if market is None:
            return
        is_apart = self._schedule.is_apart(market, steady_us=started_us)
        linked = self._dependencies.rules.linked_with(self._cycle.world, market)
        group = (market,) if is_apart else linked
        clearing = RunClearing(by=None, market=market, is_apart=is_apart)
        self._schedule.begins(group)
        if self._has_begun_beside(clearing, group, started_us):
            return
        committed, is_sound = self._cycle.clear(clearing, now_us)
        self._note_cleared(market, group, started_us, is_sound=is_sound, is_apart=is_apart)
        self._publish(committed)

    def _has_begun_beside(
        self, clearing: RunClearing, group: tuple[str, ...], started_us: int
    ) -> bool:
        begin = self._dependencies.beside
        pace_us = self._pace_us.get(clearing.market, FIRST_PACE_US)
        is_long = pace_us * len(self._cycle.world.live) > self._settings.beside_after_us
        if begin is None or not is_long:
            return False
        deciding = begin(self._cycle.decision(clearing, self._now_us), self.inbox.nudge)
        if deciding is None:
            return False
        self._beside = Beside(
            clearing=clearing, group=group, started_us=started_us, deciding=deciding
        )
        return True

    def _is_settled(self, beside: Beside, *, at_once: bool) -> bool:
        """Whether the clearing under way has ended; its events are committed then. `at_once`: it is
        decided here, if it is not decided yet."""
        clearing, deciding = beside.clearing, beside.deciding
        took_us = self._clock.steady_us() - beside.started_us
        is_late = took_us > self._settings.beside_late_us
        if not deciding.is_done() and not is_late and not at_once:
            return False
        self._beside = None
        committed: Committed = ()
        is_sound = True
        try:
            if not deciding.is_done():
                deciding.give_up()
                raise NoDecision("it took too long" if is_late else "it is needed at once")
            committed = self._cycle.cleared(clearing, deciding.result())
        except DecisionFailed as error:
            self._cycle.clearing_failed(clearing, str(error))
            is_sound = False
        except NoDecision as error:
            _log.warning("not_beside", why=str(error), done="decided within the turn")
            committed, is_sound = self._cycle.clear(clearing, self._now_us)
        self._note_cleared(
            clearing.market,
            beside.group,
            beside.started_us,
            is_sound=is_sound,
            is_apart=clearing.is_apart,
        )
        self._publish(committed)
        return True

    def _note_cleared(
        self,
        market: str,
        group: tuple[str, ...],
        started_us: int,
        *,
        is_sound: bool,
        is_apart: bool,
    ) -> None:
        ended_us = self._clock.steady_us()
        self._clearing_us = ended_us - started_us
        self._pace_us[market] = self._clearing_us / max(len(self._cycle.world.live), 1)
        self.market.clearings.note(self._clearing_us)
        if is_sound:
            self._schedule.cleared(group, now_us=self._now_us, is_apart=is_apart)
        else:
            self._schedule.failed(group, steady_us=ended_us)
        self._schedule.rest(started_us=started_us, ended_us=ended_us)

    def _publish(self, committed: Committed) -> None:
        if not committed:
            return
        events = tuple(event for _, event in committed)
        self.viewers.publish(self._cycle.world, committed)
        self.healing.follow(committed)
        self.market.follow(self._cycle.world, committed)
        self._schedule.ask(self._dependencies.rules.urgent_markets(self._cycle.world, events))
        if self.outbox.follow(self._cycle.world, committed, self._cycle.digest):
            self.desired_bell.ring()
        self.feed.publish(committed)

    def _idle_us(self, now_us: int) -> int:
        if not self.inbox.is_empty:
            return 0
        idle_us = self._settings.longest_wait_us
        due_us = self._dependencies.rules.next_deadline_us(self._cycle.world)
        if due_us is not None:
            idle_us = min(idle_us, due_us - now_us)
        records = self._cycle.world.records
        if not records.is_clock_doubted:
            steady_us = self._clock.steady_us()
            markets = records.markets.values()
            _, wait_us = self._schedule.next(markets, now_us=now_us, steady_us=steady_us)
            idle_us = idle_us if wait_us is None else min(idle_us, wait_us)
        return max(idle_us, 0)
