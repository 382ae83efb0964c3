"""A node that a right lacked: what an availability credit rests on."""

import msgspec

from parkade.core.fleet.node import Health

MOST_MISSING = 64


class MissingNode(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`since_us`: since when at the latest; `why` in words for a person; `incident` tells more."""

    node: str
    since_us: int
    health: Health
    why: str
    incident: str | None
