"""The ranks of a live attempt come and go: a promise of more seats is kept, and ranks that were
told to leave are seen gone.

A clearing gives the notices and the promises (`clearing.live_changes`); what a failed node means is
in `steps.lost_nodes`. What nothing reports as gone stays. Decision record 217.
"""

from msgspec.structs import replace

from parkade.core.billing.charges import Postings
from parkade.core.billing.live_ranks import missing_of, owed_by_node
from parkade.core.fleet.seat import Seat
from parkade.core.running.overdue import seen_free
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.workloads.life import BLAMELESS, Cause
from parkade.core.workloads.observed import ObservedAttempt
from parkade.core.workloads.ranks import joined
from parkade.core.workloads.workload import Rank, Workload


def joining(workload: Workload) -> tuple[Seat, ...]:
    """The seats that a live attempt is promised and has not."""
    attempt, promise = workload.attempt, workload.promise
    if attempt is None or promise is None:
        return ()
    has = {seat.node for seat in attempt.kept_seats}
    return tuple(it for it in promise.seats if it.node not in has)


def join(workload: Workload, at_us: int) -> events.RanksChanged:
    """The promised seats are its own from now on."""
    attempt, promise = workload.attempt, workload.promise
    assert attempt is not None and promise is not None and workload.changes_live
    ranks = joined(attempt, joining(workload), at_us, owed_by_node(workload))
    return events.RanksChanged(
        at_us=at_us,
        workload=workload.workload,
        attempt=attempt.attempt,
        ranks=ranks,
        resizes=attempt.resizes + 1,
        rate=promise.rates[-1],
    )


def seen_left(
    world: World, postings: Postings, workload: Workload, seen: ObservedAttempt, now_us: int
) -> tuple[events.AnyEvent, ...]:
    """The ranks that were told to leave and are reported gone, each at its own time, with what is
    missing to their minimum."""
    attempt = workload.attempt
    assert attempt is not None
    reported = {(it.rank, it.since): it.left_us for it in seen.left}
    gone = [
        it for it in attempt.ranks if it.leaving is not None and (it.rank, it.since) in reported
    ]
    found: list[events.AnyEvent] = []
    now = attempt
    for rank in sorted(gone, key=lambda it: reported[it.rank, it.since]):
        assert rank.leaving is not None
        # A clock that is behind dates it before its notice, when all of it was the attempt's.
        from_us = max(rank.leaving.stop.noticed_us, rank.joined_us)
        left_us = min(max(reported[rank.rank, rank.since], from_us), now_us)
        if rank.leaving.price_micros:
            left_us = max(left_us, attempt.charged_until_us)
            left_us = min(left_us, max(rank.leaving.stop.kill_us, attempt.charged_until_us))
        found.extend(minimum_of(world, postings, workload, (rank,), left_us))
        now = replace(
            now,
            ranks=tuple(it for it in now.ranks if it != rank),
            resizes=now.resizes + 1,
        )
        found.append(
            events.RanksChanged(
                at_us=left_us,
                workload=workload.workload,
                attempt=attempt.attempt,
                ranks=now.ranks,
                resizes=now.resizes,
            )
        )
        found.extend(seen_free(world, workload, (rank.seat,), left_us))
    return tuple(found)


def minimum_of(
    world: World,
    postings: Postings,
    workload: Workload,
    ranks: tuple[Rank, ...],
    at_us: int,
    *,
    cause: Cause | None = None,
) -> tuple[events.AnyEvent, ...]:
    """What is missing to the minimum of ranks for which others had to leave, unless others' right
    or a broken node took them. `cause`: for which all of it leaves."""
    attempt = workload.attempt
    if not ranks:
        return ()
    assert attempt is not None, "what has ranks has an attempt"
    minimum_us = world.records.markets[workload.market].terms.minimum_charge_us
    found: list[events.AnyEvent] = []
    for rank in ranks:
        why = cause if rank.leaving is None else rank.leaving.stop.cause
        is_due = rank.leaving is not None and rank.leaving.is_due
        if rank.owed is None or (why in BLAMELESS and not is_due):
            continue
        charge = postings.post_rank(
            workload,
            rank.owed,
            missing_us=missing_of(attempt, rank, minimum_us, at_us),
            at_us=at_us,
        )
        if charge is not None:
            found.append(charge)
    return tuple(found)


def forgiven(workload: Workload, at_us: int) -> tuple[events.RanksChanged, ...]:
    """Its ranks have paid what they owed for those that left for them."""
    attempt = workload.attempt
    if attempt is None or not any(it.owed for it in attempt.ranks):
        return ()
    return (
        events.RanksChanged(
            at_us=at_us,
            workload=workload.workload,
            attempt=attempt.attempt,
            ranks=tuple(replace(it, owed=None) for it in attempt.ranks),
            resizes=attempt.resizes + 1,
        ),
    )
