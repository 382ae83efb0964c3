"""The agent of a pool: listens, makes the engine's attempts what is desired, reports, sends output.

Listening, working and reporting go on independently: a network that hangs delays neither a launch
nor an order that was heard, and an engine that hangs stops neither the reports nor the orders to
leave. Deadlines are the engine's: they hold while the agent is down.
"""

import asyncio
import logging
from typing import assert_never

from msgspec.structs import replace

from parkade.agent import memory as memories
from parkade.agent.backoff import Backoff
from parkade.agent.control_plane import (
    ChecksJournals,
    ControlPlane,
    ControlPlaneError,
    KnowsAgents,
    Refused,
)
from parkade.agent.execs import carry_execs
from parkade.agent.folders import AnswersFolders, keep_folders
from parkade.agent.health import HealthWatch
from parkade.agent.logs import LogServer
from parkade.agent.optional import (
    KeepsFolders,
    KeepsLeases,
    ResizesLive,
    ServesOwners,
    TellsChanges,
)
from parkade.agent.place import Pace, Place, Time
from parkade.agent.plan import (
    Action,
    ChangeRanks,
    Forget,
    HandOver,
    Launch,
    Refuse,
    orders,
    plan,
    with_refusals,
)
from parkade.agent.troubles import Troubles
from parkade.core.workloads.observed import MOST_WORDS
from parkade.ports import (
    Conflict,
    DesiredAttempt,
    DesiredState,
    Engine,
    EngineError,
    InvalidSpec,
    Misconfigured,
    Observation,
    OwnerReport,
    Phase,
    Unsupported,
)

LONG_POLL_S = 20.0
PAUSE_S = 0.05
"""Least time between two polls, whatever the control plane answers."""
MOST_LAUNCHES = 4

logger = logging.getLogger("parkade.agent")


async def run_agent(
    engine: Engine,
    control_plane: ControlPlane,
    place: Place,
    time: Time,
    *,
    stop: asyncio.Event,
    pace: Pace,
    health: HealthWatch | None = None,
) -> None:
    """Until `stop` is set, or the pool has other nodes than the engine was made with; what runs
    goes on running. The engine's life and that of `health` are the caller's."""
    agent = Agent(engine, control_plane, place, time, health)
    try:
        await engine.adopt()
    except EngineError as error:
        # It is looked at in every round anyway.
        logger.warning("the engine cannot be adopted yet: %s", error)
    parts = (
        agent.listen(),
        agent.work(pace.tick_s),
        agent.report(pace.heartbeat_s),
        LogServer(engine, control_plane, time.timer).run(),
        carry_execs(engine, control_plane, time.timer, lambda: agent.desired),
        *(() if health is None else (health.watch(), health.tell())),
        agent.keep_folders(),
    )
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part) for part in parts]
        ends = [group.create_task(event.wait()) for event in (stop, agent.has_other_nodes)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in [*tasks, *ends, *agent.launching.values()]:
            task.cancel()
    await asyncio.gather(*agent.launching.values(), return_exceptions=True)


class Agent:
    """What is desired, what is seen, and what is under way between the two."""

    def __init__(
        self,
        engine: Engine,
        control_plane: ControlPlane,
        place: Place,
        time: Time,
        health: HealthWatch | None = None,
    ) -> None:
        self.health = health
        self.engine = engine
        self.control_plane = control_plane
        self.pool = place.pool
        self.nodes = place.nodes
        self.memory_place = place.memory or memories.MemoryFolder(place.data_folder)
        self.clock = time.clock
        self.timer = time.timer
        self.capabilities = engine.capabilities()
        # Asked once: a look at the methods' names costs as much as a look at the engine.
        self._checks_journals = control_plane if isinstance(control_plane, ChecksJournals) else None
        self._keeps_leases = engine if isinstance(engine, KeepsLeases) else None
        self._serves_owners = engine if isinstance(engine, ServesOwners) else None
        self._resizes_live = engine if isinstance(engine, ResizesLive) else None
        self._tells_changes = engine if isinstance(engine, TellsChanges) else None
        self.memory = self.memory_place.named()
        if isinstance(control_plane, KnowsAgents):
            control_plane.is_asked_by(self.memory.agent or "", place.data_folder)
        self._tell_obeyed()
        self.desired: DesiredState | None = None
        self.seen: Observation | None = None
        self.launching: dict[str, asyncio.Task[None]] = {}
        self.troubles = Troubles()
        self.reported: set[str] = set()
        self.changed = asyncio.Event()
        self.to_report = asyncio.Event()
        self.has_other_nodes = asyncio.Event()
        self.is_heard = False
        self.is_looking = False
        self.refused: str | None = None
        self._places = asyncio.Semaphore(MOST_LAUNCHES)

    async def listen(self) -> None:
        """Takes each newer desired state; an older one than was ever accepted is refused. Raises
        Refused where the control plane will never answer this agent."""
        backoff = Backoff(self.timer)
        while True:
            after = None
            if self.desired is not None:
                after = (self.desired.epoch, self.desired.sequence)
            try:
                # The first answer after a silence shall come at once: it renews the leases.
                wait_s = LONG_POLL_S if self.is_heard else 0.0
                state = await self.control_plane.desired(after, wait_s)
                if state is None:
                    self._tell_refusal(None)
                else:
                    self.accept(state)
                    await self._hand_over()
            except Refused:
                raise
            except ControlPlaneError as error:
                self.is_heard = False
                await backoff.wait("desired state", error)
                continue
            if not self.is_heard:
                logger.info("connected: the control plane answers for pool %s", self.pool)
            self.is_heard = True
            backoff.reset()
            await self.timer.sleep(PAUSE_S)

    def accept(self, state: DesiredState) -> None:
        """Remembers the state on disk; only then may anything follow from it."""
        if state.pool != self.pool:
            raise ControlPlaneError(
                f"the desired state is of pool {state.pool}, but this agent runs {self.pool}"
            )
        self._tell_refusal(self.memory.why_refused(state))
        if self.refused is not None:
            raise ControlPlaneError(self.refused)
        self.memory.accept(state)
        seen = () if self.seen is None else self.seen.attempts
        known = {one.attempt for one in seen} | {one.attempt for one in state.attempts}
        if self.seen is not None and self.seen.is_complete:
            self.memory.keep_only(known)
        self._remember()
        self._tell_obeyed()
        if state.nodes != self.nodes:
            self.has_other_nodes.set()
            return
        self.desired = state
        if self.health is not None:
            self.health.desire(state)
        self.changed.set()

    def _tell_obeyed(self) -> None:
        if self._checks_journals is not None:
            self._checks_journals.obeys(self.memory.obeyed)

    def _tell_refusal(self, why: str | None) -> None:
        """It goes out with the next report, to whichever control plane answers there."""
        if why != self.refused:
            self.refused = why
            self.to_report.set()

    async def work(self, tick_s: float) -> None:
        """Looks, acts, and waits for the next reason to look."""
        while True:
            self.changed.clear()
            # Before looking: who landed before the look must be in it, or was never started.
            self._settle_launches()
            self.is_looking = True
            try:
                observation = await self.engine.observe()
            except (EngineError, OSError) as error:
                logger.warning("the engine cannot be observed: %s", error)
            else:
                owners = await self._serve_owners(observation)
                await self._converge(observation)
                self._publish(replace(observation, owners=owners))
            self.is_looking = False
            await self._wait(tick_s)

    async def report(self, heartbeat_s: float) -> None:
        """Sends the newest observation at each change, and at least each heartbeat."""
        backoff = Backoff(self.timer)
        while True:
            await self.timer.wait(self.to_report, heartbeat_s)
            self.to_report.clear()
            observation = self.seen
            if observation is None:
                continue
            try:
                await self.control_plane.report(replace(observation, refused=self.refused))
            except ControlPlaneError as error:
                self.to_report.set()
                await backoff.wait("report", error)
                continue
            backoff.reset()
            await self._renew_leases()
            self.reported = {
                one.attempt for one in observation.attempts if one.phase is Phase.RELEASED
            }

    async def _renew_leases(self) -> None:
        """Only after an answered report, so that the control plane knows of what it renews, and
        only for a control plane that is obeyed."""
        if not self.is_heard or self._keeps_leases is None:
            return
        try:
            await self._keeps_leases.renew_leases()
        except (EngineError, OSError) as error:
            logger.warning("the leases are not renewed: %s", error)

    async def keep_folders(self) -> None:
        """Deletes what is kept no longer, where engine and control plane can tell (`folders`)."""
        engine, control_plane = self.engine, self.control_plane
        if isinstance(engine, KeepsFolders) and isinstance(control_plane, AnswersFolders):
            await keep_folders(
                engine,
                control_plane,
                pool=self.pool,
                timer=self.timer,
                may_ask=self._obeys,
                now_us=self.clock.now_us,
            )

    def _obeys(self) -> bool:
        """Whether a control plane is heard that this agent obeys."""
        return self.is_heard and self.refused is None and self.desired is not None

    async def _serve_owners(self, observation: Observation) -> OwnerReport | None:
        """Before anything is launched: nodes that come back are ours again only then."""
        if self._serves_owners is None or self.desired is None:
            return None
        if not observation.is_complete:
            return None
        try:
            return await self._serves_owners.serve_owners(self.desired)
        except (EngineError, OSError) as error:
            logger.warning("owners are not served: %s", error)
            return None

    async def _hand_over(self) -> None:
        """New orders wait for no look that is under way: one at an engine that hangs may last
        longer than a notice."""
        if not self.is_looking or self.desired is None or self.seen is None:
            return
        for order in orders(self.desired, self.seen):
            try:
                await self._do(order)
            except (EngineError, OSError) as error:
                logger.warning("%s: %s", type(order).__name__, error)

    def _settle_launches(self) -> None:
        for name in [name for name, task in self.launching.items() if task.done()]:
            self.launching.pop(name).result()

    async def _converge(self, observation: Observation) -> None:
        if self.desired is None:
            return
        actions = plan(
            self.desired,
            observation,
            self.memory,
            launching=self.launching.keys(),
            reported=self.reported,
            now_us=self.clock.now_us(),
        )
        ordered = set(self.memory.ordered)
        for action in actions:
            try:
                await self._do(action)
            except (EngineError, OSError) as error:
                # The next round sees what is still to be done.
                logger.warning("%s: %s", type(action).__name__, error)
        if self.memory.ordered != ordered:
            # Once a round: a sync to disk for each guest would keep the last one waiting.
            self._remember()

    async def _do(self, action: Action) -> None:
        match action:
            case Launch(attempt=attempt):
                task = asyncio.create_task(self._launch(attempt))
                self.launching[attempt.attempt] = task
            case HandOver(attempt=name, order=order):
                await self.engine.stop(name, order)
                self.memory.ordered.add(name)
            case ChangeRanks(attempt=attempt):
                if self._resizes_live is not None:
                    await self._resizes_live.resize(attempt)
            case Refuse(attempt=name, why=why):
                self._refuse(name, why)
            case Forget(attempt=name):
                await self.engine.forget(name)
            case _:
                assert_never(action)

    async def _launch(self, attempt: DesiredAttempt) -> None:
        async with self._places:
            if not self._is_desired(attempt):
                logger.info(
                    "attempt %s is not started: it is not desired any more", attempt.attempt
                )
                return
            try:
                await self.engine.launch(attempt)
            except (Conflict, Misconfigured) as error:
                self._refuse(attempt.attempt, str(error), is_blameless=True)
            except (InvalidSpec, Unsupported) as error:
                self._refuse(attempt.attempt, str(error))
            except (EngineError, OSError) as error:
                if self.troubles.failed(attempt.attempt, error):
                    logger.warning("launch of %s, again soon: %s", attempt.attempt, error)
                return
            self.troubles.started(attempt.attempt)
            if not self._places.locked():
                # Looks for each of many launches would cost more than these; a tick comes anyway.
                self.changed.set()

    def _is_desired(self, attempt: DesiredAttempt) -> bool:
        """Whether the newest state still wants that very launch; it may have waited for its turn
        meanwhile."""
        wanted = () if self.desired is None else self.desired.attempts
        return any(
            one.stop is None
            and (one.attempt, one.generation, one.ordered_us)
            == (attempt.attempt, attempt.generation, attempt.ordered_us)
            for one in wanted
        )

    def _refuse(self, attempt: str, why: str, *, is_blameless: bool = False) -> None:
        """`is_blameless`: by no doing of its org."""
        logger.warning("attempt %s is not started: %s", attempt, why)
        self.memory.refused[attempt] = why[:MOST_WORDS]
        if is_blameless:
            self.memory.blameless.add(attempt)
        self._remember()

    def _remember(self) -> None:
        """On disk before it is acted on. A full disk is no reason to obey no stop: what is not
        saved then holds until this agent ends, and is saved with the next change."""
        try:
            self.memory_place.save(self.memory)
        except OSError as error:
            logger.error("the agent's memory is not saved: %s", error)

    def _publish(self, observation: Observation) -> None:
        observation = with_refusals(observation, self.desired, self.memory)
        wanted = {one.attempt for one in self.desired.attempts} if self.desired else ()
        troubles = self.troubles.beside(observation, wanted)
        observation = replace(observation, capabilities=self.capabilities, troubles=troubles)
        old, self.seen = self.seen, observation
        if (
            old is None
            or old.attempts != observation.attempts
            or old.is_complete != observation.is_complete
            or old.owners != observation.owners
            or old.troubles != observation.troubles
        ):
            self.to_report.set()

    async def _wait(self, tick_s: float) -> None:
        if self._tells_changes is None:
            await self.timer.wait(self.changed, tick_s)
            return
        awaited = asyncio.ensure_future(self.changed.wait())
        changed = asyncio.ensure_future(self._tells_changes.wait_changed(tick_s))
        try:
            await asyncio.wait({awaited, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (awaited, changed):
                task.cancel()
            await asyncio.gather(awaited, changed, return_exceptions=True)
