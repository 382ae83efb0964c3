"""Idle connections lock no client out: heads must come in time, answers must be read (`unread`),
and the oldest gives way.

A connection is *half-open* until the head of its first request is whole, and again while the head
of a later one comes in pieces; it is *idle* between requests. uvicorn bounds idleness only. Here a
head has `head_s`; of too many half-open ones the oldest is closed; and where all connections come
near the number of files that the process may open, the oldest half-open one gives way, then the
oldest idle one, then the oldest whose client does not read. No other request that is being answered
does.
"""

import asyncio
import functools
from collections.abc import Sequence
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from parkade.open_files import raise_file_limit
from parkade.service.framing import BoundedProtocol
from parkade.service.unread import MOST_UNREAD, UNREAD_S, Unread

HEAD_S = 10.0
MOST_HALF_OPEN = 256
# Files that the server needs for itself: journal, agents' pipes, sockets on their way.
OWN_FILES = 128
MOST_CONNECTIONS = 16_384
# Longer than clients keep an idle connection, so that none is closed under a request.
KEEP_ALIVE_S = 30


class Lobby:
    """Connections that ask nothing now, oldest first. Used in one event loop."""

    def __init__(self, *, head_s: float, most_half_open: int, most: int, unread: Unread) -> None:
        assert 0 < most_half_open <= most
        self.head_s = head_s
        self.unread = unread
        self._most_half_open = most_half_open
        self._most = most
        self._half_open: dict[LobbyProtocol, asyncio.TimerHandle] = {}
        self._idle: dict[LobbyProtocol, None] = {}

    def half_open(self, one: "LobbyProtocol") -> None:
        """The head of a request is awaited; the time runs from the first call on."""
        self._idle.pop(one, None)
        if one in self._half_open:
            return
        loop = asyncio.get_running_loop()
        self._half_open[one] = loop.call_later(self.head_s, self._close, one)
        if len(self._half_open) > self._most_half_open:
            self._close(next(iter(self._half_open)))

    def busy(self, one: "LobbyProtocol") -> None:
        """A whole head came, or the connection is gone."""
        self._idle.pop(one, None)
        timer = self._half_open.pop(one, None)
        if timer is not None:
            timer.cancel()

    def idle(self, one: "LobbyProtocol") -> None:
        """It was answered."""
        self.busy(one)
        self._idle[one] = None

    def make_room(self, connections: int) -> None:
        """Closes the one that matters least where there are too many."""
        if connections > self._most:
            for oldest in (*self._half_open, *self._idle):
                self._close(oldest)
                return
            self.unread.make_room()

    def _close(self, one: "LobbyProtocol") -> None:
        self.busy(one)
        one.transport.close()
        self.unread.begin(one)


class LobbyProtocol(BoundedProtocol):
    """The protocol, which tells the lobby what it waits for."""

    def __init__(self, *args: Any, lobby: Lobby, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A path may hold the code of a login; uvicorn asks its loggers, which others share.
        self.access_log = False
        self._lobby = lobby

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._lobby.half_open(self)
        self._lobby.make_room(len(self.connections))

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        super().data_received(data)
        is_asked = bool(self.cycle) and not self.cycle.response_complete
        if is_asked:
            self._lobby.busy(self)
        elif self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self._lobby.half_open(self)

    def on_response_complete(self) -> None:
        """Called by uvicorn after each answer."""
        super().on_response_complete()
        self._lobby.unread.begin(self)
        if self.cycle.response_complete and self.timeout_keep_alive_task is not None:
            self._lobby.idle(self)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`: much of an answer is not read."""
        super().pause_writing()
        self._lobby.unread.begin(self)

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().resume_writing()
        self._lobby.unread.end(self)

    def unread_bytes(self) -> int:
        """See `unread.Connection`."""
        return self.transport.get_write_buffer_size()

    def give_up(self) -> None:
        """See `unread.Connection`."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._lobby.busy(self)
        self._lobby.unread.end(self)
        super().connection_lost(exc)


def listening_config(
    app: ASGIApp,
    *,
    head_s: float = HEAD_S,
    most_half_open: int = MOST_HALF_OPEN,
    unread_s: float = UNREAD_S,
    most_unread: int = MOST_UNREAD,
    proxies: Sequence[str] = (),
    **more: Any,
) -> uvicorn.Config:
    """uvicorn's settings, with a lobby. Raises the process's limit of open files. `proxies`: whose
    word is taken for where a request comes from (X-Forwarded-For, X-Forwarded-Proto)."""
    most = max(2, min(raise_file_limit(MOST_CONNECTIONS + OWN_FILES) - OWN_FILES, MOST_CONNECTIONS))
    unread = Unread(unread_s=unread_s, most=most_unread)
    lobby = Lobby(head_s=head_s, most_half_open=min(most_half_open, most), most=most, unread=unread)
    protocol: Any = functools.partial(LobbyProtocol, lobby=lobby)
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        timeout_keep_alive=KEEP_ALIVE_S,
        **more,
    )
