"""What the control plane hands out and takes in beside commands and events."""

import msgspec

from parkade.core.state.events import AnyEvent
from parkade.core.units.refusal import Refusal


class Idempotency(msgspec.Struct, frozen=True, kw_only=True):
    """A request's name: repeated under the same key and digest, it is answered from memory."""

    principal: str
    key: str
    request_digest: str


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """A command's events are committed; `sequence` is the journal's position after the last."""

    sequence: int
    events: tuple[AnyEvent, ...]


class KeptOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome as it is stored under its key: its events lie in (`after`, `sequence`]."""

    after: int
    sequence: int
    refusal: Refusal | None


class LogRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody wants to read a rank's output; the pool's agent sends it chunk by chunk."""

    request: str
    attempt: str
    rank: int
    offset: int
    follow: bool


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the writer is doing. `frozen_markets`: their clearing failed an assertion.

    `commit_us` and `turn_us` are the last ones measured, `waiting` the commands in the inbox.
    """

    is_running: bool
    epoch: int
    sequence: int
    is_clock_doubted: bool
    frozen_markets: tuple[str, ...]
    silent_pools: tuple[str, ...]
    waiting: int
    commits: int
    commands: int
    refused_internal: int
    commit_us: int
    clearing_us: int


class PlaneStopped(Exception):
    """The writer has stopped; the request was not carried out. Ask again after the restart."""


class LogsUnavailable(Exception):
    """The output cannot be had now: the message says whether to ask again."""
