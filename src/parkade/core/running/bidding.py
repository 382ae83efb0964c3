"""Limits of spot workloads: which are refused, and how one is changed."""

from parkade.core.billing.charges import Postings, with_spent
from parkade.core.billing.commitments import bid_earmark_micros
from parkade.core.billing.minimum import owed_us
from parkade.core.fleet.market import Market
from parkade.core.running.live import forgiven, minimum_of
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.refusals import Decision, invalid
from parkade.core.units import bounds
from parkade.core.units.money import format_amount
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.spec import Spec
from parkade.core.workloads.workload import Workload


def bad_bid(market: Market, spec: Spec, limit_micros: int | None) -> Refusal | None:
    """What is wrong with a limit, and with `max_spend` at it."""
    if limit_micros is None:
        return Refusal(
            reason=Reason.LIMIT_REQUIRED,
            detail="spot needs limit_price, the most you pay per GPU-hour",
            field="limit_price",
        )
    if not bounds.LIMIT_PRICE_MICROS.holds(limit_micros):
        return invalid("limit_price", "a limit is more than 0 and at most 1,000,000 per GPU-hour")
    most = spec.max_spend_micros
    if most is None:
        return None
    least = bid_earmark_micros(market, limit_micros, spec.total_gpus)
    if most < least:
        return invalid(
            "max_spend",
            f"less than one clearing could cost at this limit; give at least"
            f" {format_amount(least)}",
        )
    return None


def change_of_bid(
    world: World, postings: Postings, workload: Workload, limit_price_micros: int, now_us: int
) -> Decision:
    """A limit that may be bid in place of the one that a workload has; no event where it is the
    same. What uses a reservation of its list bids with it later, and owes nothing by it."""
    limit_micros = workload.spec.bid_limit_micros
    assert limit_micros is not None, "every bid has a limit"
    if limit_price_micros == limit_micros:
        return ()
    change = events.BidChanged(
        at_us=now_us, workload=workload.workload, limit_price_micros=limit_price_micros
    )
    is_later = workload.spec.limit_price_micros is None
    if limit_price_micros > limit_micros or is_later:
        return (change,)
    attempt = workload.attempt
    if attempt is not None and attempt.started_us is None and attempt.stop is None:
        return Refusal(
            reason=Reason.CONFLICT,
            detail="it has its seats and starts; its bid can be lowered once it runs, or cancelled",
        )
    if _has_to_start(workload):
        return Refusal(
            reason=Reason.CONFLICT,
            detail="others got their notice for this bid; it can be lowered once it has started,"
            " or cancelled for the minimum charge",
        )
    wait = None if workload.promise is None else workload.promise.own_wait
    if wait is not None and wait.names:
        return Refusal(
            reason=Reason.CONFLICT,
            detail=f"its seats wait for {', '.join(wait.names)}; it can be lowered once it has"
            " started, or cancelled",
        )
    charged = _charge_of_lowering(world, postings, workload, now_us)
    attempt = workload.attempt
    ranks = () if attempt is None else attempt.ranks
    for each in charged:
        workload = with_spent(workload, each)
    owed = minimum_of(world, postings, workload, ranks, now_us)
    return (*charged, *owed, *forgiven(workload, now_us), change)


def _has_to_start(workload: Workload) -> bool:
    """Whether others were told to leave for it and it has not run there yet."""
    promise, attempt = workload.promise, workload.attempt
    if promise is not None and promise.displaces:
        return True
    return attempt is not None and attempt.displaced and attempt.started_us is None


def _charge_of_lowering(
    world: World, postings: Postings, workload: Workload, now_us: int
) -> tuple[events.WithdrawalCharged, ...]:
    """What is missing to the minimum charge is due when a bid that made others leave is lowered."""
    terms = world.records.markets[workload.market].terms
    missing_us = owed_us(workload, terms, now_us)
    if not missing_us:
        return ()
    charge = postings.post_lowering(workload, missing_us=missing_us, at_us=now_us)
    return () if charge is None else (charge,)
