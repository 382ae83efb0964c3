"""The API's settings, with the values that an installation begins with."""

import msgspec

from parkade.core.units.bounds import MOST_DOCUMENT_BYTES


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of requests, how long streams may be silent, and the engines that agents can run.

    `body_s`: how long a body may take to arrive. `hosts`: names of the server beside its addresses
    and localhost. `most_streams` may be open in all, `most_streams_per_token` under one token.
    """

    unit: str = "USD"
    engines: tuple[str, ...] = ("local",)
    most_body_bytes: int = MOST_DOCUMENT_BYTES
    most_agent_body_bytes: int = 16_777_216
    keep_alive_s: float = 15.0
    body_s: float = 30.0
    hosts: tuple[str, ...] = ()
    most_streams: int = 512
    most_streams_per_token: int = 16
