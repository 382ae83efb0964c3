"""For which time an attempt is billed and at which rates; what it owes that is not charged yet.

The theory is told in `billing.charges`, which posts what is measured here.
"""

from itertools import pairwise

import msgspec

from parkade.core.fleet.market import MarketTerms
from parkade.core.state.world import World
from parkade.core.units.money import MICROSECONDS_PER_HOUR, ceil_div
from parkade.core.units.time import HOUR_US
from parkade.core.workloads.workload import Attempt, Rate, Workload


class Span(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A stretch of use at one rate: [start_us, end_us)."""

    rate: Rate
    start_us: int
    end_us: int


def billed_from_us(attempt: Attempt, start_grace_us: int) -> int | None:
    """From when an attempt is billed: its first process, or, where others had to leave for it,
    when its start is late if that comes first; None while neither is known."""
    if not attempt.displaced:
        return attempt.started_us
    late_us = late_from_us(attempt, start_grace_us)
    return late_us if attempt.started_us is None else min(attempt.started_us, late_us)


def late_from_us(attempt: Attempt, start_grace_us: int) -> int:
    """When the start of an attempt is late: the start grace after the launch, or after the end of
    the notice of those who left for it. Until then, and while its agent is not heard, the platform
    is late."""
    assert start_grace_us >= 0
    notice_ends_us = attempt.debt.notice_ends_us if attempt.debt is not None else 0
    return max(attempt.ordered_us, notice_ends_us) + start_grace_us + attempt.silent_us


def billed_us(attempt: Attempt, terms: MarketTerms, now_us: int) -> int:
    """For how long an attempt is billed up to now."""
    starts_us = billed_from_us(attempt, terms.start_grace_us)
    return 0 if starts_us is None else max(0, billed_to_us(attempt, now_us) - starts_us)


def billed_to_us(attempt: Attempt, now_us: int) -> int:
    """Until when an attempt is billed at most: a kill's time or a node's failure ends it."""
    ends = [now_us]
    if attempt.stop is not None:
        ends.append(attempt.stop.kill_us)
    if attempt.broken_us is not None:
        ends.append(attempt.broken_us)
    return min(ends)


def spans(attempt: Attempt, start_us: int, end_us: int) -> tuple[Span, ...]:
    """The attempt's rates cut to [start, end), in order; the first also holds before it began.

    Cost grows with the rates since the last posting: at most one a clearing for an hour.
    """
    assert attempt.rates, "an attempt always has the rate in force"
    if len(attempt.rates) == 1:
        if start_us >= end_us:
            return ()
        return (Span(rate=attempt.rates[0], start_us=start_us, end_us=end_us),)
    found = []
    ends = [rate.from_us for rate in attempt.rates[1:]]
    begins_us = start_us
    for rate, rate_ends_us in zip(attempt.rates, [*ends, end_us], strict=True):
        ends_us = min(rate_ends_us, end_us)
        if begins_us < ends_us:
            found.append(Span(rate=rate, start_us=begins_us, end_us=ends_us))
            begins_us = ends_us
    return tuple(found)


def owed_numerator(attempt: Attempt, start_us: int, end_us: int) -> int:
    """What the attempt's use in [start, end) costs, in micro-units per hour x microseconds: the sum
    over its `spans`, without making them. Asked for each live workload in each clearing."""
    if start_us >= end_us:
        return 0
    gpus, owed, begins_us = attempt.gpus, 0, start_us
    for rate, following in pairwise(attempt.rates):
        if following.from_us > begins_us:
            ends_us = min(following.from_us, end_us)
            owed += rate.per_hour_micros(gpus) * (ends_us - begins_us)
            begins_us = ends_us
            if begins_us == end_us:
                return owed
    return owed + attempt.rates[-1].per_hour_micros(gpus) * (end_us - begins_us)


def accrued_micros(world: World, workload: Workload, now_us: int) -> int:
    """What the workload's attempt owes and has not been charged, rounded up."""
    attempt = workload.attempt
    if attempt is None:
        return 0
    starts_us = billed_from_us(attempt, _start_grace_us(world, workload))
    if starts_us is None:
        return 0
    assert 0 <= attempt.charged_numerator < MICROSECONDS_PER_HOUR
    start_us, end_us = max(attempt.charged_until_us, starts_us), billed_to_us(attempt, now_us)
    owed = owed_numerator(attempt, start_us, end_us) - _beyond_kills(attempt, start_us, end_us)
    return ceil_div(attempt.charged_numerator + owed, MICROSECONDS_PER_HOUR)


def _beyond_kills(attempt: Attempt, start_us: int, end_us: int) -> int:
    """Of its use in [start, end) that of ranks which leave alone after their kill: they are still
    among its seats until they are seen gone, and billed no longer."""
    return sum(
        rank.leaving.price_micros
        * rank.seat.gpus
        * max(0, end_us - max(start_us, rank.leaving.stop.kill_us))
        for rank in attempt.ranks
        if rank.leaving is not None
    )


def _start_grace_us(world: World, workload: Workload) -> int:
    return world.records.markets[workload.market].terms.start_grace_us


def accrued_spans(world: World, workload: Workload, now_us: int) -> tuple[Span, ...]:
    """The stretches of use that the workload's attempt owes for and has not been charged."""
    attempt = workload.attempt
    if attempt is None:
        return ()
    starts_us = billed_from_us(attempt, _start_grace_us(world, workload))
    if starts_us is None:
        return ()
    start_us = max(attempt.charged_until_us, starts_us)
    return spans(attempt, start_us, billed_to_us(attempt, now_us))


def accrued_with_members_micros(world: World, workload: Workload, now_us: int) -> int:
    """The same; of an array that of its open members together."""
    if workload.array is None:
        return accrued_micros(world, workload, now_us)
    members = (world.records.workloads[it] for it in world.members.of(workload.workload).names)
    return sum(accrued_micros(world, member, now_us) for member in members)


def accrued_by_user(world: World, org: str, now_us: int) -> dict[str, int]:
    """What each user of an org owes and has not been charged. Cost grows with the org's live
    workloads."""
    found: dict[str, int] = {}
    for name in world.live_of_org.get(org, {}):
        workload = world.records.workloads[name]
        owed = accrued_micros(world, workload, now_us)
        found[workload.user] = found.get(workload.user, 0) + owed
    return found


def settled_until_us(attempt: Attempt, at_us: int) -> int:
    """Up to when use is beyond dispute. An attempt that is stopped with less time than promised is
    not billed since its last reported checkpoint, at most an hour; so that much is posted late."""
    return max(attempt.checkpoint_us or 0, at_us - HOUR_US)
