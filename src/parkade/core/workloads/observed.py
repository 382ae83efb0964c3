"""What an engine sees of an attempt: dated facts, parsed at the door."""

import enum

import msgspec


class EnginePhase(enum.StrEnum):
    """Where an attempt is; how it ended follows from its exits, not from its phase."""

    STARTING = "starting"
    RUNNING = "running"
    RELEASED = "released"


class RankExit(msgspec.Struct, frozen=True, kw_only=True):
    """How a rank's first process ended: an exit code, or the signal that ended it.

    Both None: it never started (`detail` of the attempt says why).
    """

    rank: int
    code: int | None
    signal: int | None


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint that the program reported as finished."""

    step: int
    at_us: int


class ObservedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine sees of an attempt.

    `started_us` is when the first process ran, `released_us` when the last one was gone and the
    seats were free. `launch_error` is set where it could not be started at all. `engine_state` is
    the engine's own word, verbatim.
    """

    attempt: str
    generation: int
    phase: EnginePhase
    started_us: int | None
    released_us: int | None
    exits: tuple[RankExit, ...]
    checkpoint: Checkpoint | None
    devices: tuple[tuple[str, tuple[int, ...]], ...]
    launch_error: str | None
    engine_state: str
