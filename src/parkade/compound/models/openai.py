"""An OpenAI-compatible server as a model, or several that serve the same one.

The request on the wire is the call's canonical body, so nothing that an operator asked for is lost
(tools, images, any further option). The key is read from the environment by name when the first
call starts; it stands in one header and nowhere else. Equal prompts go to the same server, where
its prefix cache holds them, unless that one has far more to do than another.
"""

import os
import time
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from zlib import crc32

from parkade.compound.models.answers import completion_from, failure_from
from parkade.compound.models.exchange import Broken, Exchange, Reply
from parkade.compound.models.http import HttpExchange
from parkade.compound.models.protocol import (
    Cancel,
    Done,
    Failure,
    FailureKind,
    Limits,
    Outcome,
    Price,
    bounded,
)
from parkade.compound.values import Call

PATHS = {"chat": "/chat/completions", "completion": "/completions"}
#: A server that could not be reached is passed over for so long.
DOWN_S = 5.0
#: How far a server's load may lie above the least before its prompts go elsewhere.
SPREAD = 8


class _Server:
    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.exchange: Exchange | None = None
        self.down_until = 0.0
        self.base = urlsplit(self.url).path


class OpenAIModel:
    """See `Model`."""

    def __init__(
        self,
        model: str,
        urls: tuple[str, ...],
        *,
        key_env: str | None = None,
        price: Price | None = None,
        max_output_tokens: int | None = None,
        attachment_tokens: int | None = None,
        limits: Limits | None = None,
        timeout_s: float = 600.0,
        headers: dict[str, str] | None = None,
    ) -> None:
        assert urls, "a model needs at least one URL"
        self.identity = model
        self.price = price
        self.max_output_tokens = max_output_tokens
        self.attachment_tokens = attachment_tokens
        self.limits = limits or Limits()
        self._key_env = key_env
        self._headers = headers or {}
        self._timeout_s = timeout_s
        self._servers = [_Server(url) for url in urls]

    def start(self, call: Call, done: Done) -> Cancel:
        """See `Model`."""
        server = self._server(call)
        if server.exchange is None:
            secret = self._secret()
            if self._key_env is not None and not secret:
                # A name in small letters may be a key in its place, and is not shown.
                shown = self._key_env if self._key_env.isupper() else "that key_env names"
                why = f"the environment variable {shown} with the key is not set"
                done(Failure(kind=FailureKind.DENIED, message=why))
                return _nothing
            server.exchange = self._open(server, secret)
        began = time.perf_counter_ns()

        def heard(outcome: Reply | Broken) -> None:
            done(self._outcome(server, call, outcome, began))

        return server.exchange.post(server.base + PATHS[call.kind], call.body, heard)

    async def close(self) -> None:
        """See `Model`."""
        for server in self._servers:
            if server.exchange is not None:
                await server.exchange.close()
                server.exchange = None

    def _server(self, call: Call) -> _Server:
        if len(self._servers) == 1:
            return self._servers[0]
        now = time.monotonic()
        up = [server for server in self._servers if server.down_until <= now] or self._servers
        favourite = up[crc32(call.body) % len(up)]
        least = min(up, key=_load)
        return favourite if _load(favourite) <= _load(least) + SPREAD else least

    def _outcome(self, server: _Server, call: Call, outcome: Reply | Broken, began: int) -> Outcome:
        if isinstance(outcome, Broken):
            if not outcome.was_sent:
                server.down_until = time.monotonic() + DOWN_S
            kind = FailureKind.TIMEOUT if outcome.is_timeout else FailureKind.UNAVAILABLE
            return Failure(kind=kind, message=bounded(outcome.why), may_be_billed=outcome.was_sent)
        if outcome.status == 200:
            latency_us = (time.perf_counter_ns() - began) // 1_000
            return completion_from(outcome.body, call, self.price, latency_us)
        return failure_from(outcome.status, outcome.headers, outcome.body, self._secret())

    def _secret(self) -> str:
        return os.environ.get(self._key_env, "") if self._key_env is not None else ""

    def _open(self, server: _Server, secret: str) -> Exchange:
        headers = {"User-Agent": "parkade", **self._headers}
        if secret:
            headers["Authorization"] = f"Bearer {secret}"
        url = urlsplit(server.url)
        assert url.hostname is not None
        if url.scheme in getproxies() and not proxy_bypass(url.hostname):
            from parkade.compound.models.library import LibraryExchange

            return LibraryExchange(f"{url.scheme}://{url.netloc}", headers, self._timeout_s)
        return HttpExchange(url, headers, self._timeout_s)


def _load(server: _Server) -> int:
    return 0 if server.exchange is None else server.exchange.in_flight


def _nothing() -> None:
    """A call that has ended already needs no cancelling."""
