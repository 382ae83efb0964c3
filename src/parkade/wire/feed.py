"""Events on the wire, as the caller may see them."""

from typing import Any

from pydantic import Field

from parkade.wire.model import Answer
from parkade.wire.scalars import Instant, Span


class Event(Answer):
    """One event of the journal as the caller may see it; `says` is one line for people.

    `by` is the user that asked for it: None where it followed by itself, or another org's user
    asked; `operator` is any operator. `detail` holds what belongs to this type; its money is
    decimal text, its instants RFC 3339.
    """

    sequence: int
    type: str
    at: Instant
    by: str | None = None
    org: str | None = None
    market: str | None = None
    workload: str | None = None
    reservation: str | None = None
    claim: str | None = None
    node: str | None = None
    says: str
    detail: dict[str, Any] = Field(default_factory=dict)


class Caller(Answer):
    """The user of the token."""

    user: str
    org: str
    role: str
    server: str


class Standing(Answer):
    """How the server stands.

    `engine_silent_pools`: their agents are there, and the engine, like Slurm, does not answer them.
    `is_clock_doubted`: the clock jumped ahead, and clearing waits until an operator confirms it.
    `clock_behind`: so far the machine's clock is behind the server's present, which goes on at the
    pace of a clock that cannot be set. `refusing_pools`: their agents are heard and refuse this
    server's orders, as after a backup was put back.
    """

    server: str
    is_running: bool
    is_clock_doubted: bool
    clock_behind: Span
    frozen_markets: tuple[str, ...]
    silent_pools: tuple[str, ...]
    refusing_pools: tuple[str, ...] = ()
    engine_silent_pools: tuple[str, ...] = ()


class Confirmed(Answer):
    """It is done; `sequence` is the journal's position after it."""

    sequence: int
