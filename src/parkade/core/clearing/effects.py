"""The effect of a clearing.

A price above the limit of the bid stops the process here. A bid may be lowered later, and its
price stands until the next clearing: only here do both belong to one instant.
"""

from msgspec.structs import replace

from parkade.core.billing.live_ranks import with_price, with_ranks
from parkade.core.market.outcome import WaitReason
from parkade.core.reservations.reservation import Claim
from parkade.core.state import events, lines
from parkade.core.state.world import World
from parkade.core.steps.changes import put_market, step, vacate
from parkade.core.workloads.choices import limit_in, settled
from parkade.core.workloads.life import NO_REAL_BID, Phase, Why
from parkade.core.workloads.ranks import kept_by
from parkade.core.workloads.workload import Rate, Workload

LOST = frozenset(WaitReason)
"""Reasons for which what took part in a clearing has no seats."""


def clear(world: World, event: events.Cleared) -> None:
    """Notices and withdrawals first, so that what they free can be promised."""
    ladders = {event.market: event.ladder} | {it.market: it.ladder for it in event.linked}
    assert all(event.at_us >= world.records.markets[it].cleared_us for it in ladders)
    for leaving in event.left:
        _leave(world, leaving, event.at_us)
    for resized in event.resized:
        _resize(world, resized, event.at_us)
    for kept in event.claims:
        _keep(world, kept, event.at_us)
    for won in event.won:
        _win(world, won, event.at_us)
    for repriced in event.repriced:
        _reprice(world, repriced)
    for waiting in event.waiting:
        _wait(world, waiting, event.at_us)
    for name, ladder in ladders.items():
        put_market(
            world,
            name,
            ladder=ladder,
            cleared_us=event.at_us,
            clearings=world.records.markets[name].clearings + 1,
        )


def _leave(world: World, leaving: lines.Leaving, at_us: int) -> None:
    if isinstance(leaving.demand, lines.ClaimDemand):
        claim = _vacated(world, leaving.demand.claim, at_us)
        world.put_claim(
            replace(
                claim,
                seats=(),
                promised_us=None,
                seated_us=None,
                why=leaving.why,
                replacements=(),
            )
        )
        return
    workload = world.records.workloads[leaving.demand.workload]
    attempt = workload.attempt
    if leaving.stop is not None:
        assert attempt is not None
        before = attempt.stop
        assert before is None or leaving.stop.deadline_us <= before.deadline_us
        debt = attempt.debt
        if leaving.is_due and debt is not None:
            debt = replace(debt, is_due=True)
        if leaving.is_due:
            ranks = tuple(replace(it, is_due=it.owed is not None) for it in attempt.ranks)
            attempt = replace(attempt, ranks=ranks)
        is_own = leaving.is_due or leaving.is_own_choice
        attempt = replace(attempt, stop=leaving.stop, debt=debt, is_lost_to_own=is_own)
    left = replace(
        workload,
        phase=leaving.phase,
        why=leaving.why,
        price_to_win_micros=leaving.price_to_win_micros,
        attempt=attempt,
        promise=None,
    )
    step(world, workload, settled(left))


def _keep(world: World, kept: lines.ClaimKept, at_us: int) -> None:
    """A claim that was handed over has lost nodes, or is promised others in their place."""
    claim = world.records.claims[kept.claim]
    assert kept.seats and claim.seated_us is not None, f"{kept.claim} has nothing to keep"
    lost = tuple(seat for seat in claim.seats if seat not in kept.seats)
    vacate(world, lost, at_us)
    world.put_claim(replace(claim, seats=kept.seats, replacements=kept.replacements, why=kept.why))


def _vacated(world: World, name: str, at_us: int) -> Claim:
    """A claim that leaves the seats it had, if any, to the next tenant."""
    claim = world.records.claims[name]
    if claim.seated_us is not None:
        vacate(world, claim.seats, at_us)
    return claim


def _win(world: World, won: lines.Won, at_us: int) -> None:
    assert won.promise.seats and won.promise.busy <= len(won.promise.seats)
    if isinstance(won.demand, lines.ClaimDemand):
        claim = _vacated(world, won.demand.claim, at_us)
        seats, promised_us = won.promise.seats, won.promise.promised_us
        world.put_claim(
            replace(
                claim,
                seats=seats,
                promised_us=promised_us,
                seated_us=None,
                why=Why.PLACED,
                busy=won.promise.busy,
                short_us=None,
                short_gpus=None,
                replacements=(),
            )
        )
        return
    workload = world.records.workloads[won.demand.workload]
    for rate in won.promise.rates:
        _assert_within_limit(workload, won.promise.market or workload.market, rate)
    phase = workload.phase if workload.attempt is not None else Phase.PLACED
    placed = replace(
        workload,
        phase=phase,
        why=workload.why if workload.attempt is not None else Why.PLACED,
        promise=won.promise,
        price_set_by=won.price_set_by,
        price_to_win_micros=None,
        short_us=None,
        short_gpus=None,
        moved=won.moved,
        has_lost=False,
        answers=won.answers,
    )
    step(world, workload, settled(placed))


def _resize(world: World, resized: lines.Resized, at_us: int) -> None:
    """Ranks of a live attempt have their notice, and it is promised no more than it has."""
    workload = world.records.workloads[resized.workload]
    attempt = workload.attempt
    assert attempt is not None and workload.changes_live
    _assert_within_limit(workload, workload.market, resized.rate)
    assert len(kept_by(resized.ranks)) >= workload.spec.nodes, "fewer ranks than it needs"
    changed = with_ranks(attempt, resized.ranks, resized.rate, at_us)
    changed = replace(changed, resizes=resized.resizes)
    price_set_by = resized.price_set_by
    world.put_workload(replace(workload, attempt=changed, promise=None, price_set_by=price_set_by))


def _reprice(world: World, repriced: lines.Repriced) -> None:
    workload = world.records.workloads[repriced.workload]
    attempt, promise = workload.attempt, workload.promise
    _assert_within_limit(workload, workload.bids_in, repriced.rate)
    if promise is not None:
        promise = replace(promise, rates=(repriced.rate,))
    else:
        assert attempt is not None and attempt.stop is None
        if workload.is_live:
            attempt = with_price(attempt, repriced.rate)
        else:
            attempt = replace(attempt, rates=(*attempt.rates, repriced.rate))
    world.put_workload(
        replace(workload, attempt=attempt, promise=promise, price_set_by=repriced.price_set_by)
    )


def _assert_within_limit(workload: Workload, market: str, rate: Rate) -> None:
    """Invariant 14: what has a limit pays at most that."""
    limit = limit_in(workload, market)
    highest = max((rate.price_micros, *rate.node_prices))
    is_within = limit is None or 0 <= rate.price_micros <= highest <= limit
    assert is_within, f"{workload.workload} would pay {rate.price_micros}, its limit is {limit}"


def _wait(world: World, waiting: lines.Waiting, at_us: int) -> None:
    if isinstance(waiting.demand, lines.ClaimDemand):
        claim = world.records.claims[waiting.demand.claim]
        world.put_claim(
            replace(claim, why=waiting.why, short_us=_short_us(claim.short_us, waiting, at_us))
        )
        return
    workload = world.records.workloads[waiting.demand.workload]
    assert workload.attempt is None and workload.promise is None
    is_real = workload.why in NO_REAL_BID and waiting.why not in NO_REAL_BID
    world.put_workload(
        replace(
            workload,
            why=waiting.why,
            price_to_win_micros=waiting.price_to_win_micros,
            answers=waiting.answers,
            bids_since_us=at_us if is_real else workload.bids_since_us,
            has_lost=workload.has_lost or waiting.why in LOST,
            short_us=_short_us(workload.short_us, waiting, at_us),
        )
    )


def _short_us(before_us: int | None, waiting: lines.Waiting, at_us: int) -> int | None:
    """Since when it is short, where an older journal says it here."""
    if waiting.is_short is None:
        return before_us
    if not waiting.is_short:
        return None
    return at_us if before_us is None else before_us
