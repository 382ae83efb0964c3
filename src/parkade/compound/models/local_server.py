"""A model server that a network file starts for itself: any command, and a URL that says ready.

    server:
      command: vllm serve Qwen/Qwen2.5-7B-Instruct --port {port}
      ready: http://127.0.0.1:{port}/health
      timeout: 600                     # seconds from the start until it is ready
    models:
      small: {url: "http://127.0.0.1:{port}/v1", model: Qwen/Qwen2.5-7B-Instruct, max_tokens: 512}

`{port}` is one free port of this machine, the same wherever it stands, so that several workers of
one machine each have a server. The command runs without a shell, with this program's rights and
environment; what it prints goes to this program's standard error. It stops with what started it.
"""

import asyncio
import contextlib
import os
import shlex
import signal
import socket
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import msgspec

from parkade.compound.models.last_words import LastWords
from parkade.compound.network.errors import NetworkError
from parkade.compound.run.progressing import ServerFailed
from parkade.compound.wrong_values import in_words

PORT = "{port}"
LOOK_S = 0.2
ANSWER_S = 5.0
#: For the last lines of a server that has ended.
LAST_S = 2.0
STOP_S = 10.0


class ModelServer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The section `server`."""

    command: str | list[str]
    #: Answers with a status below 400 once the server is ready.
    ready: str
    #: Seconds.
    timeout: float = 600.0

    @property
    def words(self) -> list[str]:
        """The command's words."""
        return shlex.split(self.command) if isinstance(self.command, str) else self.command


def server_from(given: Any, where: str) -> ModelServer | None:
    """The section, checked; NetworkError says what is wrong."""
    if given is None:
        return None
    try:
        server = msgspec.convert(given, ModelServer)
        if not server.words:
            raise ValueError("the command has no words")
    except (msgspec.ValidationError, ValueError) as error:
        raise NetworkError(f"{where}: server: {in_words(error)}") from None
    parts = urlsplit(server.ready)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NetworkError(f"{where}: server.ready: {server.ready!r} is no URL")
    if not 0 < server.timeout < 1e6:
        raise NetworkError(f"{where}: server.timeout: must be a number of seconds above 0")
    return server


def with_port(plain: Any) -> Any:
    """The sections with `{port}` replaced by one free port, in those that may hold it."""
    if not isinstance(plain, dict) or plain.get("server") is None:
        return plain
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    replaced = {
        name: _replaced(plain.get(name), port) for name in ("server", "providers", "models")
    }
    return plain | {name: value for name, value in replaced.items() if name in plain}


def _replaced(value: Any, port: str) -> Any:
    match value:
        case str():
            return value.replace(PORT, port)
        case list():
            return [_replaced(each, port) for each in value]
        case dict():
            return {name: _replaced(each, port) for name, each in value.items()}
        case _:
            return value


@contextlib.asynccontextmanager
async def serving(server: ModelServer | None) -> AsyncIterator[None]:
    """The server runs and is ready inside the block; ServerFailed if it does not come up."""
    if server is None:
        yield
        return
    await _refuse_a_stranger(server)
    try:
        process = await asyncio.create_subprocess_exec(
            *server.words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise ServerFailed(f"the model server cannot be started: {error}") from None
    assert process.stdout is not None
    words = LastWords(process.stdout)
    try:
        await _until_ready(server, process, words)
        yield
    finally:
        await _stop(process)
        words.close()


async def _refuse_a_stranger(server: ModelServer) -> None:
    if await _answers(server.ready):
        raise ServerFailed(
            f"something answers at {server.ready} before the model server was started; "
            "end it, or write {port} in place of the port's number"
        )


async def _until_ready(
    server: ModelServer, process: asyncio.subprocess.Process, words: LastWords
) -> None:
    ended = asyncio.ensure_future(process.wait())
    try:
        async with asyncio.timeout(server.timeout):
            while not await _answers(server.ready):
                await asyncio.wait((ended,), timeout=LOOK_S)
                if ended.done():
                    break
            else:
                return
    except TimeoutError:
        raise ServerFailed(
            f"the model server was not ready after {server.timeout:g} s (server.timeout)",
            words.lines,
        ) from None
    finally:
        ended.cancel()
    await words.until_end(LAST_S)
    raise ServerFailed(
        f"the model server ended with {_status(process.returncode)} before it was ready",
        words.lines,
    )


def _status(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"


async def _answers(url: str) -> bool:
    # A third of what a run imports, and only runs with a server of their own need it.
    import httpx

    async with httpx.AsyncClient(timeout=ANSWER_S, trust_env=False) as client:
        try:
            return (await client.get(url)).status_code < 400
        except httpx.HTTPError:
            return False


async def _stop(process: asyncio.subprocess.Process) -> None:
    """TERM to its group, KILL to what is left after a while."""
    if process.returncode is None:
        _signal(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_S)
    # The group's number is not used again while a member of it lives.
    _signal(process.pid, signal.SIGKILL)
    await process.wait()


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
