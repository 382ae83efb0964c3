"""Runs the server until it is told to stop; whatever runs on the nodes goes on.

Only one server runs on a data folder, and on a database: the locks are taken before anything is
read.
"""

import asyncio
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import structlog
import uvicorn
from msgspec.structs import replace
from starlette.types import ASGIApp

from parkade.control.leadership import JointLeadership
from parkade.control.plane import Plane
from parkade.control.uncollected import set_apart
from parkade.loops import fast_loop
from parkade.service import logs
from parkade.service.connections import listening_config
from parkade.service.first import ShowSecret, make_operator, write_token
from parkade.service.folders import make_passage, write_owner_only
from parkade.service.place import settle
from parkade.service.settings import BadSettings, ServiceSettings
from parkade.service.shielding import shield
from parkade.service.standby import Standby, Switch
from parkade.service.systemd import inherited_socket, tell
from parkade.service.wiring import Server, Wires, build, database_leadership, whole_leadership

_log = structlog.get_logger(__name__)

_GRACE_S = 3


class UpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What concerns one start. `token_file`: a token that is made is written there instead of to
    the output; `is_new_token_wanted`: make an operator's token though there is one.
    `is_original_gone`: the data folder is a copy, and takes the place of its original."""

    token_file: Path | None = None
    is_new_token_wanted: bool = False
    is_original_gone: bool = False


class Goodbye:
    """A signal to stop: heard here before uvicorn listens for it, and again when it is done."""

    def __init__(self) -> None:
        self.was_heard = False

    @classmethod
    def listening(cls) -> "Goodbye":
        """One that hears from now on."""
        made = cls()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, made.hear)
        return made

    def hear(self, _number: int, _frame: FrameType | None) -> None:
        """A signal handler."""
        self.was_heard = True


class Serving(uvicorn.Server):
    """Ends the streams it relays before it waits for its answers to be finished."""

    def __init__(self, config: uvicorn.Config, plane: Plane | None) -> None:
        super().__init__(config)
        self.plane = plane

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn; a service manager is told when requests are answered."""
        await super().startup(sockets)
        if self.started:
            tell("READY=1")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn when it was told to stop."""
        tell("STOPPING=1")
        if self.plane is not None:
            self.plane.end_streams()
        await super().shutdown(sockets)


def up(settings: ServiceSettings, options: UpOptions, wires: Wires | None = None) -> None:
    """Starts the server and returns when it has stopped. AlreadyLed, BadSettings, StoreError."""
    logs.configure(settings.log_format)
    shield()
    make_passage(settings.data_folder)
    wires = wires or Wires()
    if settings.standby:
        _up_as_standby(settings, options, wires)
        return
    leadership = whole_leadership(settings, wires.make_leadership, wires.on_fatal)
    leadership.acquire()
    try:
        settle(settings.data_folder, is_original_gone=options.is_original_gone)
        with _listening(settings) as listening:
            server = build(settings, wires, leadership, is_original_gone=options.is_original_gone)
            _serve_with(listening, settings, options, server)
    finally:
        leadership.release()


def _up_as_standby(settings: ServiceSettings, options: UpOptions, wires: Wires) -> None:
    """Listens at once, and leads as soon as no other server does."""
    of_folder = wires.make_leadership(settings.data_folder / "writer.lock")
    of_folder.acquire()
    of_database = database_leadership(settings, wires.on_fatal)
    leadership = JointLeadership((of_folder, of_database))
    standby = Standby(settings, of_database)

    def lead() -> Server:
        return build(
            settings,
            wires,
            leadership,
            is_original_gone=options.is_original_gone,
            recovering=standby.follower.finish,
        )

    try:
        settle(settings.data_folder, is_original_gone=options.is_original_gone)
        with _listening(settings) as listening:
            goodbye = Goodbye.listening()
            _complete(_stand_by(standby, lead, settings, options, goodbye, listening))
    finally:
        leadership.release()


async def _stand_by(
    standby: Standby,
    lead: Callable[[], Server],
    settings: ServiceSettings,
    options: UpOptions,
    goodbye: Goodbye,
    listening: socket.socket,
) -> None:
    switch = Switch(standby.answer)
    serving = _serving(switch, None, settings, goodbye, listening)
    served = asyncio.create_task(serving.serve(sockets=[listening]))
    waiting = asyncio.create_task(asyncio.to_thread(standby.wait))
    try:
        await asyncio.wait({served, waiting}, return_when=asyncio.FIRST_COMPLETED)
        standby.stop()
        if not await waiting or served.done():
            await served
            return
        server = await asyncio.to_thread(lead)

        async def relay() -> None:
            serving.plane, switch.app = server.plane, server.app
            _log.info("leads", note="it took over")
            await served

        try:
            await _run(server, settings, options, listening, relay)
        finally:
            server.store.close()
    except BaseException:
        serving.should_exit = True
        await served
        raise


def _listening(settings: ServiceSettings) -> socket.socket:
    """The socket that a service manager holds, else one of our own; BadSettings."""
    inherited = inherited_socket()
    if inherited is None:
        return listen_on(settings.host, settings.port)
    host = inherited.getsockname()[0]
    try:
        replace(settings, host=host)
    except BadSettings:
        inherited.close()
        raise
    return inherited


def _serve_with(
    listening: socket.socket, settings: ServiceSettings, options: UpOptions, server: Server
) -> None:
    goodbye = Goodbye.listening()

    async def serve() -> None:
        serving = _serving(server.app, server.plane, settings, goodbye, listening)
        await serving.serve(sockets=[listening])

    try:
        _complete(_run(server, settings, options, listening, serve))
    finally:
        server.store.close()


def _complete(serving: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(serving)


async def _run(
    server: Server,
    settings: ServiceSettings,
    options: UpOptions,
    listening: socket.socket,
    serve: Callable[[], Awaitable[None]],
) -> None:
    """Everything beside the answers, while `serve` gives those."""
    show_secret: ShowSecret = print_token
    if options.token_file is not None:
        show_secret = write_token(
            options.token_file, written=settings.data_folder / "token-file.digest"
        )
    set_apart()
    server.plane.start()
    server.console.history.start()
    stop = asyncio.Event()
    try:
        await make_operator(
            server.plane, show_secret=show_secret, is_new_token_wanted=options.is_new_token_wanted
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(server.agents.run(local_url(listening), stop))
            group.create_task(server.telling.run(stop))
            try:
                await serve()
            finally:
                stop.set()
    finally:
        await server.plane.close()
    _log.info("stopped", note="what runs on the nodes goes on")


def _serving(
    app: ASGIApp,
    plane: Plane | None,
    settings: ServiceSettings,
    goodbye: Goodbye,
    listening: socket.socket,
) -> Serving:
    """What is about to answer, and says where."""
    host, port = listening.getsockname()[:2]
    config = listening_config(app, timeout_graceful_shutdown=_GRACE_S, proxies=settings.proxies)
    write_owner_only(settings.data_folder / "port", str(port))
    _log.info("listening", url=f"http://{_in_url(host)}:{port}")
    serving = Serving(config, plane)
    serving.should_exit = goodbye.was_heard
    return serving


def local_url(listening: socket.socket) -> str:
    """Where a process of this machine reaches the server."""
    host, port = listening.getsockname()[:2]
    return f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else _in_url(host)}:{port}"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def listen_on(host: str, port: int) -> socket.socket:
    """A bound socket, taken before anything is made or shown. BadSettings where it is taken.

    It names its protocol, because only where asyncio sees TCP does it switch off the delay that
    would cost small answers 40 ms each.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise BadSettings(
            f"{host}:{port} cannot be had ({error.strerror}): end what listens there, or choose"
            " another --port"
        ) from error
    return listening


def print_token(secret: str) -> None:
    """Shows a token once, on the output, which nothing keeps."""
    print_line = sys.stdout.write
    print_line(f"The operator's token, shown this once:\n\n    {secret}\n\n")
    sys.stdout.flush()
