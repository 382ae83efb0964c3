"""What is missing to the minimum charge of what made others leave, and at which rate it is due.

Theory of operation
-------------------
What made others leave owes `minimum_charge` of use at its price. That alone would not do: of
several bids that push out one gang none may be needed for it, so that each pays the floor. So it
owes as well, in all, what those that it outbid would have paid in that time: what they had bid for
their GPUs on its nodes, less the switching credit, each node at most at its own bid for its GPUs
there. That is the price of a bid that pushes out others alone, so such a one owes nothing more.

    by time     minimum_charge less the time billed, at the rate
    by money    what it owes in all less what it was charged, as time at the rate
    the rate    the price in force, or what those that it outbid had bid if that is more

The greater of the two is missing. What is beyond the price is the operator's, so that no lender
makes others leave for a payout of its own.

Example (`tests/core/kernel/test_eviction_debts.py`). A gang on three nodes of 2 GPUs bid 5. Two
bids of one node each at 20 push it out, at a price of 0: without one of them the other would do as
well. Each owes 2 GPUs x 5 / 1.05 = 9.523808 an hour for 30 seconds, 0.079365 in all. Had each been
charged 0.05 for its use until it ends, after whatever time, 0.029365 would be missing.

Decision record 109.
"""

from msgspec.structs import replace

from parkade.core.billing.metering import billed_from_us, billed_to_us, billed_us, owed_numerator
from parkade.core.fleet.market import MarketTerms
from parkade.core.fleet.seat import by_node
from parkade.core.ledger.accounts import OPERATOR
from parkade.core.state.world import World
from parkade.core.units.money import MICROSECONDS_PER_HOUR, ceil_div
from parkade.core.workloads.workload import Attempt, Promise, Rate, Workload


def minimum_rate(workload: Workload, holder: Promise | Attempt) -> tuple[int, Rate]:
    """(GPUs, rate) of what is missing to the minimum. Cost grows with the seats."""
    gpus, rate = holder.gpus, holder.rates[-1]
    outbid_gpus, price_micros = _outbid(workload, holder)
    more = price_micros * outbid_gpus - rate.per_hour_micros(gpus)
    if more <= 0:
        return gpus, rate
    shares = dict(rate.shares)
    shares[OPERATOR] = shares.get(OPERATOR, 0) + more
    raised = replace(
        rate,
        price_micros=price_micros,
        shares=tuple(sorted(shares.items())),
        node_prices=(),
        gpus=None,
    )
    return outbid_gpus, raised


def _outbid(workload: Workload, holder: Promise | Attempt) -> tuple[int, int]:
    """(GPUs, price per GPU-hour) of its seats on nodes where others were outbid; zeros: none."""
    debt, limit_micros = holder.debt, workload.spec.limit_price_micros
    if debt is None or limit_micros is None:
        return 0, 0
    gpus = micros = 0
    for seat in by_node(holder.seats):
        here = debt.outbid_on(seat.node)
        if here:
            gpus += seat.gpus
            micros += min(here, limit_micros * seat.gpus)
    return (gpus, micros // gpus) if gpus else (0, 0)


def missing_us(
    workload: Workload, attempt: Attempt, minimum_us: int, *, used_us: int, used_micros: int
) -> int:
    """How much of the minimum is missing after so much use, as time at `minimum_rate`."""
    by_time_us = minimum_us - used_us
    outbid_gpus, price_micros = _outbid(workload, attempt)
    in_all = outbid_gpus * price_micros * minimum_us // MICROSECONDS_PER_HOUR
    if in_all <= used_micros:
        return max(0, by_time_us)
    gpus, rate = minimum_rate(workload, attempt)
    left = (in_all - used_micros) * MICROSECONDS_PER_HOUR
    return max(by_time_us, ceil_div(left, rate.per_hour_micros(gpus)))


def unmet_us(workload: Workload, terms: MarketTerms, now_us: int) -> int:
    """How much of the minimum its attempt has not used yet, as far as it is known now."""
    attempt = workload.attempt
    assert attempt is not None
    starts_us = billed_from_us(attempt, terms.start_grace_us)
    ends_us = billed_to_us(attempt, now_us)
    used = 0
    if starts_us is not None:
        used = owed_numerator(attempt, max(attempt.charged_until_us, starts_us), ends_us)
    used_micros = (attempt.charged_numerator + used) // MICROSECONDS_PER_HOUR
    used_micros += attempt.charged_micros
    return missing_us(
        workload,
        attempt,
        terms.minimum_charge_us,
        used_us=billed_us(attempt, terms, now_us),
        used_micros=used_micros,
    )


def owed_us(workload: Workload, terms: MarketTerms, now_us: int) -> int:
    """As `unmet_us`, and 0 where its attempt made no others leave."""
    attempt = workload.attempt
    if attempt is None or not attempt.owes_minimum:
        return 0
    return unmet_us(workload, terms, now_us)


def debt_micros(world: World, workload: Workload, now_us: int) -> int:
    """What it would cost now to give up seats for which others were told to leave; 0: nothing."""
    attempt, promise = workload.attempt, workload.promise
    is_promises = promise is not None and promise.owes_minimum
    terms = world.records.markets[workload.bids_in if is_promises else workload.market].terms
    if promise is not None and promise.owes_minimum:
        gpus, rate = minimum_rate(workload, promise)
        length_us = max(terms.minimum_charge_us, promise.waited_us(now_us))
    elif attempt is not None and (length_us := owed_us(workload, terms, now_us)):
        gpus, rate = minimum_rate(workload, attempt)
    else:
        return 0
    return rate.per_hour_micros(gpus) * length_us // MICROSECONDS_PER_HOUR
