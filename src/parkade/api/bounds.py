"""What a request may be before any route sees it: its host, its framing, its size and its pace.

No request is larger than its bound, whether or not it says how large it is, and none takes longer
to arrive than `body_s`. One that tells its length in two ways is refused, because a proxy before
the server may have read the other one. A name that is not the server's own is refused: a page of
another site whose name was pointed at this machine (DNS rebinding) speaks under that name.
"""

import asyncio
import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parkade.api.problems import Refusals
from parkade.api.settings import ApiSettings
from parkade.wire.problems import Problem, problem


class RequestBounds:
    """An ASGI layer that answers before more than the bounds is held in memory, or waited for."""

    def __init__(self, app: ASGIApp, settings: ApiSettings, refusals: Refusals) -> None:
        self._app = app
        self._refusals = refusals
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes requests on within the bounds of their path."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._settings.most_body_bytes
        if scope["path"].startswith("/v1/pools/"):
            most = self._settings.most_agent_body_bytes
        refused = _unfit(scope["headers"], most, self._settings.hosts)
        if refused is not None:
            await _close_with(self._refusals, refused)(scope, receive, send)
            return
        await self._pass_on(scope, _Body(receive, most, self._settings.body_s), send)

    async def _pass_on(self, scope: Scope, body: "_Body", send: Send) -> None:
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, body.receive, watched)
        except _Over as over:
            if not has_begun:
                await _close_with(self._refusals, over.problem)(scope, body.receive, send)


class _Over(BaseException):
    """More or slower than may be; not an Exception, so that no handler takes it for a bug."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class _Body:
    """Counts what comes, and how long it takes."""

    def __init__(self, receive: Receive, most: int, body_s: float) -> None:
        self._receive = receive
        self._most = most
        self._body_s = body_s
        self._ends_at = asyncio.get_running_loop().time() + body_s
        self._taken = 0
        self._is_whole = False

    async def receive(self) -> Message:
        """The next part; `_Over` where it is too large or too late."""
        try:
            async with asyncio.timeout_at(None if self._is_whole else self._ends_at):
                message = await self._receive()
        except TimeoutError:
            says = f"the body did not arrive within {self._body_s:g} s"
            raise _Over(problem("too_slow", says)) from None
        self._taken += len(message.get("body", b""))
        self._is_whole = self._is_whole or not message.get("more_body", False)
        if self._taken > self._most:
            raise _Over(_too_large(self._most))
        return message


def _unfit(
    headers: Iterable[tuple[bytes, bytes]], most: int, hosts: tuple[str, ...]
) -> Problem | None:
    lengths = {value.strip() for name, value in headers if name == b"content-length"}
    names = [name for name, _ in headers]
    if lengths and b"transfer-encoding" in names:
        return problem("invalid", "send Content-Length or Transfer-Encoding, not both")
    if len(lengths) > 1 or not all(length.isdigit() for length in lengths):
        return problem("invalid", "Content-Length: send one whole number")
    if any(len(length) > 18 or int(length) > most for length in lengths):
        return _too_large(most)
    named = [value.decode("latin-1") for name, value in headers if name == b"host"]
    if len(named) != 1 or not _is_known_host(named[0], hosts):
        return problem(
            "misdirected",
            f"this server is not called {', '.join(named)[:200] or 'nothing'}; where it is, its"
            " operator names it in the setting `hosts`",
        )
    return None


def _is_known_host(host: str, hosts: tuple[str, ...]) -> bool:
    """As `is_own_host`; an answer for a name of a usual length is remembered."""
    return (_own_host if len(host) <= _LONGEST_NAME else is_own_host)(host, hosts)


# No `%`: what follows it in an address of IPv6 may be any text.
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:(?P<port>[0-9]{1,5}))?", re.ASCII)


def is_own_host(host: str, hosts: tuple[str, ...]) -> bool:
    """Whether a Host header names this server: by an address, as localhost, or by one of `hosts`.

    An address needs no list: a name alone can be pointed at a machine by a stranger.
    """
    parts = _HOST.fullmatch(host)
    if parts is None or int(parts["port"] or 0) > 65_535:
        return False
    if parts["name"].lower().rstrip(".") in ("localhost", *(own.lower() for own in hosts)):
        return True
    try:
        ipaddress.ip_address(parts["name"].removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


_LONGEST_NAME = 255
_own_host = lru_cache(maxsize=256)(is_own_host)


def _too_large(most: int) -> Problem:
    return problem("body_too_large", f"the body is larger than {most} bytes")


def _close_with(refusals: Refusals, refused: Problem) -> ASGIApp:
    """The answer, and the end of the connection, as what follows on it cannot be trusted. Not where
    a body is too large: its sender still sends, and would not read the answer to the end."""
    response = refusals.answer(refused)
    if refused.code != "body_too_large":
        response.headers["Connection"] = "close"
    return response
