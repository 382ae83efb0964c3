"""What an engine sees of an attempt: dated facts, parsed at the door.

The limits hold where a report is decoded: an agent's word is kept for ever, so it is bounded.
"""

import enum
from typing import Annotated

import msgspec

from parkade.core.units import bounds
from parkade.core.units.names import NAME

MOST_WORDS = 2_000
"""Characters of a reason; an engine cuts longer ones off."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Instant = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
"""Microseconds since 1970; one in the future is taken for now."""
RankNumber = Annotated[int, msgspec.Meta(ge=0, lt=bounds.NODES.most)]
ExitCode = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]
Words = Annotated[str, msgspec.Meta(max_length=MOST_WORDS)]
AttemptName = Annotated[str, msgspec.Meta(max_length=NAME.longest)]


class EnginePhase(enum.StrEnum):
    """Where an attempt is; how it ended follows from its exits, not from its phase."""

    STARTING = "starting"
    RUNNING = "running"
    RELEASED = "released"


class RankExit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a rank's first process ended: an exit code, or the signal that ended it.

    Both None: it never started (`detail` of the attempt says why).
    """

    rank: RankNumber
    code: ExitCode | None
    signal: ExitCode | None


class RankLeft(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A rank of a live attempt that is gone, seat and all, while the attempt goes on: `since` is
    the count of changes with which it came."""

    rank: RankNumber
    since: Count
    left_us: Instant


class RankBegun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A rank that joined a live attempt and runs its command, or did: `since` is the count of
    changes with which it came."""

    rank: RankNumber
    since: Count
    begun_us: Instant


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A checkpoint that the program reported as finished."""

    step: Count
    at_us: Instant


class ObservedAttempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the engine sees of an attempt.

    `started_us` is when the first process ran, `released_us` when the last one was gone and the
    seats were free. `launch_error` is set where it could not be started at all. `engine_state` is
    the engine's own word, verbatim.

    `ordered_us` is that of the desired attempt it was launched from, None where the engine has not
    kept it: two attempts of one name and another `ordered_us` are not the same (a backup that was
    put back gives names again).

    `is_signalled`: during a notice, a signal or save command of ours reached it before all its
    ranks had ended. `is_keeper_lost`: what watched over it was gone while its machine stayed up,
    and the workload itself may have done that, so that how it ended is not known. Both are false
    where an engine of before these fields says nothing.

    `report_problem`: why the checkpoint report that is there is not believed; None: it is, or there
    is none. `lapsed_us`: the engine itself gave it the notice then, because the control plane was
    silent for its lease. `operator_ended_us`: a person gave it the notice then, at its machine and
    without the control plane (`parkade agent end`); never what its own user could say. None where
    an engine of before this field says nothing.

    `is_refused`: the engine did not start it, for a reason that neither its spec nor its user can
    bring about; false where an engine of before this field says nothing.
    `is_unadmitted`: the engine takes no job of its user until an administrator lets that user in;
    `launch_error` says how. False where an engine of before this field says nothing.

    `resizes`: of a live attempt, the count of changes of its ranks that the engine has taken in.
    `left`: those of its ranks that were told to leave alone and are gone. `begun`: those that
    joined and have begun; None where an engine of before this field says nothing, and what it has
    taken in is thought to have begun.
    """

    attempt: AttemptName
    generation: Count
    phase: EnginePhase
    started_us: Instant | None
    released_us: Instant | None
    exits: Annotated[tuple[RankExit, ...], msgspec.Meta(max_length=bounds.NODES.most)]
    checkpoint: Checkpoint | None
    devices: tuple[tuple[str, tuple[int, ...]], ...]
    launch_error: Words | None
    engine_state: Words
    ordered_us: Instant | None = None
    is_signalled: bool = False
    is_keeper_lost: bool = False
    lapsed_us: Instant | None = None
    operator_ended_us: Instant | None = None
    report_problem: Words | None = None
    is_refused: bool = False
    is_unadmitted: bool = False
    resizes: Count = 0
    left: Annotated[tuple[RankLeft, ...], msgspec.Meta(max_length=bounds.NODES.most)] = ()
    begun: Annotated[tuple[RankBegun, ...], msgspec.Meta(max_length=bounds.NODES.most)] | None = (
        None
    )

    def is_of(self, attempt: str, generation: int, ordered_us: int | None) -> bool:
        """Whether it was seen of this launch, and not of another one of the same name. A date that
        one side has not kept tells nothing."""
        is_same_date = None in (self.ordered_us, ordered_us) or self.ordered_us == ordered_us
        return (self.attempt, self.generation) == (attempt, generation) and is_same_date
