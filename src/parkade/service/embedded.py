"""The agent inside the server: runs the pools of this machine without a network between.

It speaks to the plane through the same door as an agent elsewhere, in memory: no token is needed.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from parkade.agent.agent import Time, run_agent
from parkade.agent.control_plane import ControlPlaneError, LogRequest, NobodyListens
from parkade.agent.timer import LoopTimer
from parkade.control.plane import Plane, PlaneStopped
from parkade.core.fleet.pool import LOCAL_ENGINE
from parkade.core.state.events import PoolOpened
from parkade.core.state.world import World
from parkade.engines.local.engine import LocalEngine
from parkade.ports import Clock, DesiredState, Engine, NodeShape, Observation
from parkade.service.settings import ServiceSettings

_log = structlog.get_logger(__name__)

_RESTART_S = 5.0


class LocalPool(msgspec.Struct, frozen=True, kw_only=True):
    """A pool whose nodes are slots of this machine; `folder` is its engine's and agent's."""

    pool: str
    nodes: tuple[NodeShape, ...]
    folder: Path


MakeEngine = Callable[[LocalPool, Clock], Engine]


def make_local_engine(local: LocalPool, clock: Clock) -> Engine:
    """Processes on this machine."""
    return LocalEngine(
        pool=local.pool, data=local.folder / "engine", nodes=local.nodes, clock=clock
    )


def make_passage(folder: Path) -> None:
    """A folder that nobody else may list; as root, one that users pass to reach what is theirs."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


class PlaneDoor:
    """Implements the agent's `ControlPlane` on a plane in the same process."""

    def __init__(self, plane: Plane, pool: str) -> None:
        self._plane = plane
        self._pool = pool

    async def desired(self, after: tuple[int, int] | None, wait_s: float) -> DesiredState | None:
        """See `ControlPlane`."""
        return await self._plane.desired(self._pool, after=after, wait_s=wait_s)

    async def report(self, observation: Observation) -> None:
        """See `ControlPlane`."""
        try:
            await self._plane.observe(self._pool, observation)
        except PlaneStopped as error:
            raise ControlPlaneError(str(error)) from error

    async def log_requests(self, wait_s: float) -> list[LogRequest]:
        """See `ControlPlane`."""
        found = await self._plane.log_requests(self._pool, wait_s=wait_s)
        return [LogRequest(**msgspec.structs.asdict(request)) for request in found]

    async def send_log(self, request_id: str, chunk: bytes, is_last: bool) -> None:
        """See `ControlPlane`."""
        if not await self._plane.log_chunk(self._pool, request_id, chunk, is_last):
            raise NobodyListens(f"nobody reads {request_id} any more")


class Embedded:
    """One agent for each pool at a local site, from the pool's opening on."""

    def __init__(
        self, plane: Plane, settings: ServiceSettings, clock: Clock, make_engine: MakeEngine
    ) -> None:
        self._plane = plane
        self._settings = settings
        self._clock = clock
        self._make_engine = make_engine
        self._started: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; what runs then goes on running."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(group, stop))
            await stop.wait()
            watching.cancel()

    async def _watch(self, group: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        after = self._plane.health().sequence
        await self._start_new(group, stop)
        async for _, event in self._plane.events(after=after):
            if isinstance(event, PoolOpened):
                await self._start_new(group, stop)

    async def _start_new(self, group: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        for local in await self._plane.read(lambda world, _: self._local_pools(world)):
            if local.pool not in self._started:
                self._started.add(local.pool)
                group.create_task(self._run_pool(local, stop))

    def _local_pools(self, world: World) -> list[LocalPool]:
        return [
            LocalPool(
                pool=pool.pool,
                nodes=tuple(
                    NodeShape(node=node.node, gpus=node.gpus)
                    for node in world.records.nodes.values()
                    if node.pool == pool.pool
                ),
                folder=self._settings.data_folder / "pools" / pool.pool,
            )
            for pool in world.records.pools.values()
            if pool.site in self._settings.local_sites and pool.engine == LOCAL_ENGINE
        ]

    async def _run_pool(self, local: LocalPool, stop: asyncio.Event) -> None:
        make_passage(local.folder.parent)
        make_passage(local.folder)
        (local.folder / "agent").mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            _log.warning(
                "runs_as_root",
                pool=local.pool,
                note="workloads of users without a Unix name run as root; give each user one",
            )
        while not stop.is_set():
            engine = self._make_engine(local, self._clock)
            self._plane.render_with(local.pool, engine.render)
            try:
                await run_agent(
                    engine,
                    PlaneDoor(self._plane, local.pool),
                    pool=local.pool,
                    data_folder=local.folder / "agent",
                    time=Time(clock=self._clock, timer=LoopTimer()),
                    tick_s=self._settings.agent_tick_s,
                    heartbeat_s=self._settings.agent_heartbeat_s,
                    stop=stop,
                )
            except Exception:  # noqa: BLE001 - an agent starts again, as its own process would
                _log.exception("agent_failed", pool=local.pool, done="it starts again soon")
                await _wait(stop, _RESTART_S)
            finally:
                await engine.close()


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
