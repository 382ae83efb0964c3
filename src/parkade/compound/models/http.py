"""HTTP/1.1 posts over asyncio, for the hot path: one object a connection, no task a request.

It speaks what servers of models speak: keep-alive, bodies with a length, chunked or until the end
(`http_reply` reads them), TLS by the standard library. A connection carries one request at a time,
so what waits to be written is one body at most; a reply larger than `MAX_REPLY_BYTES` ends the
connection, and one that is not whole in time does, however steadily its bytes drip. It sends no
`Accept-Encoding`, follows no redirect and knows no proxy: `library` does where one is set.

A kept connection that the server closes before the first byte of a reply was closed while idle:
the request was not read, and the failure says so. Time-outs are looked for by one timer a second
for all connections together.
"""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Callable
from typing import cast
from urllib.parse import SplitResult

from parkade.compound.models.exchange import Broken, Heard, HttpReply
from parkade.compound.models.http_reply import BadReply, ReplyReader

SWEEP_S = 1.0
CONNECT_S = 30.0
#: Idle connections beyond this are closed.
MAX_IDLE = 1_024
#: Why a handshake fails that no later one mends: a server without TLS, a certificate not trusted.
HOPELESS = frozenset({"WRONG_VERSION_NUMBER", "CERTIFICATE_VERIFY_FAILED"})


class Connection(asyncio.Protocol):
    """One connection; carries one exchange at a time."""

    __slots__ = (
        "_pool",
        "_reader",
        "_transport",
        "deadline",
        "heard",
        "is_reused",
        "keeps",
    )

    def __init__(self, pool: "HttpExchange") -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._reader = ReplyReader()
        self.heard: Heard | None = None
        self.deadline = 0.0
        self.is_reused = False
        self.keeps = True

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not asyncio's by type.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.heard is None:
            # Nothing was asked: the server says something out of turn, and is not trusted further.
            self.abort()
            return
        try:
            reply = self._reader.feed(data)
        except BadReply as error:
            self._fail(str(error))
            return
        if reply is not None:
            self.keeps = self._reader.keeps
            self._end(reply)

    def eof_received(self) -> bool:
        reply = None if self.heard is None else self._reader.end()
        if reply is not None:
            self.keeps = False
            self._end(reply)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.lost(self)
        if self.heard is not None:
            was_idle = self.is_reused and not self._reader.has_begun
            self._end(
                Broken(
                    f"the connection was lost{'' if exc is None else f': {exc}'}",
                    is_timeout=False,
                    was_sent=not was_idle,
                )
            )

    # ------------------------------------------------------------ exchanges

    def send(self, request: bytes, heard: Heard, deadline: float) -> None:
        assert self._transport is not None
        assert self.heard is None
        self.heard = heard
        self.deadline = deadline
        self._transport.write(request)

    def abort(self) -> None:
        """Drop the connection; nothing is heard."""
        self.heard = None
        self.keeps = False
        if self._transport is not None:
            self._transport.abort()

    def time_out(self, limit_s: float) -> None:
        self._fail(f"no answer in {limit_s:g} s", is_timeout=True)

    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def _fail(self, why: str, *, is_timeout: bool = False) -> None:
        self.keeps = False
        self._end(Broken(why, is_timeout=is_timeout, was_sent=True))
        self.abort()

    def _end(self, outcome: HttpReply | Broken) -> None:
        heard, self.heard = self.heard, None
        assert heard is not None
        self._pool.ended(self)
        heard(outcome)


class HttpExchange:
    """Posts to one origin over connections of its own."""

    def __init__(self, url: SplitResult, headers: dict[str, str], timeout_s: float) -> None:
        assert url.hostname is not None
        self.in_flight = 0
        self._host = url.hostname
        self._is_tls = url.scheme == "https"
        self._port = url.port or (443 if self._is_tls else 80)
        self._timeout_s = timeout_s
        self._heads: dict[str, bytes] = {}
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._netloc = url.netloc.rpartition("@")[2]
        self._tls: ssl.SSLContext | None = None
        self._idle: list[Connection] = []
        self._busy: dict[Connection, None] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    def post(self, path: str, body: bytes, heard: Heard) -> Callable[[], bool | None]:
        """See `Exchange`."""
        request = b"%b%d\r\n\r\n%b" % (self._head(path), len(body), body)
        self.in_flight += 1
        deadline = time.monotonic() + self._timeout_s
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open():
                connection.is_reused = True
                return self._send(connection, request, heard, deadline)
        return self._connect(request, heard, deadline)

    async def close(self) -> None:
        """See `Exchange`."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for task in tuple(self._connecting):
            task.cancel()
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()
        self._busy.clear()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        # Transports close in the turn of the loop after this one.
        await asyncio.sleep(0)

    # ------------------------------------------------------------ what connections tell

    def ended(self, connection: Connection) -> None:
        """An exchange is over; the connection may carry the next one."""
        if self._busy.pop(connection, _ABSENT) is not _ABSENT:
            self.in_flight -= 1
        if connection.keeps and connection.is_open() and len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        elif connection.is_open():
            connection.abort()

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""
        if connection in self._idle:
            self._idle.remove(connection)

    # ------------------------------------------------------------ inside

    def _head(self, path: str) -> bytes:
        head = self._heads.get(path)
        if head is None:
            head = (
                f"POST {path} HTTP/1.1\r\nHost: {self._netloc}\r\n{self._fixed}"
                "Content-Type: application/json\r\nAccept: application/json\r\nContent-Length: "
            ).encode("latin-1")
            self._heads[path] = head
        return head

    def _send(
        self, connection: Connection, request: bytes, heard: Heard, deadline: float
    ) -> Callable[[], bool | None]:
        self._busy[connection] = None
        connection.send(request, heard, deadline)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

        def cancel() -> None:
            if connection.heard is heard:
                if self._busy.pop(connection, _ABSENT) is not _ABSENT:
                    self.in_flight -= 1
                connection.abort()

        return cancel

    def _connect(self, request: bytes, heard: Heard, deadline: float) -> Callable[[], bool | None]:
        cancels: list[Callable[[], bool | None]] = []

        async def connect() -> None:
            try:
                connection = await self._opened()
            except (OSError, TimeoutError, ssl.SSLError, UnicodeError) as error:
                self.in_flight -= 1
                heard(_unreachable(self._netloc, error))
                return
            cancels.append(self._send(connection, request, heard, deadline))

        task = asyncio.get_running_loop().create_task(connect())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

        def cancel() -> bool | None:
            if cancels:
                return cancels[0]()
            if not task.done():
                self.in_flight -= 1
                task.cancel()
            return True

        return cancel

    async def _opened(self) -> Connection:
        if self._is_tls and self._tls is None:
            self._tls = ssl.create_default_context()
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_S):
            _, connection = await loop.create_connection(
                lambda: Connection(self), self._host, self._port, ssl=self._tls
            )
        return connection

    def _sweep(self) -> None:
        now = time.monotonic()
        late = [connection for connection in self._busy if connection.deadline < now]
        for connection in late:
            connection.time_out(self._timeout_s)
        self._sweeper = (
            asyncio.get_running_loop().call_later(SWEEP_S, self._sweep) if self._busy else None
        )


_ABSENT = object()


def _in_words(error: Exception) -> str:
    """`Connection refused`; loops put numbers and addresses around it, each its own way."""
    if isinstance(error, socket.gaierror):
        return f"{error.strerror or error}; is the host's name right?"
    number = getattr(error, "errno", None)
    return os.strerror(number) if type(error).__module__ == "builtins" and number else str(error)


def _unreachable(netloc: str, error: Exception) -> Broken:
    is_timeout = isinstance(error, TimeoutError) and not str(error)
    why = "it did not accept a connection in time" if is_timeout else _in_words(error)
    text = f"cannot connect to {netloc}: {why}"
    if isinstance(error, ssl.SSLError) and error.reason in HOPELESS:
        text += "; correct the url (http or https?) or the certificate"
        return Broken(text, is_timeout=False, was_sent=False, is_denied=True)
    return Broken(text, is_timeout=False, was_sent=False)
