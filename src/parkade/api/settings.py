"""The API's settings, with the values that an installation begins with."""

import msgspec

from parkade.core.units.bounds import MOST_DOCUMENT_BYTES


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of requests, how long streams may be silent, and the engines that agents can run."""

    unit: str = "USD"
    engines: tuple[str, ...] = ("local",)
    most_body_bytes: int = MOST_DOCUMENT_BYTES
    most_agent_body_bytes: int = 16_777_216
    keep_alive_s: float = 15.0
