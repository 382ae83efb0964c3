"""What is set aside before it is spent: earmarks of bids, windows that were sold, and what is owed.

A workload takes part in a clearing only while its org, its user's cap and its `max_spend` can
bear what it may cost until it could be gone after the *next* clearing. That is why a balance
never falls below zero: whatever a bid is charged in that time was set aside before.

    earmark = limit x GPUs x (clearing interval + notice + kill + start grace until it has started,
              at least the minimum charge until then)

Example (`tests/core/billing/test_commitments.py`): two GPUs, a limit of one micro-unit a second,
and terms of 30 + 30 + 5 + 120 s: 370 micro-units are set aside, and 130 once the workload has
started.

    owes      what is accrued, what may be billed for a slow start (`billing.slow_starts`), and what
              ranks cost that joined and may have begun unheard (`billing.unbegun_prices`)
    commits   on a reservation: what it owes · on-demand: and the rest of its window at the agreed
              price · spot: and its earmark, or, while it leaves, its rate until the kill; each at
              least what is missing to the minimum of what made others leave · and the window that
              is kept for a deadline, or that a list may buy
"""

from collections.abc import Callable, Iterator

from parkade.core.billing.live_ranks import (
    ending_debts_micros,
    exit_debts_micros,
    kept_rate,
    leaving_ranks_micros,
)
from parkade.core.billing.metering import accrued_micros, billed_to_us
from parkade.core.billing.minimum import debt_micros, minimum_rate, owed_us
from parkade.core.billing.slow_starts import owed_slow_start_micros
from parkade.core.billing.unbegun_prices import unheard_micros, unheard_per_hour_micros
from parkade.core.fleet.market import Market
from parkade.core.ledger.accounts import org_account
from parkade.core.state.people import NOTHING_SPENT, Cap, Spending
from parkade.core.state.world import World
from parkade.core.steps.holdings import is_standing
from parkade.core.steps.windows import kept_micros, window_micros
from parkade.core.units.money import MICROSECONDS_PER_HOUR, ceil_div
from parkade.core.units.time import month_of
from parkade.core.workloads.choices import as_bid_in
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Attempt, Workload

UNCAPPED_MICROS = 2**62
"""What work without a cap may still cost: more than any balance."""


def earmark_micros(
    market: Market, workload: Workload, nodes: int | None = None, *, is_new: bool = False
) -> int:
    """What must be set aside for a spot workload to take part in a clearing: its limit, until it
    could be gone at the latest after the next one; without the start grace once it has started and
    keeps its seats. `nodes`: of an elastic one; None: what it has, or its least. `is_new`: as if it
    had not started."""
    limit = workload.spec.limit_price_micros
    assert limit is not None, "only spot workloads have an earmark"
    attempt = workload.attempt
    has_started = attempt is not None and attempt.started_us is not None and attempt.stop is None
    has_started = has_started and not is_new
    gpus = (workload.ranks if nodes is None else nodes) * workload.spec.gpus
    return bid_earmark_micros(market, limit, gpus, has_started=has_started)


def bid_earmark_micros(
    market: Market, limit_micros: int, gpus: int, *, has_started: bool = False
) -> int:
    """The earmark of a bid of `limit_micros` per GPU-hour, rounded up: over the clearing interval,
    notice and kill, and until it has started the start grace, or the minimum charge if that is
    longer."""
    terms = market.terms
    span_us = terms.clearing_interval_us + terms.notice_us + terms.kill_us
    if not has_started:
        span_us = max(span_us + terms.start_grace_us, terms.minimum_charge_us)
    assert span_us > 0
    return ceil_div(limit_micros * gpus * span_us, MICROSECONDS_PER_HOUR)


def owed_micros(world: World, workload: Workload, now_us: int) -> int:
    """What it owes and has not been charged, with what may be billed for a slow start, and for
    ranks whose beginning was not heard of."""
    accrued = accrued_micros(world, workload, now_us)
    owed = accrued + owed_slow_start_micros(world, workload, now_us)
    attempt = workload.attempt
    if attempt is None or not attempt.ranks:
        return owed
    return owed + unheard_micros(attempt, billed_to_us(attempt, now_us))


def needed_micros(world: World, market: Market, workload: Workload, now_us: int) -> int:
    """What a bid needs beyond what it owes to take part in a clearing as it stands: its earmark, at
    its present price if that is above its limit, and at least what is missing to its minimum."""
    earmark = earmark_micros(market, workload)
    if workload.attempt is None and workload.promise is None:
        return earmark
    return max(earmark, exit_micros(world, workload, now_us))


def exit_micros(world: World, workload: Workload, now_us: int) -> int:
    """What a bid that is told now to leave still costs at most beyond what it owes: its rate until
    the kill, or what is missing to the minimum if that is more."""
    attempt, market = workload.attempt, world.records.markets[workload.market]
    use = 0
    if attempt is not None and attempt.stop is None and attempt.rates:
        # What ranks that leave alone cost is counted apart, until their own kill.
        present = kept_rate(attempt) if attempt.ranks else attempt.rates[-1]
        rate = present.per_hour_micros(attempt.gpus)
        use = ceil_div(rate * market.terms.leave_us, MICROSECONDS_PER_HOUR)
    return max(use, debt_micros(world, workload, now_us)) + _of_ranks(market, attempt, now_us)


def _of_ranks(market: Market, attempt: Attempt | None, now_us: int) -> int:
    """What ranks that took over a debt owe beyond their use until they could be gone."""
    if attempt is None or attempt.stop is not None:
        return 0
    terms = market.terms
    return exit_debts_micros(attempt, terms.minimum_charge_us, terms.leave_us, now_us)


def committed_micros(world: World, workload: Workload, now_us: int) -> int:
    """What of its org's balance a live workload has a claim on: what it owes, and what it may
    still cost before it could be stopped."""
    market = world.records.markets[workload.market]
    if workload.spec.capacity.kind is CapacityKind.SPOT:
        committed = committed_without_earmark(world, workload, now_us)
        if is_standing(workload):
            there = as_bid_in(workload, workload.bids_in)
            market = world.records.markets[there.market]
            committed += needed_micros(world, market, there, now_us)
        return committed
    owed = owed_micros(world, workload, now_us)
    if workload.spec.capacity.kind is CapacityKind.RESERVATION:
        return owed + kept_micros(market, workload, now_us)
    rest = _rest_of_window(market, workload, now_us)
    return owed + max(rest, debt_micros(world, workload, now_us))


def committed_without_earmark(world: World, workload: Workload, now_us: int) -> int:
    """As `committed_micros`, where the caller takes the earmark of a bid apart."""
    if workload.spec.capacity.kind is CapacityKind.SPOT:
        owed = owed_micros(world, workload, now_us)
        kept = kept_micros(world.records.markets[workload.market], workload, now_us)
        return owed + leaving_micros(world, workload, now_us) + kept
    return committed_micros(world, workload, now_us)


def leaving_micros(world: World, workload: Workload, now_us: int) -> int:
    """What an attempt, or ranks of a live one, that have their notice may still cost until they are
    killed; of a whole attempt at least what is missing to its minimum."""
    attempt = workload.attempt
    if attempt is None or not attempt.rates:
        return 0
    terms = world.records.markets[workload.market].terms
    if attempt.stop is None:
        return leaving_ranks_micros(attempt, terms.minimum_charge_us, now_us)
    owed = ending_debts_micros(attempt, terms.minimum_charge_us, now_us)
    assert attempt.stop.kill_us >= attempt.stop.deadline_us
    rate = attempt.rates[-1].per_hour_micros(attempt.gpus) + unheard_per_hour_micros(attempt)
    use = ceil_div(rate * max(0, attempt.stop.kill_us - now_us), MICROSECONDS_PER_HOUR)
    missing_us = owed_us(workload, terms, now_us)
    if missing_us == 0:
        return use + owed
    gpus, least = minimum_rate(workload, attempt)
    missing = ceil_div(least.per_hour_micros(gpus) * missing_us, MICROSECONDS_PER_HOUR)
    return max(use, missing) + owed


def _rest_of_window(market: Market, workload: Workload, now_us: int) -> int:
    assert workload.must_end_us is not None and workload.agreed_price_micros is not None
    rate = workload.agreed_price_micros * workload.spec.total_gpus
    return window_micros(market, rate, now_us=now_us, must_end_us=workload.must_end_us)


def available_micros(world: World, org: str, now_us: int) -> int:
    """What an org may still commit. Cost grows with its live workloads."""
    committed = cost_of(world, org, None, now_us, committed_micros)
    return world.ledger.balance(org_account(org)) - committed


def spending_of_user(world: World, user: str) -> Spending:
    """What the workloads of a user were charged."""
    return world.records.spending_by_user.get(user, NOTHING_SPENT)


def spending_of_org(world: World, org: str) -> Spending:
    """What the workloads of an org were charged."""
    return world.records.spending_by_org.get(org, NOTHING_SPENT)


def left_of_cap_micros(cap: Cap, spending: Spending, now_us: int) -> int:
    """What a cap on money leaves of its period, before what is owed; below zero where it was
    lowered since."""
    if cap.micros is None:
        return UNCAPPED_MICROS
    return cap.micros - spending.within(cap.period, month_of(now_us))


def allowance_micros(
    world: World, org: str, user: str, now_us: int, *, cost: Callable[[World, Workload, int], int]
) -> int:
    """What the caps of a user and of its org leave, whichever is less: less what was spent, and
    the `cost` of live workloads. Cost grows with the org's live workloads, where one has a cap."""
    lefts = left_by_caps(world, org, user, now_us, cost=cost)
    return min((left for left, _ in lefts), default=UNCAPPED_MICROS)


def left_by_caps(
    world: World, org: str, user: str, now_us: int, *, cost: Callable[[World, Workload, int], int]
) -> Iterator[tuple[int, str | None]]:
    """(what it leaves, its user, None: the org's) of each cap on money, as `allowance_micros`."""
    person, whole = world.records.users.get(user), world.records.orgs.get(org)
    if person is not None and person.cap is not None:
        live = cost_of(world, org, user, now_us, cost)
        yield left_of_cap_micros(person.cap, spending_of_user(world, user), now_us) - live, user
    if whole is not None and whole.cap is not None:
        live = cost_of(world, org, None, now_us, cost)
        yield left_of_cap_micros(whole.cap, spending_of_org(world, org), now_us) - live, None


def cost_of(
    world: World,
    org: str,
    user: str | None,
    now_us: int,
    cost: Callable[[World, Workload, int], int],
) -> int:
    """The `cost` of an org's live workloads, or of those of one of its users. Grows with them."""
    live = (world.records.workloads[name] for name in world.live_of_org.get(org, {}))
    return sum(cost(world, it, now_us) for it in live if user in (None, it.user))
