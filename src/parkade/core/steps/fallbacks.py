"""When spot work with a deadline falls back to on-demand, and what is set aside for that.

Theory of operation
-------------------
`duration` is how long it runs in all. What it has *saved* of that follows from its reports alone:
of each attempt the time from its first process to its last finished checkpoint, or to the notice
after which it said that it saved, less `start_grace` for its start. It falls back at the last
moment at which the rest, on seats that others must leave first, is done by the deadline:

    falls back    deadline - (duration - saved) - leave - clearing pause - start grace
    ends          deadline + notice + kill: its notice comes at the deadline

From the one to the other its on-demand window is kept in the calendar, at the price of the day on
which it was submitted, and its cost is set aside. Every checkpoint moves the first later, so both
shrink while spot lasts.

Invariants. The moment only moves later, so the window only shrinks: the terms that bear on it are
those of the sale (`WindowTerms`), and what is saved only grows. It follows from the record, so
nothing else has to remember it.

Example (`tests/core/running/test_falling_back.py`): 48 hours of work due in 52, terms of 30 + 5 + 0
s to leave, a pause of 500 ms and a grace of 120 s. It falls back in 3 h 57 min 24.5 s. After ten
hours of spot with a checkpoint at the end of them, 9 h 58 min are saved: in 13 h 55 min 24.5 s.
Decision record 166.
"""

from parkade.core.fleet.market import Market
from parkade.core.units.money import MICROSECONDS_PER_HOUR, ceil_div
from parkade.core.workloads.deadline import WindowTerms
from parkade.core.workloads.workload import Workload


def terms_now(market: Market) -> WindowTerms:
    """Those with which a window is sold now."""
    return WindowTerms(
        notice_us=market.terms.notice_us,
        kill_us=market.terms.kill_us,
        turnaround_us=market.terms.turnaround_us,
        clearing_pause_us=market.terms.clearing_pause_us,
        start_grace_us=market.terms.start_grace_us,
    )


def _terms(market: Market, workload: Workload) -> WindowTerms:
    """Those of its sale; before it, and where they were not kept, those in force."""
    kept = workload.fallback
    return kept.terms if kept is not None and kept.terms is not None else terms_now(market)


def saved_us(market: Market, workload: Workload) -> int:
    """How much of its running is saved, over all attempts."""
    attempt = workload.attempt
    if attempt is None or attempt.checkpoint_us is None:
        return workload.saved_us
    return saved_until_us(market, workload, attempt.checkpoint_us)


def saved_until_us(market: Market, workload: Workload, until_us: int) -> int:
    """How much is saved where its attempt saved all that it had done by then."""
    attempt, grace_us = workload.attempt, _terms(market, workload).start_grace_us
    if attempt is None or attempt.started_us is None:
        return workload.saved_us
    return workload.saved_us + max(0, until_us - attempt.started_us - grace_us)


def must_end_us(market: Market, workload: Workload) -> int:
    """When its seats must be free: its notice comes at the deadline."""
    deadline, terms = workload.spec.deadline, _terms(market, workload)
    assert deadline is not None, "work without a deadline"
    return deadline.by_us + terms.notice_us + terms.kill_us


def falls_back_us(market: Market, workload: Workload) -> int:
    """The last moment at which on-demand still makes the deadline."""
    deadline, terms = workload.spec.deadline, _terms(market, workload)
    assert deadline is not None, "work without a deadline"
    rest_us = max(0, deadline.duration_us - saved_us(market, workload))
    starts_us = _leave_us(terms) + terms.clearing_pause_us + terms.start_grace_us
    return deadline.by_us - rest_us - starts_us


def fallback_micros(market: Market, workload: Workload) -> int:
    """What the window that is kept for it costs at most, rounded up; 0 where none is kept."""
    if workload.fallback is None:
        return 0
    rate = workload.fallback.price_micros * workload.spec.total_gpus
    span_us = must_end_us(market, workload) - falls_back_us(market, workload)
    leave_us = _leave_us(_terms(market, workload))
    return ceil_div(rate * (span_us + leave_us), MICROSECONDS_PER_HOUR)


def _leave_us(terms: WindowTerms) -> int:
    return terms.notice_us + terms.kill_us + terms.turnaround_us
