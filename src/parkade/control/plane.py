"""The control plane as the API sees it: commands in, committed outcomes, views and news out.

Lives in an event loop; the writer behind it has a thread of its own. Nothing here changes the
world but through a command.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import structlog

from parkade.control.answers import (
    Decided,
    Health,
    Idempotency,
    LogRequest,
    LogsUnavailable,
    PlaneStopped,
)
from parkade.control.cycle import Asked
from parkade.control.inbox import WaitingCommand, WaitingView
from parkade.control.logs import Relay
from parkade.control.observed import Observed
from parkade.control.outbox import desired_attempt
from parkade.control.settings import PlaneSettings
from parkade.control.writer import Doors, Writer
from parkade.core.clearing.plan import Plan
from parkade.core.state.commands import AnyCommand, ReportAttempts, Submit
from parkade.core.state.events import AnyEvent
from parkade.core.state.world import World
from parkade.core.units.refusal import Reason, Refusal
from parkade.ports import DesiredAttempt, DesiredState, Observation, StatedTransfer

__all__ = [
    "Decided",
    "Health",
    "Idempotency",
    "LogRequest",
    "LogsUnavailable",
    "Plane",
    "PlaneStopped",
    "StatedTransfer",
]

_log = structlog.get_logger(__name__)

_T = TypeVar("_T")


class Plane:
    """Opening one recovers the world and begins an epoch; `start` begins to answer."""

    def __init__(self, doors: Doors, settings: PlaneSettings) -> None:
        self._doors = doors
        self._writer = Writer(doors, settings)
        self._observed = Observed(repeat_us=settings.observation_repeat_us)
        self._renderers: dict[str, Callable[[DesiredAttempt], str]] = {}
        self._observing: dict[str, asyncio.Lock] = {}
        self._relay = Relay(
            prefix=f"logs-{self._writer.health().epoch}",
            chunks_held=settings.log_chunks_held,
            answer_timeout_s=settings.log_answer_timeout_us / 1e6,
        )

    def start(self) -> None:
        """Begins to answer."""
        self._writer.start()

    def end_streams(self) -> None:
        """Ends the relayed outputs, so that a server that stops waits for no reader."""
        self._relay.close()

    async def close(self) -> None:
        """Ends after the present turn; whatever runs on the nodes goes on."""
        await asyncio.to_thread(self._writer.stop)

    def health(self) -> Health:
        """How the writer is doing."""
        return self._writer.health()

    async def execute(
        self, command: AnyCommand, *, idempotency: Idempotency | None = None
    ) -> Decided | Refusal:
        """The outcome, once it is committed. BUSY where too much waits already."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Decided | Refusal] = loop.create_future()
        asked = Asked(command=command, idempotency=idempotency)
        waiting = WaitingCommand(loop=loop, future=future, asked=asked)
        if not self._writer.inbox.put(waiting):
            self._refuse_if_stopped()
            detail = "too many commands wait already; try again in a moment"
            return Refusal(reason=Reason.BUSY, detail=detail)
        return await future

    async def read(self, view: Callable[[World, int], _T]) -> _T:
        """What a view sees of committed state and the present; it runs in the writer's thread and
        must be short and take nothing mutable along. PlaneStopped where too many wait."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()
        if not self._writer.inbox.put(WaitingView(loop=loop, future=future, view=view)):
            self._refuse_if_stopped()
            raise PlaneStopped("too many views wait already; try again in a moment")
        return await future

    async def plan(self, command: Submit) -> Plan | Refusal:
        """What a submission would come to, without submitting."""
        rules = self._doors.rules
        return await self.read(lambda world, now_us: rules.plan(world, command, now_us))

    def render_with(self, pool: str, render: Callable[[DesiredAttempt], str]) -> None:
        """The engine of a pool says how it would launch; asked by `rendered`."""
        self._renderers[pool] = render

    async def rendered(self, plan: Plan) -> str | None:
        """The exact command that a planned attempt would be launched with; None where the pool's
        engine is elsewhere. EngineError where it would refuse."""

        def view(world: World, _now_us: int) -> tuple[str, DesiredAttempt]:
            workload = plan.workload
            pool = world.records.markets[workload.market].pool
            return pool, desired_attempt(world, workload, plan.attempt)

        pool, attempt = await self.read(view)
        render = self._renderers.get(pool)
        return None if render is None else await asyncio.to_thread(render, attempt)

    async def statement(
        self, account: str, *, from_us: int | None, to_us: int | None
    ) -> list[StatedTransfer]:
        """Every transfer of an account in [from_us, to_us), in order."""
        read = self._doors.store.statement
        return list(await asyncio.to_thread(read, account, from_us=from_us, to_us=to_us))

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

        await self._writer.desired_bell.wait_until(is_new, timeout_s=wait_s)
        return outbox.state(pool) if is_new() else None

    async def observe(self, pool: str, observation: Observation) -> None:
        """An agent's look at its whole pool. Nothing follows from a partial or older one."""
        assert observation.pool == pool
        async with self._observing.setdefault(pool, asyncio.Lock()):
            state = self._writer.outbox.state(pool)
            if state is None or not self._observed.is_usable(observation):
                return
            steady_us = self._doors.clock.steady_us()
            was_silent = self._writer.reach.is_silent(pool, steady_us)
            self._writer.reach.heard(pool, steady_us)
            if was_silent:
                self._writer.inbox.nudge()
            desired = state.sequence
            if not self._observed.is_news(observation, desired=desired, steady_us=steady_us):
                return
            command = ReportAttempts(by=None, pool=pool, attempts=observation.attempts)
            outcome = await self.execute(command)
            if isinstance(outcome, Refusal):
                _log.warning("observation_refused", pool=pool, reason=outcome.reason)
                return
            self._observed.tell(observation, desired=desired, steady_us=steady_us)

    async def logs(
        self, attempt: str, rank: int, *, offset: int, follow: bool
    ) -> AsyncIterator[bytes]:
        """A rank's output, relayed from the pool's agent."""
        pool = await self.read(lambda world, _: pool_of_attempt(world, attempt))
        if pool is None:
            raise LogsUnavailable(f"there is no attempt {attempt}, or it ended long ago")
        chunks = self._relay.read(
            pool,
            attempt,
            rank,
            offset=offset,
            follow=follow,
            is_heard=lambda: not self._is_silent(pool),
        )
        async for chunk in chunks:
            yield chunk

    async def log_requests(self, pool: str, *, wait_s: float) -> list[LogRequest]:
        """For the pool's agent: whose output it shall send."""
        return await self._relay.requests(pool, wait_s=wait_s)

    async def log_chunk(self, pool: str, request: str, chunk: bytes, is_last: bool) -> bool:
        """From the pool's agent; false: nobody reads any more, stop."""
        return await self._relay.chunk(pool, request, chunk, is_last=is_last)

    def _is_silent(self, pool: str) -> bool:
        return self._writer.reach.is_silent(pool, self._doors.clock.steady_us())

    def _refuse_if_stopped(self) -> None:
        if self._writer.inbox.is_closed:
            raise PlaneStopped("the server is stopping; ask again after its restart")


def pool_of_attempt(world: World, attempt: str) -> str | None:
    """The pool where an attempt runs or ran; its id begins with its workload's."""
    workloads = world.records.workloads
    found = workloads.get(attempt.rpartition(".")[0])
    return world.records.markets[found.market].pool if found else None
