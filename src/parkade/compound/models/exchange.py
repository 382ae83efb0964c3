"""The small interface to HTTP: post a body, hear of the reply once, cancel.

Two implementations: `http` (own protocol over asyncio, for direct connections) and `library`
(httpx, where a proxy stands between). Decision 20 says why there are two.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

import msgspec

MAX_REPLY_BYTES = 64 * 1024 * 1024
MAX_HEAD_BYTES = 64 * 1024


class HttpReply(msgspec.Struct, frozen=True, gc=False):
    """A whole response; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    #: Which URL said so, where a person must know.
    url: str = ""


class Broken(msgspec.Struct, frozen=True, gc=False):
    """No whole response came."""

    why: str
    #: No answer within the time given.
    is_timeout: bool
    #: The request may have been read by the server.
    was_sent: bool
    #: No server was asked, and none can be.
    is_denied: bool = False


Heard: TypeAlias = Callable[[HttpReply | Broken], None]


class Exchange(Protocol):
    """Posts to one origin."""

    in_flight: int

    def post(self, path: str, body: bytes, heard: Heard) -> Callable[[], bool | None]:
        """Send a JSON body; `heard` is called once unless the returned function cancels first.

        That function says True where nothing was sent.
        """
        ...

    async def close(self) -> None:
        """End all connections."""
        ...
