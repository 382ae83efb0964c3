"""Seats held before a first process: how much of that time is billed if its org ends it.

The rules are told in `running.unstarted`, which says whose doing an end was. What may be billed for
a slow start counts as owed, so that caps and balances are not passed by it:

- It grows until the first process, and falls by a quarter of the run that follows. What is left is
  the last of that time, at the prices of then: a price that rises later makes none dearer.
- What made others leave holds its seats from the launch too, though it starts late only after the
  notice of those: where they leave at once, their seats are its own until that notice ends.
- The time in which its promise held idle seats comes before it (`clearing.own_waits`), counted on
  all its GPUs, at the price with which it was launched.
- What is within the start grace is in the earmark until the first process, and counts from then on.
- What is beyond does not count where it would be the free slow start of its org in a day: of the
  only workload of the org that has seats. Before another gets seats it counts
  (`clearing.earmarks`).

Example (`tests/core/billing/test_slow_starts.py`). 16 GPUs at 2 a GPU-hour start 25 minutes after
the order, of which the start grace is 2: the other 23 minutes, 12.266667, are owed before the first
process, and all 25 after it, until it has run for 100.
"""

from typing import NamedTuple

from parkade.core.billing.metering import billed_to_us, late_from_us, owed_numerator
from parkade.core.state.world import World
from parkade.core.steps.holdings import is_standing
from parkade.core.units.money import MICROSECONDS_PER_HOUR, ceil_div
from parkade.core.units.time import DAY_US
from parkade.core.workloads.workload import Attempt, Workload

RUNS_PER_SLOW_START = 4
"""So many times longer than its start took does an attempt run for it to be free."""


class SlowStart(NamedTuple):
    """The time before a first process that its run does not make free."""

    ends_us: int
    """It is the last of the time up to here."""

    within_us: int
    """As much of it as the start grace is long."""

    beyond_us: int
    """What is before that, up to the launch; free for one attempt of an org in a day."""

    waited_us: int
    """What is before the launch."""

    @property
    def us(self) -> int:
        """All of it."""
        return self.due_us + self.beyond_us

    @property
    def due_us(self) -> int:
        """What is never free."""
        return self.within_us + self.waited_us


NO_SLOW_START = SlowStart(ends_us=0, within_us=0, beyond_us=0, waited_us=0)


def slow_start_of(attempt: Attempt, start_grace_us: int, until_us: int) -> SlowStart:
    """Of an attempt that is billed to this instant. What made others leave is billed anyway from
    when it is late, so that only the time before that is a slow start."""
    ends_us = began_us_of(attempt, until_us)
    if attempt.displaced:
        ends_us = min(ends_us, late_from_us(attempt, start_grace_us))
    took_us = max(0, ends_us - attempt.ordered_us - attempt.silent_us)
    run_us = until_us - began_us_of(attempt, until_us)
    us = max(0, took_us + attempt.waited_us - run_us // RUNS_PER_SLOW_START)
    within_us = min(us, took_us, start_grace_us)
    beyond_us = min(us, took_us) - within_us
    return SlowStart(
        ends_us=ends_us,
        within_us=within_us,
        beyond_us=beyond_us,
        waited_us=us - within_us - beyond_us,
    )


def began_us_of(attempt: Attempt, until_us: int) -> int:
    """When its slow start ended: with its first process, or with it."""
    return until_us if attempt.started_us is None else min(attempt.started_us, until_us)


def has_free_slow_start(world: World, org: str, at_us: int) -> bool:
    """Whether the next slow start of an org is the first of a day."""
    first = world.records.unstarted.get(org)
    return first is None or at_us - first.at_us >= DAY_US


def _slow_start_micros(world: World, workload: Workload, now_us: int) -> tuple[int, int, int]:
    """What would be billed for its slow start if its org ended it now: (within the start grace,
    beyond it where that is not the free one of the day, before the launch)."""
    attempt = workload.attempt
    if attempt is None or attempt.broken_us is not None or not attempt.rates:
        return 0, 0, 0
    grace_us = world.records.markets[workload.market].terms.start_grace_us
    slow_start = slow_start_of(attempt, grace_us, billed_to_us(attempt, now_us))
    if not slow_start.us:
        return 0, 0, 0
    within_from_us = slow_start.ends_us - slow_start.within_us
    beyond_from_us = within_from_us - slow_start.beyond_us
    return (
        _rounded_up(attempt, within_from_us, slow_start.ends_us),
        _rounded_up(attempt, beyond_from_us, within_from_us),
        _rounded_up(attempt, beyond_from_us - slow_start.waited_us, beyond_from_us),
    )


def _rounded_up(attempt: Attempt, from_us: int, to_us: int) -> int:
    return ceil_div(owed_numerator(attempt, from_us, to_us), MICROSECONDS_PER_HOUR)


def free_slow_start_micros(world: World, workload: Workload, now_us: int) -> int:
    """What does not count as owed for its slow start: that is the free one of the day for now."""
    _, beyond, _ = _slow_start_micros(world, workload, now_us)
    return beyond if beyond and is_free_slow_start(world, workload, now_us) else 0


def is_free_slow_start(world: World, workload: Workload, now_us: int) -> bool:
    """Whether a slow start would surely be the free one of the day: no other workload of its org
    has seats. Cost grows with the org's live workloads up to the second with seats."""
    if not has_free_slow_start(world, workload.org, now_us):
        return False
    return not any(
        name != workload.workload and _has_seats(world.records.workloads[name])
        for name in world.live_of_org.get(workload.org, {})
    )


def _has_seats(workload: Workload) -> bool:
    return workload.attempt is not None or is_standing(workload)


def owed_slow_start_micros(world: World, workload: Workload, now_us: int) -> int:
    """What counts as owed for its slow start, and for seats that are promised to it and idle."""
    attempt = workload.attempt
    within, beyond, waited = _slow_start_micros(world, workload, now_us)
    if beyond and is_free_slow_start(world, workload, now_us):
        beyond = 0
    if attempt is not None and attempt.started_us is None and attempt.stop is None:
        within = 0
    return within + beyond + waited + promised_wait_micros(workload, now_us)


def promised_wait_micros(workload: Workload, now_us: int) -> int:
    """What it would cost now to give up a promise whose seats were idle for its own org; 0 where
    the minimum charge has it."""
    promise = workload.promise
    if promise is None or promise.owes_minimum:
        return 0
    rate = promise.rates[-1].per_hour_micros(promise.gpus)
    return ceil_div(rate * promise.waited_us(now_us), MICROSECONDS_PER_HOUR)
