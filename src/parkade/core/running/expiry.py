"""A workload's end by the clock: its notice in time before it, the limit of an attempt without a
first process, and the end of its record."""

from parkade.core.billing.charges import Postings
from parkade.core.billing.settlements import settle_end
from parkade.core.running.promises import withdrawal_charge
from parkade.core.running.unbegun import begins_by_us, stop_unbegun
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.notices import FINAL_CAUSES, order_stop
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.workload import Workload


def expiry_due_us(world: World, workload: Workload) -> int | None:
    """When a workload that must end gets its notice; at its end where nothing runs."""
    must_end_us = workload.must_end_us
    if must_end_us is None or workload.phase.is_ended:
        return None
    attempt = workload.attempt
    if attempt is None:
        return must_end_us
    terms = world.records.markets[workload.market].terms
    due_us = must_end_us - terms.notice_us - terms.kill_us
    due_us = max(due_us, attempt.ordered_us)
    has_to_end = attempt.stop is not None and attempt.stop.cause in FINAL_CAUSES
    return None if has_to_end else due_us


def expire(world: World, workload: Workload, at_us: int) -> tuple[events.AnyEvent, ...]:
    """Its notice, or its end where nothing runs; a promise that displaced others is charged."""
    assert workload.must_end_us is not None and at_us <= workload.must_end_us
    postings = Postings(world)
    charge = withdrawal_charge(world, workload, postings, at_us)
    if workload.attempt is not None:
        return (*charge, order_stop(world, workload, Cause.EXPIRED, at_us=at_us))
    change = events.PhaseChanged(
        at_us=at_us, workload=workload.workload, phase=Phase.EXPIRED, why=Why.MAX_DURATION
    )
    return (*charge, *settle_end(world, postings, workload, at_us), change)


def start_limit_due_us(world: World, workload: Workload) -> int | None:
    """When an attempt without a first process has failed, or a rank that joined has not begun in
    time; None while its agent is not heard, or where the market has no limit."""
    attempt = workload.attempt
    limit_us = world.records.markets[workload.market].terms.start_limit_us
    if attempt is None or attempt.stop is not None:
        return None
    pool = world.pool_of(attempt.seats)
    if limit_us is None or attempt.broken_us is not None or pool is None or not pool.is_reachable:
        return None
    if attempt.started_us is None:
        return attempt.ordered_us + attempt.silent_us + limit_us
    return begins_by_us(attempt, limit_us)


def has_unstarted(world: World) -> bool:
    """Whether an attempt waits for its first process. Cost grows with live workloads."""
    attempts = (world.records.workloads[name].attempt for name in world.live)
    return any(one is not None and one.started_us is None for one in attempts)


def stop_unstarted(world: World, workload: Workload, at_us: int) -> tuple[events.AnyEvent, ...]:
    """It is stopped at once: there is nothing that could be saved. Its end is a failure. Ranks that
    joined and did not begin leave alone."""
    assert workload.attempt is not None
    if workload.attempt.started_us is not None:
        return (stop_unbegun(world, workload, at_us),)
    stop = order_stop(
        world,
        workload,
        Cause.NOT_STARTED,
        at_us=at_us,
        is_immediate=True,
        becomes=Phase.PREEMPTING,
    )
    return (stop,)


def forget_due_us(world: World, workload: Workload) -> int | None:
    """When the record of a workload that ended leaves the world; None before its end."""
    if workload.ended_us is None:
        return None
    assert workload.phase.is_ended
    return workload.ended_us + world.records.markets[workload.market].terms.retention_us


def folder_due_us(world: World, workload: Workload) -> int | None:
    """Until when the folders of a workload that ended are kept, with its checkpoints and output;
    None before its end, where it never had an attempt, and where the market keeps them for ever."""
    market = world.records.markets.get(workload.market)
    if workload.ended_us is None or workload.generation == 0 or market is None:
        return None
    kept_us = market.terms.folder_retention_us
    return None if kept_us is None else workload.ended_us + kept_us


def forget(workload: str, at_us: int) -> tuple[events.AnyEvent, ...]:
    """Its record leaves the world; the journal keeps it."""
    return (events.Forgotten(at_us=at_us, workloads=(workload,), reservations=()),)
