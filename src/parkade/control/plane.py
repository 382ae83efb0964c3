"""The control plane as the API sees it: commands in, committed outcomes, views and news out.

Lives in an event loop; the writer behind it has a thread of its own. Nothing here changes the
world but through a command.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import structlog
from msgspec.structs import replace

from parkade.control import kept_folders
from parkade.control.admission import Admission, AskingAgent
from parkade.control.answers import (
    Decided,
    Health,
    Idempotency,
    PlaneStopped,
    Planned,
    TooMany,
)
from parkade.control.archive import Archive
from parkade.control.cycle import Asked, Look
from parkade.control.execs import Execs
from parkade.control.folding import Folding
from parkade.control.healing_figures import HealingFigures
from parkade.control.health_intake import HealthIntake
from parkade.control.inbox import Waiting, WaitingCommand, WaitingView, resolve
from parkade.control.log_places import place_of
from parkade.control.logs import Relay
from parkade.control.market_figures import MarketFigures
from parkade.control.outbox import desired_attempt
from parkade.control.scrub import Scrub
from parkade.control.settings import PlaneSettings
from parkade.control.skew import for_agents, from_agents
from parkade.control.viewers import Viewer
from parkade.control.writer import Dependencies, Turn, Writer
from parkade.core.clearing.plan import Plan
from parkade.core.running.choosing import with_markets
from parkade.core.state.commands import AnyCommand, Submit
from parkade.core.state.events import AnyEvent
from parkade.core.state.world import World
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.workload import Workload
from parkade.ports import (
    DesiredAttempt,
    DesiredState,
    FolderAnswer,
    FolderReport,
    HealthReport,
    KeptOfOrg,
    LogRequest,
    NodeShape,
    Observation,
    Trouble,
)

_log = structlog.get_logger(__name__)

_T = TypeVar("_T")


class Plane:
    """Opening one recovers the world and begins an epoch; `start` begins to answer."""

    def __init__(self, dependencies: Dependencies, settings: PlaneSettings) -> None:
        self._dependencies = dependencies
        self.archive = Archive(dependencies.store)
        self._writer = Writer(dependencies, settings)
        self._scrub = Scrub(dependencies.store, on_damage=dependencies.on_fatal)
        self._folding = Folding(
            dependencies.archiving, dependencies.clock, after_us=settings.archive_after_us
        )
        self._intake = self._writer.intake
        self._renderers: dict[str, Callable[[DesiredAttempt], str]] = {}
        self._is_ending = False
        self._admission = Admission(
            dependencies.store,
            lambda: self.read(lambda world, _: world.records.accepting_epoch),
            silence_us=settings.unreachable_after_us,
        )
        self._observing: dict[str, asyncio.Lock] = {}
        self.health_intake = HealthIntake()
        self._kept: dict[str, tuple[KeptOfOrg, ...]] = {}
        self._relay = Relay(
            prefix=f"logs-{self._writer.health().epoch}",
            chunks_held=settings.log_chunks_held,
            answer_timeout_s=settings.log_answer_timeout_us / 1e6,
        )

        self.execs = Execs(
            most=settings.exec_sessions,
            most_per_user=settings.exec_sessions_per_user,
            idle_s=settings.exec_idle_us / 1e6,
            most_held=settings.exec_held_bytes,
        )

    def start(self) -> None:
        """Begins to answer; beside it, reads the whole journal again and folds its old part."""
        self._writer.start()
        self._scrub.start()
        self._folding.start()

    def drive(self, listener: Callable[[], None]) -> Callable[[], Turn]:
        """In place of `start`: each call of what is returned is one step of the writer, in the
        caller's thread. `listener` is called when something waits for a step."""
        self._writer.inbox.listen(listener)
        return self._writer.turn

    def end_streams(self) -> None:
        """Ends the relayed outputs and the long polls, so that a server that stops waits for no
        reader and no agent."""
        self._is_ending = True
        self._relay.close()
        self.execs.close()
        self._writer.desired_bell.ring()

    async def close(self) -> None:
        """Ends after the present turn; whatever runs on the nodes goes on."""
        await asyncio.to_thread(self._stop)

    def health(self) -> Health:
        """How the writer is doing, and which agents refuse."""
        refusing = tuple(self.refusing())
        return replace(self._writer.health(), refusing_pools=refusing)

    def healing_figures(self) -> HealingFigures:
        """What is told of Mars in numbers, without waiting for the writer."""
        return self._writer.healing

    def market_figures(self) -> MarketFigures:
        """What is told of the market in numbers, without waiting for the writer."""
        return self._writer.market

    def viewer(self, digest: str) -> Viewer | None:
        """The user of a token, by the token's digest; None where it is unknown, revoked, expired,
        or its user is disabled. As of the last commit, and without waiting for the writer."""
        return self._writer.viewers.find(digest)

    def last_used_us(self, token: str) -> int | None:
        """When a token, by its public name, was used last since the server's start."""
        return self._writer.viewers.last_used_us.get(token)

    async def tokens_change(self, seen: int, *, within_s: float) -> int:
        """See `Viewers.change`."""
        return await self._writer.viewers.change(seen, within_s=within_s)

    def present_us(self) -> int:
        """The writer's present, without waiting for it."""
        return self._writer.present_us()

    def has_pool(self, pool: str) -> bool:
        """Whether there is such a pool, as of the last commit."""
        return self._writer.outbox.has_pool(pool)

    def nodes(self, pool: str) -> tuple[NodeShape, ...]:
        """The nodes of a pool that there is, as of the last commit."""
        state = self._writer.outbox.state(pool)
        assert state is not None, f"there is no pool {pool}"
        return state.nodes

    async def execute(
        self, command: AnyCommand, *, idempotency: Idempotency | None = None
    ) -> Decided | Refusal:
        """The outcome of the server's own command, once it is committed. BUSY where too much waits
        already."""
        return await self.ask(Asked(command=command, idempotency=idempotency))

    async def ask(self, asked: Asked, *, org: str | None = None) -> Decided | Refusal:
        """The same for a command with what belongs to its request: all of it is one turn. `org`:
        whose request it is; TOO_MANY where too many of that org wait. A submission that no engine
        of its market can carry out is refused whichever way it came."""
        if isinstance(asked.command, Submit):
            asked = replace(asked, look=self._able_first(asked.command, asked.look))
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Decided | Refusal] = loop.create_future()
        self._enter(WaitingCommand(loop=loop, future=future, asked=asked, org=org))
        outcome = await future
        if isinstance(outcome, Decided) and isinstance(outcome.shown, Exception):
            raise outcome.shown
        return outcome

    async def read(
        self, view: Callable[[World, int], _T], *, org: str | None = None, is_plan: bool = False
    ) -> _T:
        """What a view sees of committed state and the present; it runs in the writer's thread and
        must be short and take nothing mutable along. One that is a plan may take as long as a
        clearing: a turn makes one. TooMany where too many wait."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()
        self._enter(WaitingView(loop=loop, future=future, view=view, org=org, is_plan=is_plan))
        return await future

    def _enter(self, waiting: WaitingCommand | WaitingView) -> None:
        away = self._writer.inbox.put(waiting)
        if away is None:
            return
        if away is waiting:
            self._refuse_if_stopped()
        resolve([(away, _turned_away(away))])

    def plan(self, world: World, command: Submit, now_us: int) -> tuple[Plan, Planned] | Refusal:
        """A view: what a submission would come to, and what would be launched; nothing changes."""
        rules = self._dependencies.rules
        plan = self._unsupported(world, command) or rules.plan(world, command, now_us)
        if isinstance(plan, Refusal):
            return plan
        pool = world.pool_of(plan.attempt.seats)
        attempt = desired_attempt(world, plan.workload, plan.attempt)
        return plan, Planned(pool=None if pool is None else pool.pool, attempt=attempt)

    def render_with(self, pool: str, render: Callable[[DesiredAttempt], str]) -> None:
        """The engine of a pool says how it would launch; asked by `rendered`."""
        self._renderers[pool] = render

    async def rendered(self, planned: Planned) -> str | None:
        """The exact command that a planned attempt would be launched with, as its pool's engine on
        this machine tells it; None where that is elsewhere. EngineError where it would refuse."""
        render = self._renderers.get(planned.pool or "")
        return None if render is None else await asyncio.to_thread(render, planned.attempt)

    def events(self, *, after: int) -> AsyncIterator[tuple[int, AnyEvent]]:
        """Committed events after a sequence, in order, then as they come."""
        return self._writer.feed.follow(after=after)

    async def desired(
        self, pool: str, *, after: tuple[int, int] | None, wait_s: float
    ) -> DesiredState | None:
        """The pool's desired state once it differs from `after` (epoch, sequence); None where
        nothing changed in time or there is no such pool."""
        outbox = self._writer.outbox

        def is_new() -> bool:
            state = outbox.state(pool)
            return state is not None and (state.epoch, state.sequence) != after

        def is_over() -> bool:
            return self._is_ending or is_new()

        await self._writer.desired_bell.wait_until(is_over, timeout_s=wait_s)
        state = outbox.state(pool) if is_new() else None
        return None if state is None else for_agents(state, self._writer.clock_behind_us)

    async def refuse_agent(self, asking: AskingAgent) -> Refusal | None:
        """Why an agent is not answered; `Admission` says which are. Of every question and report
        that an agent makes, before anything else."""
        steady_us = self._dependencies.clock.steady_us()
        before = self._admission.lacking(steady_us).get(asking.pool)
        refusal = await self._admission.refuse(asking, steady_us)
        why = self._admission.lacking(steady_us).get(asking.pool)
        if why not in (None, before):
            _log.error("agent_refuses_orders", pool=asking.pool, why=why)
        return refusal

    async def observe(self, pool: str, observation: Observation) -> None:
        """An agent's look at its whole pool; `Intake` says what follows from it."""
        assert observation.pool == pool
        observation = from_agents(observation, self._writer.clock_behind_us)
        async with self._observing.setdefault(pool, asyncio.Lock()):
            if self._admission.says(pool, observation.refused):
                _log.error("agent_refuses_orders", pool=pool, why=observation.refused)
            state = self._writer.outbox.state(pool)
            desired = None if state is None else state.sequence
            steady_us = self._dependencies.clock.steady_us()
            taken = self._intake.take(
                observation, desired=desired, now_us=self.present_us(), steady_us=steady_us
            )
            # What is there comes before the pool is open again.
            outcome = None if taken.command is None else await self.execute(taken.command)
            for report in taken.owners:
                refused = await self.execute(report)
                if isinstance(refused, Refusal):
                    kind = type(report).__name__
                    _log.warning("owners_refused", pool=pool, kind=kind, why=refused.detail)
            if taken.is_heard_again:
                self._writer.inbox.nudge()
            if outcome is None or desired is None:
                return
            self._intake.decided(observation, outcome, desired=desired, steady_us=steady_us)
            if isinstance(outcome, Refusal):
                _log.warning("observation_refused", pool=pool, reason=outcome.reason)

    async def take_health(self, report: HealthReport) -> None:
        """An agent's word about its nodes; `HealthIntake` says what follows from it."""
        steady_us = self._dependencies.clock.steady_us()
        state = self._writer.outbox.state(report.pool)
        nodes = frozenset() if state is None else frozenset(each.node for each in state.nodes)
        asked = self.health_intake.take(report, nodes=nodes, steady_us=steady_us)
        outcomes = await asyncio.gather(*(self.execute(command) for command in asked))
        for command, outcome in zip(asked, outcomes, strict=True):
            if isinstance(outcome, Refusal):
                self.health_intake.refused(command, outcome)
                _log.warning(
                    "health_refused",
                    pool=report.pool,
                    kind=type(command).__name__,
                    why=outcome.detail,
                )
                if outcome.reason is Reason.BUSY:
                    raise PlaneStopped(outcome.detail)

    async def folders(self, report: FolderReport) -> list[FolderAnswer]:
        """Until when an agent keeps folders; `kept_folders` says how that is judged."""
        if report.kept is not None:
            self._kept[report.pool] = report.kept

        def view(world: World, now_us: int) -> tuple[tuple[int | None, ...], int]:
            return kept_folders.ends_of(world, report, now_us), now_us

        ends, now_us = await self.read(view)
        store = self._dependencies.store
        return await asyncio.to_thread(kept_folders.answers, store, report, ends, now_us)

    def kept_of(self, org: str) -> KeptOfOrg | None:
        """What pools that are there keep of the org's workloads that have ended, as their agents
        told; None where none told since the server started."""
        present = {pool: kept for pool, kept in self._kept.items() if self.has_pool(pool)}
        return kept_folders.sum_of(org, present)

    def opens_execs(self, pool: str) -> bool:
        """Whether the engine of a pool runs commands beside a rank, as its agent told last."""
        return self._intake.opens_execs(pool)

    def refusing(self) -> dict[str, str]:
        """Why agents that are heard do not obey this control plane, by pool."""
        silent = self._writer.health().silent_pools
        own = self._admission.says_itself().items()
        lacking = self._admission.lacking(self._dependencies.clock.steady_us())
        reasons = {pool: why for pool, why in own if pool not in silent} | lacking
        return {pool: why for pool, why in reasons.items() if self.has_pool(pool)}

    def seen_us(self, pool: str) -> int | None:
        """When a pool was last seen whole; None: not since this server started."""
        return self._intake.seen_us(pool)

    def troubles(self, pool: str) -> tuple[Trouble, ...]:
        """What keeps the agent of a pool from its work, by its own last words."""
        return self._intake.troubles(pool, self._dependencies.clock.steady_us())

    def _able_first(self, command: Submit, look: Look | None) -> Look:
        """Looks whether an engine can carry it out, and then as asked."""

        def able_first(world: World, now_us: int) -> object:
            refusal = self._unsupported(world, command)
            return refusal or (None if look is None else look(world, now_us))

        return able_first

    def _unsupported(self, world: World, command: Submit) -> Refusal | None:
        """The refusal of a spec that no engine of the market can carry out."""
        user = None if command.by is None else world.records.users[command.by]
        has_unix_name = user is None or user.unix_name is not None
        spec = with_markets(world, command)
        if isinstance(spec, Refusal):
            return None
        markets = tuple(it.market for it in spec.choices) or (command.market,)
        for market in markets:
            meant = world.pools_of.values() if market is None else [world.pools_of.get(market, {})]
            pools = {pool: None for pools in meant for pool in pools}
            refusal = self._intake.unsupported(command.spec, pools, has_unix_name=has_unix_name)
            if refusal is not None and spec.choices:
                return replace(refusal, detail=f"in {market}: {refusal.detail}")
            if refusal is not None:
                return refusal
        return None

    def logs(
        self, workload: Workload, attempt: str, rank: int, *, offset: int, follow: bool
    ) -> AsyncIterator[bytes]:
        """A rank's output, relayed from the agent of its pool; LogsUnavailable where it is
        silent."""
        pool = workload.pool or ""
        return self._relay.read(
            pool,
            attempt,
            rank,
            offset=offset,
            follow=follow,
            org=workload.org,
            since_us=workload.submitted_us,
            is_heard=lambda: not self._is_silent(pool),
        )

    async def log_offset(
        self, workload: Workload, attempt: str, rank: int, *, at_us: int
    ) -> int | Refusal:
        """Where a rank's output begins that came at an instant or later, as the agent of its pool
        knows it; LogsUnavailable where that is silent."""
        pool = workload.pool or ""
        answers = self._relay.read(
            pool,
            attempt,
            rank,
            offset=0,
            follow=False,
            org=workload.org,
            since_us=workload.submitted_us,
            at_us=at_us,
            is_heard=lambda: not self._is_silent(pool),
        )
        async with contextlib.aclosing(answers) as chunks:
            chunk = await anext(chunks, b"")
        return place_of(chunk, pool, attempt, rank, at_us)

    async def log_requests(self, pool: str, *, wait_s: float) -> list[LogRequest]:
        """For the pool's agent: whose output it shall send."""
        return await self._relay.requests(pool, wait_s=wait_s)

    async def log_chunk(self, pool: str, request: str, chunk: bytes, is_last: bool) -> bool:
        """From the pool's agent; false: the reader is gone, stop."""
        return await self._relay.chunk(pool, request, chunk, is_last=is_last)

    def _stop(self) -> None:
        self._scrub.stop()
        self._folding.stop()
        self._writer.stop()
        self.archive.close()

    def _is_silent(self, pool: str) -> bool:
        return self._intake.is_silent(pool, self._dependencies.clock.steady_us())

    def _refuse_if_stopped(self) -> None:
        if self._writer.inbox.is_closed:
            raise PlaneStopped("the server is stopping; ask again after its restart")


def _turned_away(waiting: Waiting) -> Refusal | TooMany:
    """What is told where there is no room: to a command's asker a refusal, to a view's an error."""
    if isinstance(waiting, WaitingView) and waiting.is_plan:
        reason = Reason.TOO_MANY
        detail = f"too many plans of {waiting.org} wait already; ask for a few at a time"
    elif waiting.org is None:
        reason, detail = Reason.BUSY, "too much waits already; try again in a moment"
    else:
        reason = Reason.TOO_MANY
        detail = f"too many requests of {waiting.org} wait already; send fewer at a time"
    refusal = Refusal(reason=reason, detail=detail)
    return refusal if isinstance(waiting, WaitingCommand) else TooMany(refusal)
