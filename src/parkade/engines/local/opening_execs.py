"""The engine's end of a command beside a rank: its pipes or terminal, and the word of its keeper.

Nothing is read ahead: what its reader does not take stays in the pipe, and the command waits there.
See `execs` for the keeper's end.
"""

import asyncio
import contextlib
import fcntl
import os
import re
import socket
import struct
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from parkade.engines.local.execs import EXECS, ExecOrder, ExecWord
from parkade.ports import (
    EngineError,
    ExecChunk,
    ExecEnd,
    ExecRequest,
    InvalidSpec,
    Transient,
    Window,
)
from parkade.ports.execs import MOST_CHUNK_BYTES, MOST_WORDS_BYTES, STDERR, STDOUT

ANSWER_S = 20.0
"""A keeper looks ten times a second; a machine may be loaded."""
HUNG_UP_S = 0.05
END_OF_INPUT = b"\x04"
_word = msgspec.json.Decoder(ExecWord)


class LocalExec:
    """Implements `ports.ExecSession`."""

    def __init__(
        self, connection: socket.socket, *, readers: dict[str, int], writer: int, terminal: bool
    ) -> None:
        self._connection = connection
        self._readers = readers
        self._writer = writer
        self._terminal = terminal
        self._descriptors = {*readers.values(), writer}
        self._end: asyncio.Future[ExecEnd] = asyncio.get_running_loop().create_future()
        self._watching = asyncio.ensure_future(self._watch())

    async def read(self) -> ExecChunk | None:
        """See `ports.ExecSession`."""
        while True:
            is_over, is_hung_up = self._end.done(), False
            for stream, descriptor in list(self._readers.items()):
                content = self._read_now(descriptor)
                if content:
                    # The other stream is looked at first the next time.
                    self._readers[stream] = self._readers.pop(stream)
                    return ExecChunk(stream=stream, content=content)
                if content is not None and self._terminal:
                    is_hung_up = True
                elif content is not None:
                    del self._readers[stream]
            if is_over:
                return None
            await self._wait_for_output(is_hung_up=is_hung_up)

    def _read_now(self, descriptor: int) -> bytes | None:
        """Empty: its last writer has gone; None: there is nothing now."""
        try:
            return os.read(descriptor, MOST_CHUNK_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            # Of a terminal that no process has open at the moment.
            return b""

    async def _wait_for_output(self, *, is_hung_up: bool) -> None:
        """A terminal that is hung up is always readable, and may be opened again."""
        if is_hung_up:
            await asyncio.wait({self._end}, timeout=HUNG_UP_S)
            return
        loop = asyncio.get_running_loop()
        await self._ready(list(self._readers.values()), loop.add_reader, loop.remove_reader)

    async def _ready(
        self,
        descriptors: list[int],
        add: Callable[..., object],
        remove: Callable[[int], object],
    ) -> None:
        """Returns once one of them is ready, or all is over."""
        ready = asyncio.Event()
        for descriptor in descriptors:
            add(descriptor, ready.set)
        waiting = asyncio.ensure_future(ready.wait())
        either: set[asyncio.Future[Any]] = {waiting, self._end}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            for descriptor in descriptors:
                remove(descriptor)

    async def write(self, content: bytes) -> None:
        """See `ports.ExecSession`."""
        loop = asyncio.get_running_loop()
        left = memoryview(content)
        while left and self._writer in self._descriptors and not self._end.done():
            try:
                left = left[os.write(self._writer, left) :]
            except BlockingIOError:
                await self._ready([self._writer], loop.add_writer, loop.remove_writer)
            except OSError:
                # The command closed its input.
                return

    async def end_input(self) -> None:
        """See `ports.ExecSession`."""
        if self._terminal:
            await self.write(END_OF_INPUT)
        elif self._writer in self._descriptors:
            self._descriptors.discard(self._writer)
            os.close(self._writer)

    def resize(self, window: Window) -> None:
        """See `ports.ExecSession`."""
        if self._terminal:
            _set_size(self._writer, window)

    async def ended(self) -> ExecEnd:
        """See `ports.ExecSession`."""
        return await asyncio.shield(self._end)

    def close(self) -> None:
        """See `ports.ExecSession`; nothing of it is waited for any more."""
        self._watching.cancel()
        self._connection.close()
        if not self._end.done():
            self._end.set_result(ExecEnd(why="it was let go"))
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = set()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            content = await loop.sock_recv(self._connection, MOST_CHUNK_BYTES)
        except OSError:
            content = b""
        if not content:
            self._end.set_result(ExecEnd(why="its keeper was lost"))
            return
        word = _word.decode(content)
        self._end.set_result(ExecEnd(code=word.code, signal=word.signal, why=word.why))


async def open_exec(folder: Path, request: ExecRequest, poke: Callable[[], object]) -> LocalExec:
    """Returns once the command runs in the attempt of that folder; `poke` makes its keeper look.
    EngineError where it does not begin."""
    if not re.fullmatch("[0-9a-f]{8,64}", request.session):
        raise InvalidSpec("session: it has no good name")
    size = sum(len(word.encode(errors="surrogatepass")) for word in request.words)
    if not request.words or size > MOST_WORDS_BYTES or any("\0" in it for it in request.words):
        raise InvalidSpec(f"command: it has 1 to {MOST_WORDS_BYTES} bytes, and no NUL")
    try:
        async with asyncio.timeout(ANSWER_S):
            connection = await _meet(folder / EXECS, request.session, poke)
            try:
                return await _begin(connection, request)
            except BaseException:
                connection.close()
                raise
    except TimeoutError:
        raise Transient("the keeper of the attempt does not answer") from None


async def _meet(home: Path, name: str, poke: Callable[[], object]) -> socket.socket:
    """The connection of the keeper, which finds the socket in the attempt's folder."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(home, 0o700)  # noqa: PTH102
    place = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.setblocking(False)
        try:
            listening.bind(f"/proc/self/fd/{place}/{name}")
            listening.listen(1)
            poke()
            connection, _ = await asyncio.get_running_loop().sock_accept(listening)
        finally:
            os.close(place)
            with contextlib.suppress(OSError):
                os.unlink(home / name)  # noqa: PTH108
    connection.setblocking(False)
    return connection


async def _begin(connection: socket.socket, request: ExecRequest) -> LocalExec:
    """Hands over the order with the far ends; ours are closed where it does not begin."""
    ours, theirs = _terminal(request.window) if request.window else _pipes()
    try:
        order = ExecOrder(
            session=request.session,
            index=request.rank,
            words=request.words,
            term=None if request.window is None else request.term,
        )
        socket.send_fds(connection, [msgspec.json.encode(order)], theirs)
        content = await asyncio.get_running_loop().sock_recv(connection, MOST_CHUNK_BYTES)
        word = _word.decode(content) if content else ExecWord(why="its keeper was lost")
        if not word.has_begun:
            raise EngineError(word.why)
    except BaseException as error:
        for descriptor in set(ours.values()):
            os.close(descriptor)
        if isinstance(error, OSError):
            raise EngineError(f"the command cannot be handed over: {error.strerror}") from error
        raise
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    writer = ours.pop("stdin")
    return LocalExec(connection, readers=ours, writer=writer, terminal=request.window is not None)


def _pipes() -> tuple[dict[str, int], list[int]]:
    """Our ends by their stream, and theirs in the order of their numbers."""
    (read_in, write_in), (read_out, write_out), (read_err, write_err) = (
        os.pipe() for _ in range(3)
    )
    ours = {"stdin": write_in, STDOUT: read_out, STDERR: read_err}
    for descriptor in ours.values():
        os.set_blocking(descriptor, False)
    return ours, [read_in, write_out, write_err]


def _terminal(window: Window) -> tuple[dict[str, int], list[int]]:
    """The same of a new terminal: its one end of ours is read and written."""
    ours, theirs = os.openpty()
    _set_size(ours, window)
    os.set_blocking(ours, False)
    return {"stdin": ours, STDOUT: ours}, [theirs]


def _set_size(terminal: int, window: Window) -> None:
    size = struct.pack("HHHH", window.rows, window.columns, 0, 0)
    with contextlib.suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
