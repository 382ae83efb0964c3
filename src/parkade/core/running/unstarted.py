"""Seats held before a first process: free once a day, billed when an org does it again.

The time in which an image is pulled is not billed, because the user waits for it like for the
platform. So an org could hold seats for nothing: it submits work that never starts, ends it before
`start_limit` fails it, and has the next one launched. Therefore an attempt that ends before its
first process by its org's own doing is *unstarted*. The first of an org in a day is free, and so is
each that was launched before that one ended, and each attempt of the same workload, which back-off
and `retry` bound. Any other is billed as a late start: from the start grace after its launch to its
end.

    own doing   it was cancelled, did not start within `start_limit`, failed to launch, or its org
                cannot pay any more, or a bid or a right of its org took its seats; nothing that
                others, the platform or a broken node did

Example (computed by `tests/core/kernel/test_unstarted.py`), a start grace of 2 minutes:

    w1 and w2 are launched at 10:00; w1 is cancelled at 10:20, w2 at 10:25   free
    w3 is launched at 10:21 and cancelled at 10:45                           22 minutes are billed
    w4 is launched at 10:20 of the next day and cancelled at 10:40           free, a new day begins

The one surprising rule: work that is pulled slowly and then runs pays nothing for the pull, however
often its org was unstarted before. Decision record 60.
"""

from parkade.core.billing.metering import late_from_us
from parkade.core.state.world import World
from parkade.core.units.time import DAY_US
from parkade.core.workloads.life import Cause
from parkade.core.workloads.workload import Attempt, Unstarted, Workload

OWN_DOING = frozenset({Cause.CANCELLED, Cause.NOT_STARTED, Cause.BUDGET, Cause.EXPIRED})


def is_unstarted(attempt: Attempt, *, is_lost: bool) -> bool:
    """Whether an attempt that ends now held its seats without a first process, by its org's own
    doing. `is_lost`: it is unknown how its ranks ended, which says nothing where it was stopped
    before it had any."""
    if attempt.started_us is not None or attempt.broken_us is not None:
        return False
    if attempt.stop is None:
        return not is_lost
    return attempt.stop.cause in OWN_DOING or attempt.is_lost_to_own


def unstarted_from_us(world: World, workload: Workload, at_us: int) -> int | None:
    """From when an unstarted attempt that ends at this instant is billed; None: it is free."""
    attempt = workload.attempt
    assert attempt is not None and attempt.started_us is None
    first = world.records.unstarted.get(workload.org)
    if first is None or first.workload == workload.workload:
        return None
    if not first.at_us <= attempt.ordered_us or at_us - first.at_us >= DAY_US:
        return None
    start_grace_us = world.records.markets[workload.market].terms.start_grace_us
    return late_from_us(attempt, start_grace_us)


def note_unstarted(world: World, workload: Workload, at_us: int) -> None:
    """The first of a day is remembered."""
    first = world.records.unstarted.get(workload.org)
    if first is None or at_us - first.at_us >= DAY_US:
        found = Unstarted(workload=workload.workload, at_us=at_us)
        world.records.unstarted[workload.org] = found
