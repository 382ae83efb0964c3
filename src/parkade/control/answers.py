"""What the control plane hands out and takes in beside commands and events."""

from typing import Any

import msgspec

from parkade.core.state.events import AnyEvent
from parkade.core.units.refusal import Refusal
from parkade.ports import DesiredAttempt


class Idempotency(msgspec.Struct, frozen=True, kw_only=True):
    """A request's name: repeated under the same key and digest, it is answered from memory."""

    principal: str
    key: str
    request_digest: str


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """A command's events are committed; `sequence` is the journal's position after the last.

    `shown` is what the asker's `show` made of the world right after the command, or the exception
    that it raised.
    """

    sequence: int
    events: tuple[AnyEvent, ...]
    shown: Any = None


class KeptOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome as it is stored under its key: its events lie in (`after`, `sequence`]."""

    after: int
    sequence: int
    refusal: Refusal | None


decode_outcome = msgspec.json.Decoder(KeptOutcome).decode


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What a planned submission would be launched as, and by which pool's engine."""

    pool: str | None
    attempt: DesiredAttempt


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the writer is doing. `clock_behind_us`: how far the wall clock is behind the present.
    `frozen_markets`: their clearing failed an assertion. `refusing_pools`: their agents are heard
    and do not obey. `engine_silent_pools`: their agents are there, and their engine does not answer
    them.

    `commit_us` and `clearing_us` are the last ones measured, `waiting` the commands in the inbox,
    `entered` the commands and views that ever entered it.
    """

    is_running: bool
    epoch: int
    sequence: int
    is_clock_doubted: bool
    clock_behind_us: int
    frozen_markets: tuple[str, ...]
    silent_pools: tuple[str, ...]
    refusing_pools: tuple[str, ...] = ()
    engine_silent_pools: tuple[str, ...] = ()
    waiting: int
    entered: int
    commits: int
    commands: int
    refused_internal: int
    commit_us: int
    clearing_us: int


class PlaneStopped(Exception):
    """The writer has stopped; the request was not carried out. Ask again after the restart."""


class TooMany(Exception):
    """Too much waits for the writer already; the refusal says what to do."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


class LogsUnavailable(Exception):
    """The output cannot be had now: the message says whether to ask again."""
