"""The agents of this machine: a process for each pool at a local site, from its opening on.

Each is a child that is started again, later and later, when it dies. It ends with the server,
however the server ends: its input is a pipe that only the server holds open. What runs on the nodes
goes on without both, under keepers, and is adopted by the next agent.
"""

import asyncio
import secrets
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog

from parkade.agent.backoff import Backoff
from parkade.agent.timer import LoopTimer
from parkade.api.context import digest_of, new_token
from parkade.control.clock import SystemClock
from parkade.control.plane import Plane
from parkade.core.state.commands import AddToken
from parkade.core.state.events import PoolClosed, PoolOpened
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal
from parkade.ports import DesiredAttempt
from parkade.service.engines import ENGINES, EnginePlace, engine_maker, read_options
from parkade.service.folders import make_passage, write_owner_only
from parkade.service.settings import ServiceSettings

_log = structlog.get_logger(__name__)

PROGRAM = (sys.executable, "-m", "parkade.service.agent")
LEAVE_S = 20.0
"""How long a child may take to end by itself; launches that are under way are finished."""
LIVED_S = 60.0
"""A child that lived so long is started again at once."""


class LocalPool(msgspec.Struct, frozen=True, kw_only=True):
    """A pool whose nodes are slots of this machine; `folder` is its engine's and agent's."""

    pool: str
    engine: str
    folder: Path

    @property
    def token_file(self) -> Path:
        """Where its agent's token is, for this Unix user alone."""
        return self.folder / "agent" / "token"


class Agents:
    """`program` is what is run with an agent's flags; a test may give another."""

    def __init__(
        self, plane: Plane, settings: ServiceSettings, *, program: Sequence[str], operator: str
    ) -> None:
        self._plane = plane
        self._settings = settings
        self._program = program
        self._operator = operator
        self._stops: dict[str, asyncio.Event] = {}

    async def run(self, server: str, stop: asyncio.Event) -> None:
        """Until `stop` is set; `server` is the address that the children call."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(group, server))
            await stop.wait()
            watching.cancel()
            for each in self._stops.values():
                each.set()

    async def _watch(self, group: asyncio.TaskGroup, server: str) -> None:
        after = self._plane.health().sequence
        await self._start_new(group, server)
        async for _, event in self._plane.events(after=after):
            if isinstance(event, PoolOpened):
                await self._start_new(group, server)
            elif isinstance(event, PoolClosed) and event.pool in self._stops:
                self._stops.pop(event.pool).set()

    async def _start_new(self, group: asyncio.TaskGroup, server: str) -> None:
        for local in await self._plane.read(lambda world, _: self._local_pools(world)):
            if local.pool in self._stops:
                continue
            stop = self._stops[local.pool] = asyncio.Event()
            if local.engine in ENGINES:
                group.create_task(self._keep(local, server, stop))
            else:
                _log.error(
                    "no_such_engine",
                    pool=local.pool,
                    engine=local.engine,
                    done=f"no agent is started; there are: {', '.join(ENGINES)}",
                )

    def _local_pools(self, world: World) -> list[LocalPool]:
        return [
            LocalPool(
                pool=pool.pool,
                engine=pool.engine,
                folder=self._settings.data_folder / "pools" / pool.pool,
            )
            for pool in world.records.pools.values()
            if pool.site in self._settings.local_sites
        ]

    async def _keep(self, local: LocalPool, server: str, stop: asyncio.Event) -> None:
        make_passage(local.folder.parent)
        make_passage(local.folder)
        (local.folder / "agent").mkdir(mode=0o700, exist_ok=True)
        self._plane.render_with(local.pool, partial(self._render, local))
        timer = LoopTimer()
        backoff = Backoff(timer)
        clock = asyncio.get_running_loop().time
        while not stop.is_set():
            await self._ensure_token(local)
            began = clock()
            child = await self._spawn(local, server)
            status = await _wait(child, stop)
            if stop.is_set():
                return
            if clock() - began > LIVED_S:
                backoff.reset()
            _log.error("agent_ended", pool=local.pool, status=status, done="it starts again")
            await timer.wait(stop, backoff.next_after_failure())

    async def _spawn(self, local: LocalPool, server: str) -> asyncio.subprocess.Process:
        settings = self._settings
        return await asyncio.create_subprocess_exec(
            *self._program,
            *("--pool", local.pool, "--server", server, "--child"),
            *("--token-file", str(local.token_file), "--data-folder", str(local.folder)),
            *("--engine", local.engine, "--log-format", settings.log_format),
            *("--tick-s", str(settings.agent_tick_s)),
            *("--heartbeat-s", str(settings.agent_heartbeat_s)),
            *(item for option in self._options(local) for item in ("--engine-option", option)),
            stdin=asyncio.subprocess.PIPE,
            # A signal for the server's terminal is not for it: it ends when the server does.
            start_new_session=True,
        )

    def _options(self, local: LocalPool) -> list[str]:
        """Of the pool's engine, as `key=value`."""
        has_option = "root_workloads" in ENGINES[local.engine].settings.__struct_fields__
        is_wanted = has_option and self._settings.root_workloads
        return ["root_workloads=true"] if is_wanted else []

    def _render(self, local: LocalPool, attempt: DesiredAttempt) -> str:
        """What the child's engine would launch; asked in a thread of its own."""
        place = EnginePlace(
            pool=local.pool,
            nodes=self._plane.nodes(local.pool),
            folder=local.folder / "engine",
            clock=SystemClock(),
        )
        options = read_options(self._options(local))
        engine = engine_maker(local.engine, options)(place)
        try:
            # Whoever plans learns what would run, and not where the server keeps its files.
            return engine.render(attempt).replace(str(local.folder.resolve()), "$POOL")
        finally:
            asyncio.run(engine.close())

    async def _ensure_token(self, local: LocalPool) -> None:
        """Writes a new token before its digest is committed: one that was never committed is worth
        nothing, and the next start makes another."""
        if self._has_token(local):
            return
        secret = new_token()
        write_owner_only(local.token_file, secret)
        command = AddToken(
            by=None,
            token=f"agent-{local.pool[:40]}-{secrets.token_hex(4)}",
            user=self._operator,
            digest=digest_of(secret),
            pool=local.pool,
        )
        outcome = await self._plane.execute(command)
        assert not isinstance(outcome, Refusal), outcome

    def _has_token(self, local: LocalPool) -> bool:
        try:
            viewer = self._plane.viewer(digest_of(local.token_file.read_text().strip()))
        except (OSError, UnicodeDecodeError):
            return False
        return viewer is not None and viewer.pool == local.pool


async def _wait(child: asyncio.subprocess.Process, stop: asyncio.Event) -> int:
    """Its exit status; once `stop` is set it is asked to end, and killed where it does not."""
    ending = asyncio.ensure_future(child.wait())
    stopping = asyncio.ensure_future(stop.wait())
    either: set[asyncio.Future[Any]] = {ending, stopping}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not ending.done():
        assert child.stdin is not None
        child.stdin.close()
        await asyncio.wait({ending}, timeout=LEAVE_S)
    if not ending.done():
        child.kill()
    return await ending
