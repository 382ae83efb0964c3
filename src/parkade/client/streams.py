"""What both clients share about streams: where they stand, what to ask for, when to give up."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx
import httpx_sse
import msgspec

from parkade import __version__
from parkade.client.errors import Unauthenticated, error_of, unreachable
from parkade.client.flow import AWAY, pause, tries
from parkade.wire.feed import Event
from parkade.wire.problems import problem
from parkade.wire.scalars import format_instant
from parkade.wire.servers import Servers

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
# Where there is another server to ask.
TIMEOUT_OF_SEVERAL = httpx.Timeout(10.0, connect=2.0)
# The server sends a comment line at least every 15 seconds.
SILENCE_S = 45.0


def stream_timeout(*, is_quiet: bool = False) -> httpx.Timeout:
    """A stream that is silent for longer is broken, unless it may be quiet for ever."""
    return httpx.Timeout(None if is_quiet else SILENCE_S, connect=5.0)


def headers_of(token: str | None) -> dict[str, str]:
    """Those of every request; spaces and line breaks around the token are not of it.
    Unauthenticated where there are such within it: no header can hold them, and httpx would show
    the token in its error."""
    headers = {"User-Agent": f"parkade/{__version__}"}
    if token is None:
        return headers
    bare = token.strip()
    if not (bare.isascii() and bare.isprintable() and " " not in bare):
        says = "the token holds a space, a line break or a letter that no token has; paste it anew"
        raise Unauthenticated(problem("unauthenticated", says))
    return {**headers, "Authorization": f"Bearer {bare}"}


class _Resumed:
    """A stream that goes on where its connection was lost: how often that happened in a row."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._failures = 0

    def lost(self, error: httpx.TransportError) -> None:
        """Counts a lost connection; raises Unreachable after the last try."""
        if self._failures >= tries(len(self._servers)) - 1:
            raise unreachable(error, server=str(self._servers)) from error

    def pause_s(self) -> float:
        """Seconds until the next try."""
        self._failures += 1
        return pause(self._failures, servers=len(self._servers))


def refusal(response: httpx.Response, servers: Servers) -> Exception:
    """What to raise for an answer that is no stream: where there is another server to ask, a lost
    connection."""
    if len(servers) > 1 and response.status_code in AWAY:
        return httpx.RemoteProtocolError(f"{response.url.host} answers {response.status_code}")
    return error_of(response)


def next_server(servers: Servers, asked: str, outcome: object) -> str:
    """The base address for the next request, after what came of the last, which went to `asked`:
    as `servers` writes it, for httpx rewrites an address (capitals, :80, :443)."""
    failed = isinstance(outcome, httpx.TransportError) or (
        isinstance(outcome, httpx.Response) and outcome.status_code in AWAY
    )
    return servers.failed(asked) if failed else servers.now


class EventStream(_Resumed):
    """Where the reading of events stands; `after` None is now."""

    def __init__(self, servers: Servers, *, after: int | None, follow: bool) -> None:
        super().__init__(servers)
        self.after = after
        self.follow = follow

    def request(self) -> dict[str, Any]:
        """What to ask for next, as arguments of `connect_sse`."""
        params = {"follow": str(self.follow).lower()}
        if self.after is not None:
            params["after"] = str(self.after)
        return {
            "method": "GET",
            "url": "/v1/events",
            "params": params,
            "timeout": stream_timeout(),
        }

    def take(self, received: httpx_sse.ServerSentEvent) -> Event | None:
        """The event that was received, if it is one; remembers where to go on."""
        self._failures = 0
        if received.id.isdecimal():
            self.after = int(received.id)
        return Event.model_validate_json(received.data) if received.event == "event" else None


class LogPart(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of a workload's output: a rank's, from a byte offset on. `attempt` None: the
    last."""

    rank: int
    offset: int
    follow: bool
    attempt: str | None


class LogStream(_Resumed):
    """Where the reading of a rank's output stands, in bytes."""

    def __init__(self, servers: Servers, workload: str, part: LogPart) -> None:
        super().__init__(servers)
        self._path = f"/v1/workloads/{quote(workload, safe='')}/logs"
        self._part = part
        self._offset = part.offset

    def request(self) -> dict[str, Any]:
        """What to ask for next, as arguments of `stream`."""
        part = self._part
        params = {
            "rank": part.rank,
            "offset": self._offset,
            "follow": str(part.follow).lower(),
            **({} if part.attempt is None else {"attempt": part.attempt}),
        }
        return {
            "method": "GET",
            "url": self._path,
            "params": params,
            "timeout": stream_timeout(is_quiet=part.follow),
        }

    def take(self, chunk: bytes) -> bytes:
        """What was received; remembers where to go on."""
        self._failures = 0
        self._offset += len(chunk)
        return chunk


def costs_request(
    org: str | None, start: datetime | None, end: datetime | None, form: str
) -> dict[str, Any]:
    """What to ask for as arguments of `stream`. The file is not resumed: it is told as of one
    commit."""
    first, last = (None if each is None else format_instant(each) for each in (start, end))
    asked = {"org": org, "start": first, "end": last, "format": form}
    params = {name: value for name, value in asked.items() if value is not None}
    return {"method": "GET", "url": "/v1/costs", "params": params, "timeout": TIMEOUT}
