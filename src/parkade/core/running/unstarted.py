"""Seats held before a first process: what of it is billed, and what is free.

The time in which an image is pulled is not billed, because the user waits for it like for the
platform. So an org could hold seats for nothing: its work never starts, or begins its first process
late and ends at once, and is submitted again. Therefore the time before the first process is free

- up to a quarter of the run that follows (`billing.slow_starts`), so that no org has more than a
  fifth of its time on seats for nothing, and while the agent is not heard;
- beyond the start grace, for one attempt of an org in a day, whatever it held.

The rest is billed as a late start, where the attempt ended by its org's own doing.

    own doing   it ended by itself, was cancelled, did not start within `start_limit`, failed to
                launch, or its org cannot pay any more, or a bid or a right of its org took its
                seats or moved it, or it left by its own choice; nothing that others, the platform
                or a broken node did, nor a start that the engine refused by no doing of its org

Example (computed by `tests/core/kernel/test_unstarted.py`), a start grace of 2 minutes:

    w1 is launched at 10:00 and cancelled at 10:20           2 minutes are billed, a day begins
    w2 is launched at 10:00, starts at 10:28, ends at 10:32  27 minutes are billed
    w3 is launched at 10:21, starts at 10:41, ends at 12:01  free: it ran for 80
    w4 is launched at 10:21 and cancelled at 10:22           1 minute is billed
    w5 is launched at 10:20 of the next day and cancelled at 10:40   2 minutes, a new day begins

The one surprising rule: work for which others had to leave is billed from the start grace on
anyway (`billing.metering`), so only what is within it is added here. What may be billed counts as
owed before (`billing.slow_starts`). Decision records 60, 95, 161 and 168.
"""

from parkade.core.billing.slow_starts import (
    NO_SLOW_START,
    SlowStart,
    has_free_slow_start,
    slow_start_of,
)
from parkade.core.state.events import Ended
from parkade.core.state.world import World
from parkade.core.workloads.life import Cause
from parkade.core.workloads.workload import Attempt, Unstarted, Workload

OWN_DOING = frozenset({Cause.CANCELLED, Cause.NOT_STARTED, Cause.BUDGET, Cause.EXPIRED})


def is_unstarted(attempt: Attempt, *, is_lost: bool, is_refused: bool) -> bool:
    """Whether an attempt that ends now held its seats without a first process, by its org's own
    doing. `is_lost`: it is unknown how its ranks ended, which says nothing where it was stopped
    before it had any; `is_refused`: the engine did not start it, by no doing of its org."""
    is_own = _is_own_doing(attempt, is_lost=is_lost, is_refused=is_refused)
    return attempt.started_us is None and is_own


def _is_own_doing(attempt: Attempt, *, is_lost: bool, is_refused: bool) -> bool:
    if attempt.broken_us is not None or is_refused:
        return False
    if attempt.stop is None:
        return not is_lost
    return attempt.stop.cause in OWN_DOING or attempt.is_lost_to_own


def slow_start_at_end(
    world: World, workload: Workload, until_us: int, *, is_lost: bool, is_refused: bool
) -> SlowStart:
    """The time before its first process that an attempt which is billed to this instant has to pay
    for; none where others ended it."""
    attempt = workload.attempt
    assert attempt is not None
    if not _is_own_doing(attempt, is_lost=is_lost, is_refused=is_refused):
        return NO_SLOW_START
    if is_lost and attempt.started_us is not None:
        return NO_SLOW_START
    grace_us = world.records.markets[workload.market].terms.start_grace_us
    return slow_start_of(attempt, grace_us, until_us)


class SlowStarts:
    """Which orgs held seats for nothing in the last day, over all that ends in one decision."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._noted: set[str] = set()

    def billed_us(self, workload: Workload, slow_start: SlowStart, at_us: int) -> int:
        """How much is billed of the slow start of an attempt that ends at this instant; what the
        first of its org in a day has beyond the start grace is free, and counts."""
        is_free = workload.org not in self._noted and has_free_slow_start(
            self._world, workload.org, at_us
        )
        if slow_start.beyond_us:
            self._noted.add(workload.org)
        return slow_start.due_us if is_free else slow_start.us


def note_slow_start(world: World, workload: Workload, event: Ended) -> None:
    """The first of a day is remembered. In old journals it was what never started, whatever it
    held."""
    counts = event.is_unstarted if event.held_us is None else event.held_us > 0
    if counts and has_free_slow_start(world, workload.org, event.at_us):
        found = Unstarted(workload=workload.workload, at_us=event.at_us)
        world.records.unstarted[workload.org] = found
