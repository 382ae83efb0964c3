"""Seats held before a first process: what of it is billed, and what is free.

The time in which an image is pulled is not billed, because the user waits for it like for the
platform. So an org could hold seats for nothing: its work never starts, or begins its first process
just before `start_limit` and ends at once. Therefore the time before the first process is free

- within the start grace, and while the agent is not heard;
- beyond that up to a quarter of the run that follows (`billing.holds`), so that no org has more
  than a fifth of its time on seats for nothing;
- for one attempt of an org in a day, whatever it held.

What is beyond is billed as a late start, where the attempt ended by its org's own doing.

    own doing   it ended by itself, was cancelled, did not start within `start_limit`, failed to
                launch, or its org cannot pay any more, or a bid or a right of its org took its
                seats; nothing that others, the platform or a broken node did

Example (computed by `tests/core/kernel/test_unstarted.py`), a start grace of 2 minutes:

    w1 is launched at 10:00 and cancelled at 10:20                           free, a day begins
    w2 is launched at 10:00, starts at 10:28 and ends at 10:32               25 minutes are billed
    w3 is launched at 10:21, starts at 10:41 and ends at 12:00               free: it ran for 79
    w4 is launched at 10:20 of the next day and cancelled at 10:40           free, a new day begins

The one surprising rule: work for which others had to leave is billed from the start grace on
anyway (`billing.metering`), so nothing is added here. What may be billed counts as owed before
(`billing.holds`). Decision records 60 and 95.
"""

from parkade.core.billing.holds import has_free_hold, unused_us
from parkade.core.state.events import Ended
from parkade.core.state.world import World
from parkade.core.workloads.life import Cause
from parkade.core.workloads.workload import Attempt, Unstarted, Workload

OWN_DOING = frozenset({Cause.CANCELLED, Cause.NOT_STARTED, Cause.BUDGET, Cause.EXPIRED})


def is_unstarted(attempt: Attempt, *, is_lost: bool) -> bool:
    """Whether an attempt that ends now held its seats without a first process, by its org's own
    doing. `is_lost`: it is unknown how its ranks ended, which says nothing where it was stopped
    before it had any."""
    return attempt.started_us is None and _is_own_doing(attempt, is_lost=is_lost)


def _is_own_doing(attempt: Attempt, *, is_lost: bool) -> bool:
    if attempt.broken_us is not None:
        return False
    if attempt.stop is None:
        return not is_lost
    return attempt.stop.cause in OWN_DOING or attempt.is_lost_to_own


def held_us(world: World, workload: Workload, until_us: int, *, is_lost: bool) -> int:
    """For how long an attempt that is billed to this instant held its seats before its first
    process, beyond the start grace and beyond what its run makes free; 0 where others ended it."""
    attempt = workload.attempt
    assert attempt is not None
    if not _is_own_doing(attempt, is_lost=is_lost):
        return 0
    if is_lost and attempt.started_us is not None:
        return 0
    grace_us = world.records.markets[workload.market].terms.start_grace_us
    return unused_us(attempt, grace_us, until_us)


class Holds:
    """Which orgs held seats for nothing in the last day, over all that ends in one decision."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._noted: set[str] = set()

    def billed_us(self, workload: Workload, held_us: int, at_us: int) -> int:
        """How much is billed of what an attempt that ends at this instant held; the first of its
        org in a day is free, and counts."""
        assert held_us >= 0
        is_free = workload.org not in self._noted and has_free_hold(
            self._world, workload.org, at_us
        )
        if held_us:
            self._noted.add(workload.org)
        return 0 if is_free else held_us


def note_hold(world: World, workload: Workload, event: Ended) -> None:
    """The first of a day is remembered. In old journals it was what never started, whatever it
    held."""
    counts = event.is_unstarted if event.held_us is None else event.held_us > 0
    if counts and has_free_hold(world, workload.org, event.at_us):
        found = Unstarted(workload=workload.workload, at_us=event.at_us)
        world.records.unstarted[workload.org] = found
