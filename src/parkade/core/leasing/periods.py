"""The life of a reservation over its window: into force, paid by period, closing, ended.

Theory of operation
-------------------
A reservation is a right over a window that is owed whether it is used or not. Nothing in it waits
for a command: what happens next, and when, follows from its record alone (`period_due_us`), and
`take_period` says what that is, at its own instant, however late it is taken.

    sold        the first period is charged at once; `leave_us` (notice + kill + turnaround) before
                the window begins it comes into force, so that guests are gone in time
    in force    it takes part in clearings; each period is charged when the last one is used up
    closing     `leave_us` before the end its own workloads get their notice
    ended       claims are given up, what waits for it expires, what still runs loses its seats in
                the next clearing; a retention later it is forgotten
    lapsed      the same, at the instant at which a period could not be paid

Charges are differences of one exact amount: the period from `paid_until_us` to the next instant
costs floor(rate x time since the start) at that instant less the same at `paid_until_us`. So all
periods together cost the window exactly, whatever each was rounded to.

Invariants
  - `paid_until_us` only grows, and it is in the same event as the transfer.
  - A window that begins later has paid its first period, so none blocks the calendar for nothing.
  - A window lasts, and its first period is, at least the minimum charge, so none makes guests leave
    for nothing.
  - A right that is over does not come back.

Example (computed by `tests/core/leasing/test_periods.py`). Two nodes of four GPUs at 4 per
GPU-hour cost 32 an hour, and the billing period is an hour. Sold now for the hours from 5 to 9,
with 35 s to leave:

    0:00:00   sold; the hour from 5 to 6 is charged: 32
    4:59:25   in force: guests of its nodes get their notice in this clearing
    6:00:00   the next hour is charged, and again at 7 and 8: 128 in all
    8:59:25   closing: its own workloads get their notice
    9:00:00   ended

Decision record 2: lapsing, and why the first period is paid at the sale.
"""

from parkade.core.billing.charges import Postings
from parkade.core.billing.commitments import available_micros
from parkade.core.billing.settlements import settle_payouts, settle_period
from parkade.core.ledger.accounts import (
    Transfer,
    TransferKind,
    Use,
    org_account,
    prepaid_account,
)
from parkade.core.reservations.reservation import Reservation, ReservationState
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.notices import order_stop
from parkade.core.units.money import amount_of
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Workload

POSTED_BY_US = HOUR_US + 600 * SECOND_US
"""How long after a use it is posted at the latest while its agent is heard."""


def period_due_us(world: World, reservation: Reservation) -> int | None:
    """When something next happens to the reservation by itself."""
    leave_us = world.records.markets[reservation.market].terms.leave_us
    end_us = reservation.window.end_us
    match reservation.state:
        case ReservationState.SOLD:
            # Nothing of it happens before it was sold, however near its window is.
            if not _has_paid(reservation):
                return reservation.created_us
            return max(reservation.created_us, reservation.window.start_us - leave_us)
        case ReservationState.IN_FORCE:
            if end_us is None:
                return reservation.paid_until_us
            closing_us = max(reservation.window.start_us, end_us - leave_us)
            return min(closing_us, reservation.paid_until_us)
        case ReservationState.CLOSING:
            assert end_us is not None
            return min(end_us, reservation.paid_until_us)
        case ReservationState.ENDED | ReservationState.LAPSED:
            return _forget_due_us(world, reservation)


def take_period(world: World, reservation: Reservation, at_us: int) -> tuple[events.AnyEvent, ...]:
    """What happens to the reservation at this instant."""
    assert period_due_us(world, reservation) is not None
    end_us = reservation.window.end_us
    if reservation.state.is_over:
        name = reservation.reservation
        return (events.Forgotten(at_us=at_us, workloads=(), reservations=(name,)),)
    if reservation.state is ReservationState.SOLD and not _has_paid(reservation):
        return _charge(world, reservation, at_us)
    if reservation.state is ReservationState.SOLD:
        return (_change(reservation, ReservationState.IN_FORCE, at_us),)
    if end_us is not None and at_us >= end_us:
        return end_right(world, reservation, ReservationState.ENDED, at_us)
    if at_us == reservation.paid_until_us:
        return _charge(world, reservation, at_us)
    change = _change(reservation, ReservationState.CLOSING, at_us)
    return (change, *_notices(world, reservation, at_us))


def _forget_due_us(world: World, reservation: Reservation) -> int | None:
    """When nothing needs its record any more; None while something of it still lives. What its
    guests used is posted by the hour, so its cap is known for longer than that."""
    for name in world.live_of_org.get(reservation.org, {}):
        spec = world.records.workloads[name].spec
        if spec.capacity.reservation == reservation.reservation:
            return None
    assert reservation.window.end_us is not None
    retention_us = world.records.markets[reservation.market].terms.retention_us
    return reservation.window.end_us + max(retention_us, POSTED_BY_US)


def _has_paid(reservation: Reservation) -> bool:
    """Whether the first period is paid: it is when a window is sold, so that none blocks the
    calendar for nothing."""
    return reservation.paid_until_us > reservation.window.start_us


def next_period(world: World, reservation: Reservation) -> tuple[int, int]:
    """(end of the next period, its charge in micro-units); exact over all periods together."""
    period_us = world.records.markets[reservation.market].terms.billing_period_us
    start_us, paid_us = reservation.window.start_us, reservation.paid_until_us
    until_us = paid_us + period_us
    if paid_us == start_us:
        until_us = max(until_us, start_us + reservation.deposit_us)
    if reservation.window.end_us is not None:
        until_us = min(until_us, reservation.window.end_us)
    assert start_us <= paid_us < until_us, "a window that is paid has no next period"
    rate = reservation.rate_micros_per_hour
    return until_us, amount_of(rate, until_us - start_us) - amount_of(rate, paid_us - start_us)


def _charge(world: World, reservation: Reservation, at_us: int) -> tuple[events.AnyEvent, ...]:
    until_us, micros = next_period(world, reservation)
    assert micros >= 0
    postings = Postings(world)
    settled = settle_period(world, postings, reservation, at_us)
    credited = sum(it.micros for each in settled for it in each.transfers if _is_credit(it))
    if available_micros(world, reservation.org, at_us) + credited < micros:
        return end_right(world, reservation, ReservationState.LAPSED, at_us)
    transfer = Transfer(
        kind=TransferKind.RESERVATION,
        debit=org_account(reservation.org),
        credit=prepaid_account(reservation.reservation),
        micros=micros,
        reservation=reservation.reservation,
        use=Use(
            gpus=reservation.nodes * reservation.gpus_per_node,
            price_micros=reservation.rate_micros,
            start_us=reservation.paid_until_us,
            end_us=until_us,
        ),
    )
    return (
        *settled,
        events.ReservationPaid(
            at_us=at_us,
            reservation=reservation.reservation,
            paid_until_us=until_us,
            transfers=(transfer,) if micros > 0 else (),
        ),
        *settle_payouts(postings, reservation, at_us, charged_micros=micros),
    )


def _is_credit(transfer: Transfer) -> bool:
    return transfer.kind is TransferKind.CREDIT


def _change(
    reservation: Reservation, state: ReservationState, at_us: int
) -> events.ReservationChanged:
    return events.ReservationChanged(
        at_us=at_us,
        reservation=reservation.reservation,
        state=state,
        end_us=reservation.window.end_us,
    )


def _notices(world: World, reservation: Reservation, at_us: int) -> tuple[events.StopOrdered, ...]:
    """Notices for its own workloads, in time to be gone at the end; what has a list goes on with
    another entry. Cost grows with the org's workloads."""
    assert reservation.window.end_us is not None
    found: list[events.StopOrdered] = []
    for name in world.live_of_org.get(reservation.org, {}):
        workload = world.records.workloads[name]
        attempt = workload.attempt
        if attempt is None or workload.spec.capacity.reservation != reservation.reservation:
            continue
        if workload.spec.entries:
            if attempt.stop is None:
                becomes = Phase.PREEMPTING
                found.append(order_stop(world, workload, Cause.MOVED, at_us=at_us, becomes=becomes))
        elif workload.phase is not Phase.STOPPING:
            found.append(order_stop(world, workload, Cause.EXPIRED, at_us=at_us))
    return tuple(found)


def end_right(
    world: World,
    reservation: Reservation,
    state: ReservationState,
    at_us: int,
    *,
    postings: Postings | None = None,
) -> tuple[events.AnyEvent, ...]:
    """The right ends: claims are idle, what waits for it expires; what still runs on it loses its
    seats in the next clearing. `postings`: those of the decision so far. Cost grows with live
    claims and workloads."""
    assert state.is_over and not reservation.state.is_over
    name = reservation.reservation
    ended_us = max(at_us, reservation.window.start_us)
    postings = postings or Postings(world)
    found: list[events.AnyEvent] = [
        *settle_period(world, postings, reservation, at_us, is_over=True),
        *settle_payouts(postings, reservation, at_us, is_over=True),
        events.ReservationChanged(at_us=at_us, reservation=name, state=state, end_us=ended_us),
    ]
    found.extend(
        events.Unclaimed(at_us=at_us, claim=claim.claim, reservation=name)
        for claim in world.records.claims.values()
        if claim.reservation == name
    )
    for workload_id in world.live_of_org.get(reservation.org, {}):
        workload = world.records.workloads[workload_id]
        if workload.spec.capacity.reservation == name and workload.attempt is None:
            ends = _next_entry if workload.spec.entries else _expired
            found.extend(ends(workload, at_us))
    return tuple(found)


def _next_entry(workload: Workload, at_us: int) -> tuple[events.AnyEvent, ...]:
    """A list asks for its last entry but on-demand, as from then on in each clearing that gives it
    no other; what it was promised falls away here. An array asks for nothing itself."""
    if workload.array is not None:
        return ()
    name, found = workload.workload, list[events.AnyEvent]()
    if workload.promise is not None:
        phase, why = Phase.QUEUED, Why.NEXT_CLEARING
        found.append(events.PhaseChanged(at_us=at_us, workload=name, phase=phase, why=why))
    last = [it for it in workload.spec.entries if it.kind is not CapacityKind.ON_DEMAND][-1]
    if last != workload.spec.capacity:
        found.append(events.EntryTaken(at_us=at_us, workload=name, capacity=last))
    return tuple(found)


def _expired(workload: Workload, at_us: int) -> tuple[events.AnyEvent, ...]:
    """The end of one that waits for a right that is over; of an array, of what is not open."""
    name, why = workload.workload, Why.RESERVATION_ENDED
    if workload.array is None:
        return (events.PhaseChanged(at_us=at_us, workload=name, phase=Phase.EXPIRED, why=why),)
    waiting = workload.array.waiting
    if not waiting:
        return ()
    ended = events.MembersEnded(
        at_us=at_us, workload=name, members=waiting, phase=Phase.EXPIRED, why=why
    )
    return (ended,)
