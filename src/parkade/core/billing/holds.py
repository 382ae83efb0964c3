"""Seats held before a first process: how much of that time is billed if its org ends it.

The rules are told in `running.unstarted`, which says whose doing an end was. What may be billed for
a hold counts as owed from when it is late, so that caps and balances are not passed by it:

- It grows until the first process, and falls by a quarter of the run that follows. What is left is
  the last of that time, at the prices of then: a price that rises later makes no hold dearer.
- It does not count where it would be the free hold of its org in a day: of the only workload of
  the org that has seats. Before another gets seats it counts (`clearing.earmarks`).

Example (`tests/core/billing/test_holds.py`). 16 GPUs at 2 a GPU-hour start 25 minutes after the
order, of which the start grace covers 2: 23 minutes, 12.266667, are owed until it has run for 92.
"""

from parkade.core.billing.metering import billed_to_us, late_from_us, spans
from parkade.core.state.world import World
from parkade.core.steps.holdings import is_standing
from parkade.core.units.money import MICROSECONDS_PER_HOUR, ceil_div
from parkade.core.units.time import DAY_US
from parkade.core.workloads.workload import Attempt, Workload

RUNS_PER_HOLD = 4
"""So many times longer than its start was late does an attempt run for it to be free."""


def unused_us(attempt: Attempt, start_grace_us: int, until_us: int) -> int:
    """For how long an attempt that is billed to this instant held its seats before its first
    process, beyond the start grace and beyond what its run makes free. Of one for which others had
    to leave 0: that is billed anyway."""
    if attempt.displaced:
        return 0
    began_us = began_us_of(attempt, until_us)
    late_us = began_us - late_from_us(attempt, start_grace_us)
    return max(0, late_us - (until_us - began_us) // RUNS_PER_HOLD)


def began_us_of(attempt: Attempt, until_us: int) -> int:
    """When its hold ended: with its first process, or with it."""
    return until_us if attempt.started_us is None else min(attempt.started_us, until_us)


def has_free_hold(world: World, org: str, at_us: int) -> bool:
    """Whether the next hold of an org is the first of a day."""
    first = world.records.unstarted.get(org)
    return first is None or at_us - first.at_us >= DAY_US


def hold_micros(world: World, workload: Workload, now_us: int) -> int:
    """What would be billed for its hold if its org ended it now, whether or not it is the free one
    of the day."""
    attempt = workload.attempt
    if attempt is None or attempt.broken_us is not None or not attempt.rates:
        return 0
    grace_us = world.records.markets[workload.market].terms.start_grace_us
    until_us = billed_to_us(attempt, now_us)
    us = unused_us(attempt, grace_us, until_us)
    if us == 0:
        return 0
    began_us = began_us_of(attempt, until_us)
    owed = sum(
        span.rate.per_hour_micros(attempt.gpus) * (span.end_us - span.start_us)
        for span in spans(attempt, began_us - us, began_us)
    )
    return ceil_div(owed, MICROSECONDS_PER_HOUR)


def is_free_hold(world: World, workload: Workload, now_us: int) -> bool:
    """Whether a hold would surely be the free one of the day: no other workload of its org has
    seats. Cost grows with the org's live workloads up to the second with seats."""
    if not has_free_hold(world, workload.org, now_us):
        return False
    return not any(
        name != workload.workload and _has_seats(world.records.workloads[name])
        for name in world.live_of_org.get(workload.org, {})
    )


def _has_seats(workload: Workload) -> bool:
    return workload.attempt is not None or is_standing(workload)


def owed_hold_micros(world: World, workload: Workload, now_us: int) -> int:
    """What counts as owed for its hold."""
    micros = hold_micros(world, workload, now_us)
    return 0 if micros == 0 or is_free_hold(world, workload, now_us) else micros
