"""The only code that changes the world: each event's effect, at a cost set by the event."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from parkade.core.fleet.seat import Seat
from parkade.core.ledger.accounts import Transfer, TransferKind
from parkade.core.units.time import DAY_US
from parkade.core.workloads.life import Phase, is_allowed
from parkade.core.workloads.workload import Attempt, Rate, Workload
from parkade.core.world import events as happened
from parkade.core.world.world import World

__all__ = ["evolve"]


def evolve(world: World, event: happened.Event) -> None:
    """Applies one event. An assertion here is a bug that stops the process."""
    world.records.now_us = max(world.records.now_us, event.at_us)
    effect = EFFECTS.get(type(event))
    assert effect is not None, f"no effect for {type(event).__name__}"
    effect(world, event)


def _open_epoch(world: World, event: happened.EpochOpened) -> None:
    assert event.epoch == world.records.epoch + 1
    world.records.epoch = event.epoch


def _doubt_clock(world: World, _event: happened.ClockJumped) -> None:
    world.records.is_clock_doubted = True


def _trust_clock(world: World, _event: happened.ClockConfirmed) -> None:
    world.records.is_clock_doubted = False


def _open_pool(world: World, event: happened.PoolOpened) -> None:
    records = world.records
    assert event.market.market not in records.markets
    records.markets[event.market.market] = event.market
    for node in event.nodes:
        assert node.node not in records.nodes
        records.nodes[node.node] = node
        world.held_on[node.node] = {}
        world.promised_on[node.node] = {}


def _set_prices(world: World, event: happened.PricesSet) -> None:
    market = world.records.markets[event.market]
    terms = replace(
        market.terms,
        pay_as_you_go_micros=event.pay_as_you_go_micros,
        reservation_rate_micros=event.reservation_rate_micros,
        public_floor_micros=event.public_floor_micros,
    )
    world.records.markets[event.market] = replace(market, terms=terms)


def _create_org(world: World, event: happened.OrgCreated) -> None:
    assert event.org.org not in world.records.orgs
    world.records.orgs[event.org.org] = event.org


def _create_user(world: World, event: happened.UserCreated) -> None:
    assert event.user.user not in world.records.users
    world.records.users[event.user.user] = event.user


def _add_token(world: World, event: happened.TokenAdded) -> None:
    world.records.tokens[event.token.token] = event.token
    world.tokens_by_digest[event.token.digest] = event.token.token


def _revoke_token(world: World, event: happened.TokenRevoked) -> None:
    token = world.records.tokens[event.token]
    world.records.tokens[event.token] = replace(token, is_revoked=True)


def _move_money(world: World, event: happened.MoneyMoved) -> None:
    _post(world, event.transfers)
    if event.market is not None:
        owed = world.records.owed.setdefault(event.market, {})
        owed.update(event.owed)
    if event.workload is None:
        return
    workload = world.records.workloads[event.workload]
    paid = sum(transfer.micros for transfer in event.transfers if _is_paid_by_user(transfer))
    attempt = workload.attempt
    if attempt is not None:
        _note_use(world, workload, event)
        attempt = replace(
            attempt,
            charged_until_us=event.charged_until_us,
            charged_numerator=event.charged_numerator,
            billed_us=attempt.billed_us + event.billed_us,
            posted_us=event.at_us,
            rates=rates_from(attempt.rates, event.charged_until_us),
        )
    world.put_workload(
        replace(workload, attempt=attempt, spent_micros=workload.spent_micros + paid)
    )


def rates_from(rates: tuple[Rate, ...], from_us: int) -> tuple[Rate, ...]:
    """The rates that still matter from an instant on: the one in force then, and all later."""
    first = 0
    for place, rate in enumerate(rates):
        if rate.from_us <= from_us:
            first = place
    return rates[first:]


def _is_paid_by_user(transfer: Transfer) -> bool:
    return transfer.kind in (TransferKind.USAGE, TransferKind.MINIMUM_CHARGE)


def _note_use(world: World, workload: Workload, event: happened.MoneyMoved) -> None:
    """Counts spot GPU time by day, for a week: the tie-break of the order of right."""
    if workload.spec.limit_price_micros is None or event.billed_us == 0:
        return
    days = world.records.use_by_day.setdefault(workload.org, {})
    today = event.at_us // DAY_US
    days[today] = days.get(today, 0) + workload.gpus * event.billed_us
    for day in [day for day in days if day <= today - 7]:
        del days[day]


def _post(world: World, transfers: tuple[Transfer, ...]) -> None:
    for transfer in transfers:
        world.ledger.post(transfer)


def _reserve(world: World, event: happened.Reserved) -> None:
    reservation = event.reservation
    assert reservation.reservation not in world.records.reservations
    _count(world, "reservation")
    world.put_reservation(reservation)


def _pay_reservation(world: World, event: happened.ReservationPaid) -> None:
    _post(world, event.transfers)
    reservation = world.records.reservations[event.reservation]
    world.put_reservation(replace(reservation, paid_until_us=event.paid_until_us))


def _change_reservation(world: World, event: happened.ReservationChanged) -> None:
    reservation = world.records.reservations[event.reservation]
    window = replace(reservation.window, end_us=event.end_us)
    world.put_reservation(replace(reservation, state=event.state, window=window))


def _set_lending(world: World, event: happened.LendingSet) -> None:
    reservation = world.records.reservations[event.reservation]
    world.put_reservation(replace(reservation, lending=event.lending))


def _claim(world: World, event: happened.Claimed) -> None:
    _count(world, "claim")
    world.put_claim(event.claim)


def _seat_claim(world: World, event: happened.ClaimSeated) -> None:
    claim = world.records.claims[event.claim]
    assert claim.seats and claim.seated_us is None
    _occupy(world, claim.org, claim.seats)
    world.put_claim(replace(claim, seated_us=event.at_us, why=""))


def _unclaim(world: World, event: happened.Unclaimed) -> None:
    claim = world.records.claims[event.claim]
    if claim.seated_us is not None:
        _vacate(world, claim.seats, event.at_us)
    world.drop_claim(event.claim)


def _submit(world: World, event: happened.Submitted) -> None:
    assert event.workload.workload not in world.records.workloads
    _count(world, "workload")
    world.put_workload(event.workload)


def _change_phase(world: World, event: happened.PhaseChanged) -> None:
    workload = world.records.workloads[event.workload]
    assert workload.attempt is None, "a workload with an attempt ends by its release"
    ended_us = event.at_us if event.phase.is_ended else None
    _step(
        world,
        workload,
        replace(workload, phase=event.phase, why=event.why, promise=None, ended_us=ended_us),
    )


def _change_bid(world: World, event: happened.BidChanged) -> None:
    workload = world.records.workloads[event.workload]
    spec = replace(workload.spec, limit_price_micros=event.limit_price_micros)
    world.put_workload(replace(workload, spec=spec))


def _order_stop(world: World, event: happened.StopOrdered) -> None:
    workload = world.records.workloads[event.workload]
    attempt = workload.attempt
    assert attempt is not None
    before = attempt.stop
    assert before is None or event.stop.deadline_us <= before.deadline_us
    _step(
        world,
        workload,
        replace(
            workload,
            phase=event.phase,
            why=event.stop.cause.value,
            promise=None,
            attempt=replace(attempt, stop=event.stop),
        ),
    )


def _set_health(world: World, event: happened.NodeHealthSet) -> None:
    _put_node(world, event.node, health=event.health, health_reason=event.reason)


def _cordon(world: World, event: happened.NodeCordoned) -> None:
    node = world.records.nodes[event.node]
    _put_node(world, event.node, cordons=(*node.cordons, event.cordon))


def _uncordon(world: World, event: happened.NodeUncordoned) -> None:
    node = world.records.nodes[event.node]
    cordons = tuple(cordon for cordon in node.cordons if cordon.holder != event.holder)
    _put_node(world, event.node, cordons=cordons)


def _put_node(world: World, node: str, **changes: object) -> None:
    world.records.nodes[node] = replace(world.records.nodes[node], **changes)
    world.wake_promises(node)


def _change_reachability(world: World, event: happened.ReachabilityChanged) -> None:
    _put_market(world, event.market, is_reachable=event.is_reachable)
    for node, promised in world.promised_on.items():
        if promised:
            world.wake_promises(node)


def _put_market(world: World, market: str, **changes: object) -> None:
    world.records.markets[market] = replace(world.records.markets[market], **changes)


def _clear(world: World, event: happened.Cleared) -> None:
    """Notices and withdrawals first, so that what they free can be promised."""
    for leaving in event.left:
        _leave(world, leaving)
    for won in event.won:
        _win(world, won)
    for repriced in event.repriced:
        _reprice(world, repriced)
    for waiting in event.waiting:
        _wait(world, waiting)
    market = world.records.markets[event.market]
    _put_market(
        world,
        event.market,
        ladder=event.ladder,
        cleared_us=event.at_us,
        clearings=market.clearings + 1,
    )


def _leave(world: World, leaving: happened.Leaving) -> None:
    if leaving.workload in world.records.claims:
        claim = world.records.claims[leaving.workload]
        world.put_claim(replace(claim, seats=(), promised_us=None, seated_us=None, why=leaving.why))
        return
    workload = world.records.workloads[leaving.workload]
    attempt = workload.attempt
    if leaving.stop is not None:
        assert attempt is not None
        before = attempt.stop
        assert before is None or leaving.stop.deadline_us <= before.deadline_us
        attempt = replace(attempt, stop=leaving.stop)
    _step(
        world,
        workload,
        replace(
            workload,
            phase=leaving.phase,
            why=leaving.why,
            price_to_win_micros=leaving.price_to_win_micros,
            attempt=attempt,
            promise=None,
        ),
    )


def _win(world: World, won: happened.Won) -> None:
    if won.workload in world.records.claims:
        claim = world.records.claims[won.workload]
        seats, promised_us = won.promise.seats, won.promise.promised_us
        world.put_claim(
            replace(claim, seats=seats, promised_us=promised_us, seated_us=None, why="placed")
        )
        return
    workload = world.records.workloads[won.workload]
    phase = workload.phase if workload.attempt is not None else Phase.PLACED
    _step(
        world,
        workload,
        replace(
            workload,
            phase=phase,
            why=workload.why if workload.attempt is not None else "placed",
            promise=won.promise,
            price_set_by=won.price_set_by,
            price_to_win_micros=None,
        ),
    )


def _reprice(world: World, repriced: happened.Repriced) -> None:
    workload = world.records.workloads[repriced.workload]
    attempt, promise = workload.attempt, workload.promise
    if promise is not None:
        promise = replace(promise, rates=(repriced.rate,))
    else:
        assert attempt is not None and attempt.stop is None
        attempt = replace(attempt, rates=(*attempt.rates, repriced.rate))
    world.put_workload(
        replace(workload, attempt=attempt, promise=promise, price_set_by=repriced.price_set_by)
    )


def _wait(world: World, waiting: happened.Waiting) -> None:
    if waiting.workload in world.records.claims:
        world.put_claim(replace(world.records.claims[waiting.workload], why=waiting.why))
        return
    workload = world.records.workloads[waiting.workload]
    world.put_workload(
        replace(workload, why=waiting.why, price_to_win_micros=waiting.price_to_win_micros)
    )


def _launch(world: World, event: happened.Launched) -> None:
    workload = world.records.workloads[event.workload]
    attempt = event.attempt
    promise = workload.promise
    assert workload.attempt is None and promise is not None and promise.seats == attempt.seats
    assert attempt.generation == workload.generation + 1
    _occupy(world, workload.org, attempt.seats)
    _step(
        world,
        workload,
        replace(
            workload,
            phase=Phase.STARTING,
            why="",
            generation=attempt.generation,
            attempt=attempt,
            promise=None,
        ),
    )


def _start(world: World, event: happened.Started) -> None:
    workload = world.records.workloads[event.workload]
    attempt = _attempt(workload, event.attempt)
    must_end_us = workload.must_end_us
    if must_end_us is None and workload.spec.max_duration_us is not None:
        must_end_us = event.at_us + workload.spec.max_duration_us
    phase = Phase.RUNNING if workload.phase is Phase.STARTING else workload.phase
    attempt = replace(attempt, started_us=event.at_us)
    _step(
        world,
        workload,
        replace(workload, phase=phase, attempt=attempt, must_end_us=must_end_us),
    )


def _note_checkpoint(world: World, event: happened.Checkpointed) -> None:
    workload = world.records.workloads[event.workload]
    attempt = _attempt(workload, event.attempt)
    attempt = replace(attempt, checkpoint_step=event.step, checkpoint_us=event.at_us)
    world.put_workload(replace(workload, attempt=attempt, checkpoint_step=event.step))


def _break(world: World, event: happened.Broken) -> None:
    workload = world.records.workloads[event.workload]
    attempt = replace(_attempt(workload, event.attempt), broken_us=event.at_us)
    is_leaving = attempt.stop is not None
    phase = workload.phase if is_leaving else Phase.DEGRADED
    _step(world, workload, replace(workload, phase=phase, attempt=attempt))


def _end(world: World, event: happened.Ended) -> None:
    workload = world.records.workloads[event.workload]
    attempt = _attempt(workload, event.attempt)
    _vacate(world, attempt.seats, event.at_us)
    promise = workload.promise
    if event.phase is not Phase.PLACED:
        promise = None
    _step(
        world,
        workload,
        replace(
            workload,
            phase=event.phase,
            why=event.why,
            attempt=None,
            promise=promise,
            failures=event.failures,
            preemptions=event.preemptions,
            not_before_us=event.not_before_us,
            exit_summary=event.summary,
            ended_us=event.at_us if event.phase.is_ended else None,
        ),
    )


def _note_budget(world: World, event: happened.BudgetNoted) -> None:
    workload = world.records.workloads[event.workload]
    world.put_workload(replace(workload, is_budget_noted=True))


def _forget(world: World, event: happened.Forgotten) -> None:
    for workload in event.workloads:
        world.forget_workload(workload)
    for reservation in event.reservations:
        del world.records.reservations[reservation]


def _attempt(workload: Workload, attempt: str) -> Attempt:
    found = workload.attempt
    assert found is not None and found.attempt == attempt
    return found


def _step(world: World, before: Workload, after: Workload) -> None:
    assert is_allowed(before.phase, after.phase), (
        f"{before.workload}: {before.phase} > {after.phase}"
    )
    world.put_workload(after)


def _occupy(world: World, org: str, seats: tuple[Seat, ...]) -> None:
    for seat in seats:
        _put_node(world, seat.node, last_org=org)


def _vacate(world: World, seats: tuple[Seat, ...], at_us: int) -> None:
    for seat in seats:
        _put_node(world, seat.node, vacated_us=at_us)


def _count(world: World, kind: str) -> None:
    world.records.counters[kind] = world.records.counters.get(kind, 0) + 1


EFFECTS: dict[type[happened.Event], Callable[[World, Any], None]] = {
    happened.EpochOpened: _open_epoch,
    happened.ClockJumped: _doubt_clock,
    happened.ClockConfirmed: _trust_clock,
    happened.PoolOpened: _open_pool,
    happened.PricesSet: _set_prices,
    happened.OrgCreated: _create_org,
    happened.UserCreated: _create_user,
    happened.TokenAdded: _add_token,
    happened.TokenRevoked: _revoke_token,
    happened.MoneyMoved: _move_money,
    happened.Reserved: _reserve,
    happened.ReservationPaid: _pay_reservation,
    happened.ReservationChanged: _change_reservation,
    happened.LendingSet: _set_lending,
    happened.Claimed: _claim,
    happened.ClaimSeated: _seat_claim,
    happened.Unclaimed: _unclaim,
    happened.Submitted: _submit,
    happened.PhaseChanged: _change_phase,
    happened.BidChanged: _change_bid,
    happened.StopOrdered: _order_stop,
    happened.NodeHealthSet: _set_health,
    happened.NodeCordoned: _cordon,
    happened.NodeUncordoned: _uncordon,
    happened.ReachabilityChanged: _change_reachability,
    happened.Cleared: _clear,
    happened.Launched: _launch,
    happened.Started: _start,
    happened.Checkpointed: _note_checkpoint,
    happened.Broken: _break,
    happened.Ended: _end,
    happened.BudgetNoted: _note_budget,
    happened.Forgotten: _forget,
}
