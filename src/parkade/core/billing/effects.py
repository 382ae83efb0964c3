"""Effects of money that moved."""

from msgspec.structs import replace

from parkade.core.billing.metering import spans
from parkade.core.billing.settlements import short_of
from parkade.core.billing.slow_starts import slow_start_of
from parkade.core.ledger.accounts import Transfer, TransferKind
from parkade.core.state import events
from parkade.core.state.agenda import Entry
from parkade.core.state.people import NOTHING_SPENT, CapPeriod, Spending
from parkade.core.state.world import World
from parkade.core.units.time import DAY_US, month_of
from parkade.core.workloads.workload import Attempt, Debt, Rate, Workload


def move_money(world: World, event: events.MoneyMoved) -> None:
    """Posts deposits, disbursements, refunds and credits, which no workload pays for."""
    is_use = any(transfer.kind.is_paid_by_user for transfer in event.transfers)
    assert not is_use, "use is posted with its workload"
    post(world, event.transfers)


def post_use(world: World, event: events.UsePosted) -> None:
    """Posts what an attempt used and moves the instant up to which it is charged."""
    workload = _spend(world, event)
    attempt = workload.attempt
    assert attempt is not None and event.attempt in (None, attempt.attempt)
    _note_use(world, workload, attempt, event)
    if event.buffer_micros:
        earned = world.records.buffer_earned.get(workload.market, 0)
        world.records.buffer_earned[workload.market] = earned + event.buffer_micros
    attempt = replace(
        attempt,
        charged_until_us=event.charged_until_us,
        charged_numerator=event.charged_numerator,
        billed_us=attempt.billed_us + event.billed_us,
        charged_micros=attempt.charged_micros + _charged_micros(event.transfers),
        posted_us=event.at_us,
        rates=rates_from(attempt.rates, _priced_from_us(world, workload, event.charged_until_us)),
    )
    world.put_workload(replace(workload, attempt=attempt))


def _charged_micros(transfers: tuple[Transfer, ...]) -> int:
    return sum(it.micros for it in transfers if it.kind.is_paid_by_user)


def charge_withdrawal(world: World, event: events.WithdrawalCharged) -> None:
    """Posts the minimum charge; it counts as spent by the workload and its user. An attempt whose
    bid was lowered has paid what it owed for having made others leave."""
    workload = _spend(world, event)
    attempt = workload.attempt
    if event.attempt is not None:
        assert attempt is not None and attempt.attempt == event.attempt and attempt.displaced
        before = attempt.debt or Debt(nodes=(), notice_ends_us=attempt.ordered_us)
        workload = replace(workload, attempt=replace(attempt, debt=replace(before, is_paid=True)))
    world.put_workload(workload)


def settle_reservation(world: World, event: events.ReservationSettled) -> None:
    """Posts what was credited and delivered, and moves the instant up to which a shortage is
    credited."""
    post(world, event.transfers)
    world.records.owed.setdefault(event.market, {}).update(event.owed)
    note_transfers(world, event.transfers)
    if event.missing:
        world.records.missing[event.reservation] = event.missing
    for name, gpus in event.short:
        since_us = event.at_us if gpus > 0 else None
        short = gpus if gpus > 0 else None
        claim = world.records.claims.get(name)
        if claim is not None:
            world.put_claim(replace(claim, short_us=since_us, short_gpus=short))
        else:
            workload = world.records.workloads[name]
            world.put_workload(replace(workload, short_us=since_us, short_gpus=short))
    is_kept = event.reservation in world.records.missing
    if is_kept and not short_of(world, world.records.reservations[event.reservation]):
        del world.records.missing[event.reservation]


def note_transfers(world: World, transfers: tuple[Transfer, ...]) -> None:
    """Counts what reservations were charged, credited and paid for lending."""
    for transfer in transfers:
        reservation = world.records.reservations.get(transfer.reservation or "")
        if reservation is None or reservation.paid_micros is None:
            continue
        paid, earned = reservation.paid_micros, reservation.earned_micros
        match transfer.kind:
            case TransferKind.RESERVATION:
                paid += transfer.micros
            case TransferKind.CREDIT:
                paid -= transfer.micros
            case TransferKind.PAYOUT:
                earned += transfer.micros
            case _:
                continue
        assert paid >= 0, "no more is credited than was paid"
        world.put_reservation(replace(reservation, paid_micros=paid, earned_micros=earned))


def _spend(world: World, event: events.UsePosted | events.WithdrawalCharged) -> Workload:
    """Posts the transfers and counts what the workload and its user paid."""
    assert all(numerator >= 0 for _, numerator in event.owed)
    post(world, event.transfers)
    note_transfers(world, event.transfers)
    if event.market is not None:
        world.records.owed.setdefault(event.market, {}).update(event.owed)
    workload = world.records.workloads[event.workload]
    paid = sum(transfer.micros for transfer in event.transfers if transfer.kind.is_paid_by_user)
    by_user, by_org = world.records.spending_by_user, world.records.spending_by_org
    by_user[workload.user] = _added(by_user.get(workload.user), paid, event.at_us)
    by_org[workload.org] = _added(by_org.get(workload.org), paid, event.at_us)
    if workload.user in world.records.users:
        world.agenda.add(Entry.USER_CAP, workload.user)
    world.agenda.add(Entry.ORG_CAP, workload.org)
    if workload.member_of is not None:
        array = world.records.workloads[workload.member_of]
        world.put_workload(replace(array, spent_micros=array.spent_micros + paid))
    return replace(workload, spent_micros=workload.spent_micros + paid)


def _added(before: Spending | None, micros: int, at_us: int) -> Spending:
    """One more charge; one that is dated back counts in the month of the last."""
    before = before or NOTHING_SPENT
    at_us = max(before.at_us, at_us)
    month = month_of(at_us)
    return Spending(
        total_micros=before.total_micros + micros,
        month=month,
        month_micros=before.within(CapPeriod.MONTH, month) + micros,
        at_us=at_us,
    )


def _priced_from_us(world: World, workload: Workload, charged_until_us: int) -> int:
    """From when prices still matter: what is charged is, but for a hold that may yet be billed at
    the prices of then."""
    attempt = workload.attempt
    assert attempt is not None
    grace_us = world.records.markets[workload.market].terms.start_grace_us
    slow_start = slow_start_of(attempt, grace_us, charged_until_us)
    return charged_until_us if slow_start.us == 0 else slow_start.ends_us - slow_start.us


def rates_from(rates: tuple[Rate, ...], from_us: int) -> tuple[Rate, ...]:
    """The rates that still matter from an instant on: the one in force then, and all later."""
    first = 0
    for place, rate in enumerate(rates):
        if rate.from_us <= from_us:
            first = place
    assert rates[first:] or not rates, "the rate in force is always kept"
    return rates[first:]


def _note_use(world: World, workload: Workload, attempt: Attempt, event: events.UsePosted) -> None:
    """Counts spot GPU time by day, for a week: the tie-break of the priority order."""
    if workload.spec.limit_price_micros is None or event.billed_us == 0:
        return
    assert event.billed_us > 0, "time is billed once"
    days = world.records.use_by_day.setdefault(workload.org, {})
    today = event.at_us // DAY_US
    from_us = event.charged_until_us - event.billed_us
    used = sum(
        (attempt.gpus if it.rate.gpus is None else it.rate.gpus) * (it.end_us - it.start_us)
        for it in spans(attempt, from_us, event.charged_until_us)
    )
    days[today] = days.get(today, 0) + used
    for day in [day for day in days if day <= today - 7]:
        del days[day]


def post(world: World, transfers: tuple[Transfer, ...]) -> None:
    """Posts each transfer in turn; the ledger asserts that no account falls below zero."""
    for transfer in transfers:
        world.ledger.post(transfer)
