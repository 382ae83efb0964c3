"""An OpenAI-compatible server as a model, or several that serve the same one.

The request on the wire is the call's canonical body, so nothing that an operator asked for is lost
(tools, images, any further option). The key is read from the environment by name when the first
call starts; it stands in one header and nowhere else. Equal prompts go to the same server, where
its prefix cache holds them, unless that one has far more to do than another.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from zlib import crc32

import msgspec

from parkade.compound.models.answers import DENIED, completion_from, failure_from
from parkade.compound.models.exchange import Broken, Exchange, HttpReply
from parkade.compound.models.http import HttpExchange
from parkade.compound.models.protocol import (
    MAX_MESSAGE,
    PLAIN_BOUNDS,
    Cancel,
    Done,
    Failure,
    FailureKind,
    Price,
    RateLimits,
    TokenBounds,
    bounded,
)
from parkade.compound.models.samples import Joining
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
        bounds: TokenBounds = PLAIN_BOUNDS,
        limits: RateLimits | None = None,
        timeout_s: float = 600.0,
        headers: dict[str, str] | None = None,
        samples_per_request: int = 1,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        assert urls, "a model needs at least one URL"
        assert samples_per_request >= 1
        self.identity = model
        self.price = price
        self.max_output_tokens = max_output_tokens
        self.bounds = bounds
        self.limits = limits or RateLimits()
        self.options = dict(options or {})
        self._key_env = key_env
        self._headers = headers or {}
        self._timeout_s = timeout_s
        self._servers = [_Server(url) for url in urls]
        self._joining = (
            Joining(samples_per_request, price, self._post_timed, self._failure)
            if samples_per_request > 1
            else None
        )

    @property
    def urls(self) -> tuple[str, ...]:
        """Its servers, without a slash at the end."""
        return tuple(server.url for server in self._servers)

    def headers(self) -> dict[str, str]:
        """What each request has; KeyError says that the key is not set."""
        secret = self._secret()
        if self._key_env is not None and not secret:
            raise KeyError(_no_key(self._key_env).why)
        headers = {"User-Agent": "parkade", **self._headers}
        return {**headers, "Authorization": f"Bearer {secret}"} if secret else headers

    def start(self, call: Call, done: Done) -> Cancel:
        """See `Model`."""
        if self._joining is not None:
            return self._joining.start(call, done)

        def heard(outcome: HttpReply | Broken, took_us: int) -> None:
            if isinstance(outcome, HttpReply) and outcome.status == 200:
                done(completion_from(outcome.body, call, self.price, took_us))
            else:
                done(self._failure(outcome))

        return self._post_timed(call, call.body, heard)

    def _post_timed(
        self, call: Call, body: bytes, timed: Callable[[HttpReply | Broken, int], None]
    ) -> Cancel:
        """Post to the server that suits the call; `timed` hears of the reply and how long it took.

        Where that one is not reached, another one that is not set aside is asked. A key that is
        not set is heard of in the same way.
        """
        cancels: list[Cancel] = []

        def post() -> None:
            server = self._server(call)
            exchange = server.exchange
            if exchange is None:
                if self._key_env is not None and not self._secret():
                    timed(_no_key(self._key_env), 0)
                    cancels.append(_nothing)
                    return
                exchange = server.exchange = self._open(server)
            began = time.perf_counter_ns()

            def heard(outcome: HttpReply | Broken) -> None:
                if isinstance(outcome, Broken) and (not outcome.was_sent or outcome.is_timeout):
                    server.down_until = time.monotonic() + DOWN_S
                    if not outcome.was_sent and self._has_other():
                        post()
                        return
                if isinstance(outcome, HttpReply) and outcome.status in DENIED:
                    url = server.url + PATHS[call.kind]
                    outcome = msgspec.structs.replace(outcome, url=url)
                timed(self._masked(outcome), (time.perf_counter_ns() - began) // 1_000)

            cancels.append(exchange.post(server.base + PATHS[call.kind], body, heard))

        post()
        return lambda: cancels[-1]()

    def _has_other(self) -> bool:
        """Whether an address is not set aside."""
        now = time.monotonic()
        return any(server.down_until <= now for server in self._servers)

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

    def _failure(self, outcome: HttpReply | Broken) -> Failure:
        if isinstance(outcome, Broken):
            kind = FailureKind.TIMEOUT if outcome.is_timeout else FailureKind.UNAVAILABLE
            kind = FailureKind.DENIED if outcome.is_denied else kind
            return Failure(
                kind=kind,
                message=bounded(outcome.why),
                may_be_billed=outcome.was_sent,
                is_unreached=not outcome.was_sent,
            )
        failure = failure_from(outcome.status, outcome.headers, outcome.body)
        if not outcome.url:
            return failure
        where = f" ({outcome.url}; {self.key_in_words(outcome.status)})"
        message = bounded(failure.message, MAX_MESSAGE - len(where))
        return msgspec.structs.replace(failure, message=bounded(message + where))

    def key_in_words(self, status: int) -> str:
        """What to look at when a server refuses: its key, or the model's name."""
        if status == 404:
            return f"is {self.identity!r} a model of it?"
        if self._key_env is None:
            return "no key was sent: key_env names the variable that holds it"
        return f"the key is that of {_variable(self._key_env)}"

    def _masked(self, outcome: HttpReply | Broken) -> HttpReply | Broken:
        """The reply without our key, which a server may repeat in whatever it answers."""
        secret = self._secret().encode()
        if not secret or isinstance(outcome, Broken) or secret not in outcome.body:
            return outcome
        return msgspec.structs.replace(outcome, body=bytes(outcome.body).replace(secret, b"***"))

    def _secret(self) -> str:
        return os.environ.get(self._key_env, "") if self._key_env is not None else ""

    def _open(self, server: _Server) -> Exchange:
        headers = self.headers()
        url = urlsplit(server.url)
        assert url.hostname is not None
        if url.scheme in getproxies() and not proxy_bypass(url.hostname):
            from parkade.compound.models.library import LibraryExchange

            return LibraryExchange(f"{url.scheme}://{url.netloc}", headers, self._timeout_s)
        return HttpExchange(url, headers, self._timeout_s)


def _load(server: _Server) -> int:
    return 0 if server.exchange is None else server.exchange.in_flight


def _variable(key_env: str) -> str:
    # A name in small letters may be a key in its place, and is not shown.
    return f"the environment variable {key_env if key_env.isupper() else 'that key_env names'}"


def _no_key(key_env: str) -> Broken:
    why = f"{_variable(key_env)} with the key is not set"
    return Broken(why, is_timeout=False, was_sent=False, is_denied=True)


def _nothing() -> None:
    """A call that has ended already needs no cancelling."""
