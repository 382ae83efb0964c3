"""The ranks of a live attempt come and go: a promise of more seats is kept, and ranks that were
told to leave are seen gone.

A clearing gives the notices and the promises (`clearing.live_changes`); what a failed node means is
in `steps.lost_nodes`. What nothing reports as gone stays. Decision record 217.
"""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from parkade.core.billing.charges import Postings, with_spent
from parkade.core.billing.live_ranks import is_excused, left, missing_of, owed_by_node
from parkade.core.fleet.seat import Seat
from parkade.core.running.overdue import seen_free
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.workloads.life import Cause
from parkade.core.workloads.observed import ObservedAttempt
from parkade.core.workloads.ranks import joined
from parkade.core.workloads.workload import Attempt, Rank, Workload


def joining(workload: Workload) -> tuple[Seat, ...]:
    """The seats that a live attempt is promised and has not."""
    attempt, promise = workload.attempt, workload.promise
    if attempt is None or promise is None:
        return ()
    return attempt.new_of(promise.seats)


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
) -> tuple[list[events.AnyEvent], Workload]:
    """The ranks that were told to leave and are reported gone, each at its own time, with what is
    missing to their minimum; and the workload without them."""
    assert workload.attempt is not None
    reported = {(it.rank, it.since): it.left_us for it in seen.left}
    going = [it for it in workload.attempt.ranks if it.leaving is not None]
    gone = [(it, reported[it.rank, it.since]) for it in going if (it.rank, it.since) in reported]
    found, after = _leave(world, postings, workload, gone, now_us, owes=True)
    for it in _ends(workload.attempt, gone, now_us):
        found.extend(seen_free(world, workload, (it.rank.seat,), it.left_us))
    return found, after


def ranks_end(
    world: World,
    postings: Postings,
    workload: Workload,
    seen: ObservedAttempt,
    at_us: int,
    *,
    owes: bool,
) -> tuple[list[events.AnyEvent], Workload]:
    """The ranks that were told to leave, as the whole ends: each when it is reported to have left,
    at most at its kill; and the workload without them. `owes`: their minimum is charged."""
    assert workload.attempt is not None
    reported = {(it.rank, it.since): it.left_us for it in seen.left}
    # What was told to leave only now costs nothing of its own before the end.
    gone = [
        (it, reported.get((it.rank, it.since), at_us))
        for it in workload.attempt.ranks
        if it.leaving is not None and it.leaving.priced_us < at_us
    ]
    return _leave(world, postings, workload, gone, at_us, owes=owes)


class _End(NamedTuple):
    rank: Rank
    left_us: int


def _ends(attempt: Attempt, gone: Iterable[tuple[Rank, int]], now_us: int) -> list[_End]:
    """When ranks left, the first first: as reported, at most at their kill, and no earlier than
    their use is charged or their own price begins."""
    found = []
    for rank, reported_us in gone:
        assert rank.leaving is not None
        least_us = max(rank.joined_us, rank.leaving.priced_us, attempt.charged_until_us)
        most_us = min(reported_us, rank.leaving.stop.kill_us, now_us)
        found.append(_End(rank, max(least_us, most_us)))
    return sorted(found, key=lambda it: it.left_us)


def _leave(
    world: World,
    postings: Postings,
    workload: Workload,
    gone: list[tuple[Rank, int]],
    now_us: int,
    *,
    owes: bool,
) -> tuple[list[events.AnyEvent], Workload]:
    attempt = workload.attempt
    assert attempt is not None
    found: list[events.AnyEvent] = []
    for rank, left_us in _ends(attempt, gone, now_us):
        for each in minimum_of(world, postings, workload, (rank,), left_us) if owes else ():
            workload = with_spent(workload, each)
            found.append(each)
        attempt = replace(left(attempt, (rank,), left_us), resizes=attempt.resizes + 1)
        found.append(
            events.RanksChanged(
                at_us=left_us,
                workload=workload.workload,
                attempt=attempt.attempt,
                ranks=attempt.ranks,
                resizes=attempt.resizes,
            )
        )
    return found, replace(workload, attempt=attempt)


def minimum_of(
    world: World,
    postings: Postings,
    workload: Workload,
    ranks: tuple[Rank, ...],
    at_us: int,
    *,
    cause: Cause | None = None,
) -> tuple[events.WithdrawalCharged, ...]:
    """What is missing to the minimum of ranks for which others had to leave, unless others' right
    or a broken node took them. `cause`: for which all of it leaves."""
    attempt = workload.attempt
    if not ranks:
        return ()
    assert attempt is not None, "what has ranks has an attempt"
    minimum_us = world.records.markets[workload.market].terms.minimum_charge_us
    found: list[events.WithdrawalCharged] = []
    for rank in ranks:
        if rank.owed is None or is_excused(rank, cause):
            continue
        charge = postings.post_rank(
            workload,
            rank.owed,
            missing_us=missing_of(attempt, rank, minimum_us, at_us),
            at_us=at_us,
        )
        if charge is not None:
            workload = with_spent(workload, charge)
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
