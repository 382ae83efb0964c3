"""Ranks that join a live attempt and do not begin: how long that may take, and what follows.

A rank costs nothing before its agent has seen it run, so its node must not wait for it for ever. As
an attempt without a first process it has the market's `start_limit`, less the time in which its
agent was not heard. Then it is told to leave at once, and the others go on: the work did not fail.
Like an attempt that fails early, the work then waits before a rank joins again: the market's
`backoff`, twice as long each time. Its node is free once the rank is seen gone; one that does not
let go is suspect like any other.

Where too few ranks would stay, all of it leaves with the notice, and is started again.

Example, a limit of 30 minutes and a back-off of one. Rank 2 joins on a3 at 10:00, and nothing is
heard of it. At 10:30 it is told to leave, and is not billed. None joins before 10:31. The next that
does not begin keeps the work from growing for two minutes.
"""

from msgspec.structs import replace

from parkade.core.billing.live_ranks import with_ranks
from parkade.core.fleet.market import MarketTerms
from parkade.core.running.backoff import MOST_BACKOFF_DOUBLINGS
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.notices import notice, order_stop
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.observed import ObservedAttempt
from parkade.core.workloads.ranks import kept_by, with_begun, without_price
from parkade.core.workloads.workload import Attempt, Rank, Workload


def begins_by_us(attempt: Attempt, limit_us: int) -> int | None:
    """By when the first of the ranks that joined must have begun; None: none is waited for."""
    return min((_begins_by_us(it, limit_us) for it in _waited_for(attempt)), default=None)


def _waited_for(attempt: Attempt) -> list[Rank]:
    return [it for it in kept_by(attempt.ranks) if not it.has_begun]


def _begins_by_us(rank: Rank, limit_us: int) -> int:
    assert rank.start is not None and rank.start.begun_us is None
    return rank.joined_us + rank.start.silent_us + limit_us


def stop_unbegun(
    world: World, workload: Workload, at_us: int
) -> events.RanksChanged | events.StopOrdered:
    """Those that should have begun by now are to leave, and with them all, where too few stay."""
    attempt, terms = workload.attempt, world.records.markets[workload.market].terms
    assert attempt is not None and terms.start_limit_us is not None
    late = [it for it in _waited_for(attempt) if _begins_by_us(it, terms.start_limit_us) <= at_us]
    assert late, "a deadline that changes nothing"
    if len(kept_by(attempt.ranks)) - len(late) < workload.spec.nodes:
        return order_stop(world, workload, Cause.HEALED, at_us=at_us, becomes=Phase.PREEMPTING)
    stop = notice(attempt, Cause.NOT_STARTED, at_us=at_us, notice_us=0, kill_us=terms.kill_us)
    return events.RanksChanged(
        at_us=at_us,
        workload=workload.workload,
        attempt=attempt.attempt,
        ranks=without_price(attempt.ranks, {it.seat.node for it in late}, stop, at_us),
        resizes=attempt.resizes + 1,
    )


def seen_begun(
    workload: Workload, seen: ObservedAttempt, now_us: int
) -> tuple[list[events.AnyEvent], Attempt]:
    """The ranks that are reported to run, each from its own time on, but no earlier than what is
    charged for already; and the attempt with them. One that was told to leave counts where it began
    before that."""
    attempt = workload.attempt
    assert attempt is not None
    found: list[events.AnyEvent] = []
    unbegun = (it for it in attempt.ranks if not it.has_begun)
    dated = ((_begun_us(it, seen, now_us), it.rank, it) for it in unbegun)
    known = [
        (at_us, number, it)
        for at_us, number, it in dated
        if at_us is not None and _counts(it, at_us)
    ]
    for reported_us, _, rank in sorted(known, key=lambda it: it[:2]):
        at_us = min(max(reported_us, rank.joined_us, attempt.charged_until_us), now_us)
        ranks = with_begun(attempt.ranks, (rank,), at_us)
        attempt = replace(with_ranks(attempt, ranks, None, at_us), resizes=attempt.resizes + 1)
        found.append(
            events.RanksChanged(
                at_us=at_us,
                workload=workload.workload,
                attempt=attempt.attempt,
                ranks=ranks,
                resizes=attempt.resizes,
            )
        )
    return found, attempt


def _counts(rank: Rank, begun_us: int) -> bool:
    """Whether a rank that began then is paid for: it stays, or began before it was told to leave,
    and not because it did not begin in time."""
    if rank.leaving is None:
        return True
    is_late = rank.leaving.stop.cause is Cause.NOT_STARTED
    return not is_late and begun_us < rank.leaving.priced_us


def _begun_us(rank: Rank, seen: ObservedAttempt, now_us: int) -> int | None:
    """When a report has it that a rank began; None: it does not. An engine that does not tell has
    begun what it took in."""
    if seen.begun is None:
        return now_us if seen.resizes >= rank.since else None
    found = (it.begun_us for it in seen.begun if (it.rank, it.since) == (rank.rank, rank.since))
    return next(found, None)


def with_unbegun(changed: Attempt, before: Attempt, terms: MarketTerms, at_us: int) -> Attempt:
    """The attempt after a change, which waits where ranks were told to leave because they did not
    begin."""
    more = _unbegun(changed) - _unbegun(before)
    if more <= 0:
        return changed
    doublings = min(changed.unbegun, MOST_BACKOFF_DOUBLINGS)
    return replace(
        changed,
        unbegun=changed.unbegun + more,
        grows_from_us=at_us + (terms.backoff_us << doublings),
    )


def _unbegun(attempt: Attempt) -> int:
    stops = (it.leaving.stop.cause for it in attempt.ranks if it.leaving is not None)
    return sum(cause is Cause.NOT_STARTED for cause in stops)
