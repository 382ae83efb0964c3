"""Which report of an agent an event may come from, in its smallest part.

A first process, a checkpoint, an hour to be charged, a rank that began or left, an end: each is
guessed as a report of its own. Taken one after another these give the events of the whole report.
How a program ended is read from the summary that the journal keeps; what the summary does not say
is tried both ways.
"""

import re
from collections.abc import Iterator

from msgspec.structs import replace

from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.workloads.life import Cause
from parkade.core.workloads.observed import (
    Checkpoint,
    EnginePhase,
    ObservedAttempt,
    RankBegun,
    RankExit,
    RankLeft,
)
from parkade.core.workloads.workload import Attempt

_RANK = re.compile(r"rank (\d+): (?:exit (-?\d+)|signal (-?\d+)|unknown)")
_NOT_LAUNCHED = "could not be launched: "
Guesses = Iterator[commands.AnyCommand]


def reports(
    world: World,
    event: events.Started
    | events.Checkpointed
    | events.UsePosted
    | events.RanksChanged
    | events.Ended
    | events.BudgetNoted,
) -> Guesses:
    """Reports of the attempt that the event tells of; `world` is that before it."""
    workload = world.records.workloads.get(event.workload)
    attempt = None if workload is None else workload.attempt
    pool = None if attempt is None else world.pool_of(attempt.seats)
    if attempt is None or pool is None:
        return
    match event:
        case events.Started():
            seen = [_seen(attempt, EnginePhase.STARTING, started_us=event.at_us)]
        case events.Checkpointed():
            saved = Checkpoint(step=event.step, at_us=event.at_us)
            seen = [_seen(attempt, EnginePhase.STARTING, checkpoint=saved)]
        case events.UsePosted() | events.BudgetNoted():
            seen = [_seen(attempt, EnginePhase.RUNNING)]
        case events.RanksChanged(ranks=ranks):
            there = {(it.rank, it.since) for it in ranks}
            begun = tuple(
                RankBegun(rank=it.rank, since=it.since, begun_us=it.start.begun_us)
                for it in ranks
                if it.start is not None and it.start.begun_us is not None
            )
            left = tuple(
                RankLeft(rank=it.rank, since=it.since, left_us=event.at_us)
                for it in attempt.ranks
                if (it.rank, it.since) not in there
            )
            seen = [replace(_seen(attempt, EnginePhase.RUNNING), left=left, begun=begun)]
        case events.Ended():
            seen = list(_ends(attempt, event))
    for one in seen:
        yield commands.ReportAttempts(by=event.by, pool=pool.pool, attempts=(one,))


def _seen(
    attempt: Attempt,
    phase: EnginePhase,
    *,
    started_us: int | None = None,
    checkpoint: Checkpoint | None = None,
    lapsed_us: int | None = None,
    operator_ended_us: int | None = None,
) -> ObservedAttempt:
    return ObservedAttempt(
        attempt=attempt.attempt,
        generation=attempt.generation,
        phase=phase,
        started_us=started_us,
        released_us=None,
        exits=(),
        checkpoint=checkpoint,
        devices=(),
        launch_error=None,
        engine_state=phase.value,
        lapsed_us=lapsed_us,
        operator_ended_us=operator_ended_us,
    )


def _ends(attempt: Attempt, event: events.Ended) -> Iterator[ObservedAttempt]:
    """Reports of an end that give its summary; what the summary does not say is tried both ways."""
    plain = _seen(attempt, EnginePhase.RELEASED)
    over = replace(plain, released_us=event.at_us)
    if event.summary.startswith(_NOT_LAUNCHED):
        error = event.summary.removeprefix(_NOT_LAUNCHED)
        is_refused = event.is_refused and not event.is_unadmitted
        refused = replace(over, is_refused=is_refused, is_unadmitted=event.is_unadmitted)
        yield replace(refused, launch_error=error)
        return
    exits = tuple(
        RankExit(
            rank=int(found[1]),
            code=None if found[2] is None else int(found[2]),
            signal=None if found[3] is None else int(found[3]),
        )
        for found in _RANK.finditer(event.summary)
    )
    parts = event.summary.split("; ")
    ends = len(exits) if exits else 1
    problem = "; ".join(parts[ends:])
    known = replace(over, exits=exits, report_problem=problem or None)
    for is_signalled in (event.is_saved, not event.is_saved):
        for is_keeper_lost in (False, True):
            yield replace(known, is_signalled=is_signalled, is_keeper_lost=is_keeper_lost)


def stops(world: World, event: events.StopOrdered) -> Guesses:
    """A cancel with or without its notice, or a notice that the pool's agent reported."""
    workload = world.records.workloads.get(event.workload)
    if workload is None or workload.attempt is None:
        return
    starting, at_us = EnginePhase.STARTING, event.at_us
    match event.stop.cause:
        case Cause.CANCELLED:
            for now in (False, True):
                yield commands.Cancel(by=event.by, workload=event.workload, now=now)
            return
        case Cause.LAPSED:
            seen = _seen(workload.attempt, starting, lapsed_us=at_us)
        case Cause.OPERATOR:
            seen = _seen(workload.attempt, starting, operator_ended_us=at_us)
        case _:
            return
    if (pool := world.pool_of(workload.attempt.seats)) is not None:
        yield commands.ReportAttempts(by=event.by, pool=pool.pool, attempts=(seen,))
