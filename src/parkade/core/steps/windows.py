"""What an on-demand window costs at most, and the window at the end of a list of capacity.

Theory of operation
-------------------
`capacity: [reservation/acme, on-demand]` buys where the reservation gives it nothing. The price is
agreed with the submission, and what the window costs at most is set aside from then
on, so that no later bid of the org spends it. The window itself is sold in the clearing that gives
the list nothing before its last entry (`clearing.windows`):

    ends    `max_duration` after the first start, or, where it never started, after the purchase and
            the time in which others leave
    costs   the agreed price x GPUs, from now until it is gone after that end

Once bought it is on-demand in everything. Where the work goes on with another entry the window is
the market's again, and its cost is set aside as before.

Example (`tests/core/clearing/test_on_demand_entries.py`). Two GPUs for an hour at 4.00, others
leave in 35 s: 8.155556 is set aside (8.00 x 3670 / 3600, rounded up). Decision record 219.
"""

from parkade.core.fleet.market import Market
from parkade.core.steps.fallbacks import fallback_micros
from parkade.core.units.money import MICROSECONDS_PER_HOUR, ceil_div
from parkade.core.workloads.entries import may_buy
from parkade.core.workloads.workload import Workload


def window_end_us(market: Market, workload: Workload, now_us: int) -> int:
    """When a window that it bought now would end."""
    if workload.must_end_us is not None:
        return workload.must_end_us
    assert workload.spec.max_duration_us is not None, "a window has an end"
    return now_us + market.terms.leave_us + workload.spec.max_duration_us


def window_micros(market: Market, rate_micros: int, *, now_us: int, must_end_us: int) -> int:
    """What on-demand at a rate per hour still costs at most until it is killed after the end of
    its window, rounded up."""
    rest_us = max(0, must_end_us + market.terms.leave_us - now_us)
    return ceil_div(rate_micros * rest_us, MICROSECONDS_PER_HOUR)


def unbought_micros(market: Market, workload: Workload, now_us: int) -> int:
    """What the window that it may buy costs at most, and no less than its minimum charge, as others
    may have to leave for it; 0 where it has none."""
    if not may_buy(workload):
        return 0
    assert workload.window_price_micros is not None
    rate = workload.window_price_micros * workload.spec.total_gpus
    ends_us = window_end_us(market, workload, now_us)
    least = ceil_div(rate * market.terms.minimum_charge_us, MICROSECONDS_PER_HOUR)
    return max(least, window_micros(market, rate, now_us=now_us, must_end_us=ends_us))


def keeps_window(workload: Workload) -> bool:
    """Whether money is set aside for on-demand that it may become."""
    return workload.fallback is not None or may_buy(workload)


def kept_micros(market: Market, workload: Workload, now_us: int) -> int:
    """What is set aside for on-demand that it may become: by its deadline, or by its list."""
    return fallback_micros(market, workload) + unbought_micros(market, workload, now_us)
