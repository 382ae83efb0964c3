"""Exponential back-off: how long a workload waits that leaves its seats soon after it got them.

Repeated early preemption makes a workload wait, so that it does not make others leave again and
again, and so does an early end of its own (a failure, or 85 outside a notice), so that it does not
hold seats that it does not use. The wait counts from the release. While an attempt that will wait
still leaves, no seats are promised to it: else the promise would cancel the wait. What the clearing
that gives it its notice promises other seats is moved, and does not wait: a bid that loses in one
of its markets and wins in another, or an elastic one that goes on with fewer nodes.

    early       before its first process, or within QUICK_RUNS x (notice + kill) of it, measured up
                to the notice where it has one
    first wait  the market's `backoff`, from the second preemption, the second failure or the first
                85 on
    then        twice as long each time, at most 2 ** MOST_BACKOFF_DOUBLINGS of the first

On-demand waits for no preemption: no bid takes its seats, and what fell back from spot to keep its
deadline has no time to wait.
"""

from parkade.core.fleet.market import MarketTerms
from parkade.core.state.world import World
from parkade.core.workloads.entries import is_on_demand
from parkade.core.workloads.life import Cause
from parkade.core.workloads.workload import Attempt, Workload

QUICK_RUNS = 10
MOST_BACKOFF_DOUBLINGS = 6
PREEMPTED = frozenset({Cause.OUTBID, Cause.BELOW_FLOOR, Cause.RECLAIMED})


def not_before_us(
    world: World, workload: Workload, cause: Cause | None, at_us: int, *, is_saved: bool
) -> int:
    """Until when it waits after an end at this instant, where it runs again; 0: it does not wait.
    `cause` None or that it did not start: an end of its own, `is_saved`: by 85, else a failure."""
    attempt = workload.attempt
    assert attempt is not None
    is_own = cause in (None, Cause.NOT_STARTED)
    if cause in PREEMPTED and is_on_demand(workload):
        return 0
    terms = world.records.markets[workload.market].terms
    if not _is_early(attempt, terms, at_us):
        return 0
    if is_own and is_saved:
        earlier = max(0, workload.attempts - 1 - workload.failures - workload.preemptions)
    elif is_own and workload.failures >= 1:
        earlier = workload.failures - 1
    elif cause in PREEMPTED and workload.preemptions >= 1:
        earlier = workload.preemptions - 1
    else:
        return 0
    return at_us + (terms.backoff_us << min(earlier, MOST_BACKOFF_DOUBLINGS))


def will_back_off(world: World, workload: Workload) -> bool:
    """Whether it leaves its seats under a notice after which it will wait."""
    attempt = workload.attempt
    if attempt is None or attempt.stop is None:
        return False
    stop = attempt.stop
    return not_before_us(world, workload, stop.cause, stop.noticed_us, is_saved=False) > 0


def _is_early(attempt: Attempt, terms: MarketTerms, at_us: int) -> bool:
    ends_us = at_us if attempt.stop is None else min(at_us, attempt.stop.noticed_us)
    if attempt.started_us is None:
        return True
    ran_us = ends_us - attempt.started_us
    return ran_us <= QUICK_RUNS * (terms.notice_us + terms.kill_us)
