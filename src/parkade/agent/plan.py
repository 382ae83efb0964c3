"""Decides what an agent does next, from what is desired and what is seen. Pure.

Nothing follows from an incomplete observation but what is harmless to repeat. What is not desired
any more is stopped, but an order that stands keeps its deadline: no attempt is killed early. An
attempt waits until no other one of its workload is seen: they share a checkpoint folder.
"""

from collections.abc import Set as AbstractSet

import msgspec

from parkade.agent.memory import Memory
from parkade.core.workloads.life import Cause
from parkade.ports import (
    DesiredAttempt,
    DesiredState,
    Observation,
    ObservedAttempt,
    Phase,
    Stop,
)

UNDESIRED_GRACE_US = 30_000_000
"""From TERM to KILL for an attempt that the control plane no longer knows."""
STOPPED_BEFORE = "stopped before it was launched"


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """Start it."""

    attempt: DesiredAttempt


class HandOver(msgspec.Struct, frozen=True, kw_only=True):
    """Hand over the order, again in every round: that is harmless and heals a lost one."""

    attempt: str
    order: Stop


class ChangeRanks(msgspec.Struct, frozen=True, kw_only=True):
    """Hand over which ranks a live attempt shall have, again until it says that it took them in."""

    attempt: DesiredAttempt


class Refuse(msgspec.Struct, frozen=True, kw_only=True):
    """Never start it, and report it as released."""

    attempt: str
    why: str


class Forget(msgspec.Struct, frozen=True, kw_only=True):
    """Drop it: it is released, that was reported, and it is not desired."""

    attempt: str


Action = Launch | HandOver | ChangeRanks | Refuse | Forget


def plan(
    desired: DesiredState,
    observation: Observation,
    memory: Memory,
    *,
    launching: AbstractSet[str],
    reported: AbstractSet[str],
    now_us: int,
) -> list[Action]:
    """Stops first, for they cannot wait. Cost grows with the attempts of the pool.

    `launching` are on their way; `reported` were told to the control plane as released.
    """
    seen = {one.attempt: one for one in observation.attempts}
    wanted = {one.attempt: one for one in desired.attempts}
    actions = orders(desired, observation)
    if not observation.is_complete:
        return list[Action](actions)
    order = Stop(
        noticed_us=now_us,
        deadline_us=now_us,
        kill_us=now_us + UNDESIRED_GRACE_US,
        cause=Cause.OPERATOR,
    )
    strangers = [
        one for name, one in seen.items() if name not in wanted or not _is_of(one, wanted[name])
    ]
    busy = {
        one.attempt.rpartition(".")[0] for one in seen.values() if one.phase is not Phase.RELEASED
    }
    return [
        *actions,
        *(
            ChangeRanks(attempt=one)
            for one in wanted.values()
            if one.stop is None and _is_behind(seen.get(one.attempt), one)
        ),
        *(
            HandOver(attempt=one.attempt, order=order)
            for one in strangers
            if one.phase is not Phase.RELEASED and one.attempt not in memory.ordered
        ),
        *(
            Forget(attempt=one.attempt)
            for one in strangers
            if one.phase is Phase.RELEASED and one.attempt in reported
        ),
        *(
            _start(one)
            for name, one in wanted.items()
            if name not in seen and name not in launching and name not in memory.refused
            if one.stop is not None or one.workload not in busy
        ),
    ]


def orders(desired: DesiredState, observation: Observation) -> list[HandOver]:
    """To those that are seen to run and are to leave."""
    seen = {one.attempt: one for one in observation.attempts}
    return [
        HandOver(attempt=one.attempt, order=one.stop)
        for one in desired.attempts
        if one.stop is not None and _is_running(seen.get(one.attempt), one)
    ]


def with_refusals(
    observation: Observation, desired: DesiredState | None, memory: Memory
) -> Observation:
    """The observation, and as released what was refused and is still desired."""
    if desired is None:
        return observation
    seen = {one.attempt for one in observation.attempts}
    refused = tuple(
        _refused(
            one,
            memory.refused[one.attempt],
            at_us=observation.at_us,
            is_blameless=one.attempt in memory.blameless,
        )
        for one in desired.attempts
        if one.attempt in memory.refused and one.attempt not in seen
    )
    return msgspec.structs.replace(observation, attempts=observation.attempts + refused)


def _is_of(seen: ObservedAttempt, wanted: DesiredAttempt) -> bool:
    return seen.is_of(wanted.attempt, wanted.generation, wanted.ordered_us)


def _is_running(seen: ObservedAttempt | None, wanted: DesiredAttempt) -> bool:
    return seen is not None and _is_of(seen, wanted) and seen.phase is not Phase.RELEASED


def _is_behind(seen: ObservedAttempt | None, wanted: DesiredAttempt) -> bool:
    """Whether a live attempt has not taken in all changes of its ranks."""
    return seen is not None and _is_running(seen, wanted) and seen.resizes < wanted.resizes


def _start(attempt: DesiredAttempt) -> Action:
    if attempt.stop is not None:
        return Refuse(attempt=attempt.attempt, why=STOPPED_BEFORE)
    return Launch(attempt=attempt)


def _refused(
    attempt: DesiredAttempt, why: str, *, at_us: int, is_blameless: bool
) -> ObservedAttempt:
    return ObservedAttempt(
        attempt=attempt.attempt,
        generation=attempt.generation,
        phase=Phase.RELEASED,
        started_us=None,
        released_us=at_us,
        exits=(),
        checkpoint=None,
        devices=(),
        launch_error=why,
        engine_state="refused",
        is_refused=is_blameless,
    )
