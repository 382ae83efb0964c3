"""Reservations and claims as shown."""

from collections import defaultdict
from datetime import timedelta

from msgspec.structs import replace

from parkade.api.translate.scalars import amount, amount_or_none, instant, instant_or_none
from parkade.api.views.costs import reservation_cost
from parkade.core.leasing.decisions import first_charge_in_words
from parkade.core.leasing.lent_now import Lent
from parkade.core.leasing.periods import next_period
from parkade.core.reservations.reservation import Claim, Reservation, ReservationState, Waits
from parkade.core.state.world import World
from parkade.core.units.money import amount_of, format_amount
from parkade.wire import reservations as wire


def as_charged(world: World, reservation: Reservation) -> Reservation:
    """The record with its first charge, which the cycle that sells it posts before any other
    command."""
    is_charged = reservation.paid_until_us > reservation.window.start_us
    if is_charged or reservation.state.is_over or reservation.paid_micros is None:
        return reservation
    until_us, micros = next_period(world, reservation)
    return replace(reservation, paid_until_us=until_us, paid_micros=micros)


def reservation(
    reservation: Reservation, *, nodes_used: int, lent: Lent | None = None, accrued_micros: int = 0
) -> wire.Reservation:
    """A reservation; `lent`: what it lends now; `accrued_micros`: earned and not paid yet."""
    lending = reservation.lending
    has_paid = reservation.paid_until_us > reservation.window.start_us
    is_told = reservation.paid_micros is not None
    return wire.Reservation(
        reservation=reservation.reservation,
        org=reservation.org,
        market=reservation.market,
        state=reservation.state.value,
        is_given_up=reservation.is_given_up,
        nodes=reservation.nodes,
        gpus_per_node=reservation.gpus_per_node,
        shape=dict(reservation.shape),
        start=instant(reservation.window.start_us),
        end=instant_or_none(reservation.window.end_us),
        rate=amount(reservation.rate_micros),
        paid_until=instant_or_none(reservation.paid_until_us) if has_paid else None,
        paid=amount_or_none(reservation.paid_micros),
        earned=amount(reservation.earned_micros) if is_told else None,
        accrued=amount(accrued_micros) if is_told else None,
        earns_at_most=amount_or_none(reservation.earns_at_most_micros),
        lending=lending and wire.Lending(floor=amount(lending.floor_micros), keep=lending.keep),
        lent_gpus=None if lent is None else lent.gpus,
        earns_per_hour=None if lent is None else amount(lent.micros_per_hour),
        nodes_used=nodes_used,
        waits=_waits(reservation.waits),
        cost=reservation_cost(reservation),
    )


def plan(world: World, reservation: Reservation) -> wire.ReservationPlan:
    """What one that is not sold would cost, now and in all."""
    until_us, now_micros = next_period(world, reservation)
    window = reservation.window
    in_all = None
    if window.end_us is not None:
        in_all = amount_of(reservation.rate_micros_per_hour, window.end_us - window.start_us)
    return wire.ReservationPlan(
        org=reservation.org,
        market=reservation.market,
        nodes=reservation.nodes,
        gpus_per_node=reservation.gpus_per_node,
        shape=dict(reservation.shape),
        start=instant(window.start_us),
        end=instant_or_none(window.end_us),
        rate=amount(reservation.rate_micros),
        now=amount(now_micros),
        paid_until=instant(until_us),
        in_all=amount_or_none(in_all),
        cost=reservation_cost(as_charged(world, reservation)),
        says=tuple(_owed(world, reservation, now_micros)),
    )


def _owed(world: World, planned: Reservation, now_micros: int) -> list[str]:
    """For what the first charge is, what is owed, and what is kept if it is given up."""
    now, window = format_amount(now_micros), planned.window
    ahead = first_charge_in_words(world.records.markets[planned.market], planned)
    says = [ahead] if ahead else []
    if planned.state is ReservationState.SOLD:
        says.append(
            f"given up before it begins, it costs the {now} that is paid at the sale, and no more"
        )
    else:
        says.append(f"the {now} that is paid at the sale is not given back")
    if window.end_us is None:
        return [*says, "ended later, it ends with the period that is paid then"]
    return [*says, "once it has begun all of it is owed, used or not: lend what stands idle"]


def _waits(waits: Waits) -> wire.Waits:
    return wire.Waits(
        times=waits.times,
        total=timedelta(microseconds=waits.total_us),
        longest=timedelta(microseconds=waits.longest_us),
        times_one_more_kept=waits.for_one,
    )


def nodes_used(world: World, orgs: frozenset[str] | None) -> dict[str, int]:
    """Nodes that each reservation's owner has in use itself; grows with what is live."""
    used: dict[str, set[str]] = defaultdict(set)
    live = (
        world.live
        if orgs is None
        else [name for org in orgs for name in world.live_of_org.get(org, ())]
    )
    for name in live:
        workload = world.records.workloads[name]
        backed_by = workload.spec.capacity.reservation
        if backed_by and workload.attempt:
            used[backed_by] |= {seat.node for seat in workload.attempt.seats}
    for claim in world.records.claims.values():
        seats = (*claim.held, *claim.promised)
        used[claim.reservation] |= {seat.node for seat in seats}
    return {name: len(nodes) for name, nodes in used.items()}


def claim(claim: Claim) -> wire.Claim:
    """A claim."""
    return wire.Claim(
        claim=claim.claim,
        reservation=claim.reservation,
        org=claim.org,
        nodes=claim.nodes,
        claimed=instant(claim.claimed_us),
        seated=instant_or_none(claim.seated_us),
        seats=tuple(seat.node for seat in claim.seats),
        why=claim.why,
        missing=claim.missing,
        promised=tuple(seat.node for seat in claim.promised),
    )
