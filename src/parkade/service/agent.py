"""Runs the agent of one pool as a process of its own, until it is told to stop.

    parkade agent run --pool NAME --server URL --token-file FILE --data-folder FOLDER

It asks the server for the pool's nodes, makes the engine, and keeps it as the server desires; it
makes the engine anew when the pool's nodes change. What runs on the nodes does not need it: it goes
on while the agent is away, and is adopted by the next one. A lock in the data folder keeps a second
agent out.

As a child of a server (`is_child`) it also ends when its input ends, which is when the server is
gone however it died, and waits for the lock while the agent of an earlier server still leaves.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from parkade.agent.agent import run_agent
from parkade.agent.backoff import Backoff
from parkade.agent.control_plane import ControlPlane, ControlPlaneError, KnowsAgents, Refused
from parkade.agent.health import HealthWatch
from parkade.agent.http import HttpControlPlane
from parkade.agent.memory import named
from parkade.agent.notes import NotesFolder
from parkade.agent.place import Pace, Place, Time
from parkade.agent.timer import LoopTimer
from parkade.control.clock import SystemClock
from parkade.control.leadership import FileLeadership
from parkade.engines.local.ending import EndedAttempt, end_everything
from parkade.engines.slurm import signals
from parkade.ports import AlreadyLed, Leadership, NodeShape, Timer
from parkade.sensors.clock import HeardClock
from parkade.service import logs
from parkade.service.engines import EnginePlace, MakeEngine, engine_maker, read_options
from parkade.service.folders import make_passage
from parkade.service.healing import health_plan
from parkade.service.place import settle
from parkade.service.settings import BadSettings
from parkade.service.shielding import shield
from parkade.wire.exits import EXIT_USAGE
from parkade.wire.servers import Servers

T = TypeVar("T")
LOCK_WAIT_S = 0.1
POLL_S = 20.0

_log = logging.getLogger("parkade.agent")


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One agent. `options` are the engine's own; `is_child`: it belongs to the server that started
    it. `is_original_gone`: the data folder is a copy, and takes the place of its original."""

    pool: str
    server: str
    token_file: Path
    data_folder: Path
    engine: str = "local"
    options: Mapping[str, str] = {}
    log_format: str = "console"
    pace: Pace = Pace()
    is_child: bool = False
    is_original_gone: bool = False


def run(settings: AgentSettings, make_engine: MakeEngine | None = None) -> None:
    """Returns when it was told to stop. AlreadyLed; BadSettings, also where the server refuses it.
    `make_engine` is a test's."""
    logs.configure(settings.log_format)
    shield()
    make = make_engine or engine_maker(settings.engine, settings.options)
    token = read_token(settings.token_file)
    make_passage(settings.data_folder)
    leadership = _leadership(settings.data_folder, holder=f"agent of pool {settings.pool}")
    if not settings.is_child:
        leadership.acquire()
    try:
        if not settings.is_child:
            settle(settings.data_folder, is_original_gone=settings.is_original_gone)
        asyncio.run(_main(settings, make, token, leadership))
    except* Refused as refused:
        raise BadSettings(
            f"the server refuses this agent of pool {settings.pool}: {_first(refused)}; make"
            " another token with `parkade pool agent-token`"
        ) from None
    finally:
        leadership.release()


def end(
    data_folder: Path, *, notice_s: float, timeout_s: float, tell: Callable[[str], None]
) -> tuple[EndedAttempt, ...]:
    """Ends all that the local engine runs below an agent's data folder; what that was. `tell` is
    called with a line as the wait begins. AlreadyLed where an agent runs there, which would start
    it again."""
    leadership = _leadership(data_folder, holder="agent")
    leadership.acquire()
    try:
        place = data_folder / "engine"
        return end_everything(place, notice_s=notice_s, timeout_s=timeout_s, tell=tell)
    finally:
        leadership.release()


def is_of_slurm(data_folder: Path) -> bool:
    """Whether an agent's data folder has attempts on Slurm, whose jobs Slurm ends."""
    return any((data_folder / "engine" / "live").glob(f"*/{signals.FILE}"))


def _leadership(data_folder: Path, *, holder: str) -> FileLeadership:
    return FileLeadership(data_folder / "agent" / "agent.lock", holder=holder)


def _first(group: BaseExceptionGroup[Refused]) -> BaseException:
    """The first single error of a group."""
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


def read_token(path: Path) -> str:
    """The token in a file. BadSettings where there is none, or others may read it."""
    try:
        if path.stat().st_mode & 0o077:
            raise BadSettings(f"{path}: others may read this token; chmod 600 {path}")
        token = path.read_text().strip()
    except OSError as error:
        raise BadSettings(
            f"{path}: {error.strerror}; make one with `parkade pool agent-token`"
        ) from error
    if not token:
        raise BadSettings(f"{path} is empty; make one with `parkade pool agent-token`")
    return token


async def _main(
    settings: AgentSettings, make: MakeEngine, token: str, leadership: Leadership
) -> None:
    stop, timer = asyncio.Event(), LoopTimer()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if settings.is_child:
        loop.add_reader(sys.stdin.fileno(), _end_with_parent, stop)
        await _acquire(leadership, timer, stop)
    servers = Servers(settings.server)
    async with httpx.AsyncClient(base_url=servers.now) as client:
        heard = HeardClock()
        control_plane = HttpControlPlane(
            client, pool=settings.pool, token=token, clock=heard, servers=servers
        )
        await serve(settings, make, control_plane, timer, stop, heard)
    _log.info("the agent of %s stops; what runs on its nodes goes on", settings.pool)


def _end_with_parent(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop.set()


async def _acquire(leadership: Leadership, timer: Timer, stop: asyncio.Event) -> None:
    is_logged = False
    while not stop.is_set():
        try:
            leadership.acquire()
            return
        except AlreadyLed as error:
            if not is_logged:
                _log.warning("waiting: %s", error)
            is_logged = True
        await timer.wait(stop, LOCK_WAIT_S)


async def serve(
    settings: AgentSettings,
    make: MakeEngine,
    control_plane: ControlPlane,
    timer: Timer,
    stop: asyncio.Event,
    heard: HeardClock,
) -> None:
    """Runs the agent, with another engine whenever the nodes change or it failed, until `stop`.
    `heard` is what `control_plane` says of the time. The caller holds the folder's lock."""
    backoff, clock = Backoff(timer), SystemClock()
    memory_folder = settings.data_folder / "agent"
    while not stop.is_set():
        try:
            _say_name(control_plane, memory_folder)
        except (OSError, msgspec.DecodeError) as error:
            _log.error("the agent's memory cannot be read or written: %s", error)
            await timer.wait(stop, backoff.next_after_failure())
            continue
        nodes = await _unless(stop, lambda: _nodes(control_plane, Backoff(timer)))
        if nodes is None:
            return
        engine = make(
            EnginePlace(
                pool=settings.pool,
                nodes=nodes,
                folder=settings.data_folder / "engine",
                clock=clock,
            )
        )
        place = Place(pool=settings.pool, nodes=nodes, data_folder=memory_folder)
        failed: Exception | None = None
        health: HealthWatch | None = None
        try:
            plan = health_plan(settings.data_folder, clock, heard)
            if plan is not None:
                notes = NotesFolder(place.data_folder)
                health = HealthWatch(
                    plan, control_plane, pool=place.pool, notes=notes, clock=clock, timer=timer
                )
            time = Time(clock=clock, timer=timer)
            await run_agent(
                engine, control_plane, place, time, stop=stop, pace=settings.pace, health=health
            )
        except Exception as error:  # noqa: BLE001 - it starts again, as a new process would
            failed = error
        else:
            backoff.reset()
        finally:
            if health is not None:
                await health.close()
            await engine.close()
        if failed is not None:
            _log.error("the agent failed", exc_info=failed)
            await timer.wait(stop, backoff.next_after_failure())


def _say_name(control_plane: ControlPlane, memory_folder: Path) -> None:
    """Before the first question: an agent without a name is another one than that of before."""
    if isinstance(control_plane, KnowsAgents):
        name = named(memory_folder).agent
        assert name is not None, "a memory that is named has a name"
        control_plane.is_asked_by(name, memory_folder)


async def _nodes(control_plane: ControlPlane, backoff: Backoff) -> tuple[NodeShape, ...]:
    """The pool's nodes, once the server sends them."""
    while True:
        try:
            state = await control_plane.desired(None, POLL_S)
        except ControlPlaneError as error:
            await backoff.wait("desired state", error)
            continue
        if state is not None:
            return state.nodes


async def _unless(stop: asyncio.Event, make: Callable[[], Awaitable[T]]) -> T | None:
    """What is awaited, or None where it is told to stop meanwhile."""
    stopping = asyncio.ensure_future(stop.wait())
    working = asyncio.ensure_future(make())
    tasks: set[asyncio.Future[Any]] = {stopping, working}
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return working.result() if not working.cancelled() else None


def main(arguments: list[str] | None = None, make_engine: MakeEngine | None = None) -> int:
    """The agent from flags; 2 where it cannot run as it was told to."""
    parser = argparse.ArgumentParser(prog="python -m parkade.service.agent")
    parser.add_argument("--pool", required=True)
    parser.add_argument("--server", required=True)
    parser.add_argument("--token-file", type=Path, required=True)
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--engine", default="local")
    parser.add_argument("--engine-option", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--log-format", choices=("console", "json"), default="console")
    parser.add_argument("--tick-s", type=float, default=Pace().tick_s)
    parser.add_argument("--heartbeat-s", type=float, default=Pace().heartbeat_s)
    parser.add_argument("--child", action="store_true", help="end when the input ends")
    given = parser.parse_args(arguments)
    try:
        settings = AgentSettings(
            pool=given.pool,
            server=given.server,
            token_file=given.token_file,
            data_folder=given.data_folder,
            engine=given.engine,
            options=read_options(given.engine_option),
            log_format=given.log_format,
            pace=Pace(tick_s=given.tick_s, heartbeat_s=given.heartbeat_s),
            is_child=given.child,
        )
        run(settings, make_engine)
    except (AlreadyLed, BadSettings) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())
