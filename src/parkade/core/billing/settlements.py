"""What a reservation paid ahead: held until it is delivered, paid back where nodes were missing.

A charge of a reservation goes to its own account, `prepaid/NAME`. There it waits for the end of the
period; what is then left is the operator's. A demand of the owner that is *short* (`clearing.
shortfall` says of how many GPUs) is credited from that account at the rate that the reservation
pays, for the time since it became short: whenever that number changes, when the demand ends in
whatever way, and at the end of each period. The credited time is in the same event, so no instant
is credited twice, and no credit can be more than what was paid for the time. The nodes that were
missing meanwhile are in the event as `evidence`.

    credit = floor(rate x GPUs short x (until - since) / 3.6e9), not before the window begins

Example (computed by `tests/core/billing/test_settlements.py`). Two nodes of four GPUs at 4 cost 32
an hour. In an hour that was paid, one node was missing from 0:15 to 0:45: the owner is credited 8
at 0:45, and at 1:00 the operator has the other 24.

Reservations of before these accounts paid the operator at once and are credited from there, as far
as that reaches. Decision record 48.
"""

from collections.abc import Mapping

from parkade.core.billing.charges import Postings
from parkade.core.billing.evidence import evidence
from parkade.core.ledger.accounts import (
    OPERATOR,
    Transfer,
    TransferKind,
    Use,
    org_account,
    prepaid_account,
)
from parkade.core.reservations.reservation import Claim, Reservation
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.units.money import amount_of
from parkade.core.workloads.workload import Workload


def settle_short(
    world: World,
    postings: Postings,
    reservation: Reservation,
    short: Mapping[str, int],
    at_us: int,
) -> tuple[events.ReservationSettled, ...]:
    """Credits demands up to an instant; `short`: of how many GPUs each is short from then on."""
    transfers = [
        transfer
        for name in short
        for transfer in _credit(postings, reservation, _demand(world, name), at_us)
    ]
    if not short:
        return ()
    return (
        events.ReservationSettled(
            at_us=at_us,
            market=reservation.market,
            reservation=reservation.reservation,
            transfers=tuple(transfers),
            short=tuple(short.items()),
            missing=evidence(world, reservation, at_us),
        ),
    )


def settle_end(
    world: World, postings: Postings, demand: Claim | Workload, at_us: int
) -> tuple[events.ReservationSettled, ...]:
    """Credits a demand that ends, is held back or given up, if it is short."""
    if demand.short_us is None:
        return ()
    match demand:
        case Claim(claim=name, reservation=of):
            reservation = world.records.reservations[of]
        case Workload(workload=name):
            reservation = world.records.reservations[demand.spec.capacity.reservation or ""]
    return settle_short(world, postings, reservation, {name: 0}, at_us)


def settle_period(
    world: World, postings: Postings, reservation: Reservation, at_us: int, *, is_over: bool = False
) -> tuple[events.ReservationSettled, ...]:
    """The end of a period, or of the right: credits what is short up to now, and the rest of what
    was paid ahead is delivered. Cost grows with the claims and the org's workloads."""
    short = {name: 0 if is_over else gpus for name, gpus in short_of(world, reservation)}
    credited = settle_short(world, postings, reservation, short, at_us)
    account = prepaid_account(reservation.reservation)
    delivered = postings.move_most(
        account,
        OPERATOR,
        postings.held_micros(account),
        kind=TransferKind.DELIVERED,
        reservation=reservation.reservation,
    )
    if not delivered:
        return credited
    return (
        *credited,
        events.ReservationSettled(
            at_us=at_us,
            market=reservation.market,
            reservation=reservation.reservation,
            transfers=delivered,
        ),
    )


def settle_payouts(
    postings: Postings,
    reservation: Reservation,
    at_us: int,
    *,
    charged_micros: int = 0,
    is_over: bool = False,
) -> tuple[events.ReservationSettled, ...]:
    """Pays what it earned and had to wait for, now that it was charged more; once it is over, what
    it may not have is the operator's."""
    transfers, owed = postings.pay_waiting(
        reservation, charged_micros=charged_micros, is_over=is_over
    )
    if not transfers:
        return ()
    return (
        events.ReservationSettled(
            at_us=at_us,
            market=reservation.market,
            reservation=reservation.reservation,
            transfers=transfers,
            owed=owed,
        ),
    )


def short_of(world: World, reservation: Reservation) -> list[tuple[str, int]]:
    """(demand, GPUs) of a reservation's demands that are short now."""
    name = reservation.reservation
    claims = [it for it in world.records.claims.values() if it.reservation == name]
    workloads = [
        workload
        for it in world.live_of_org.get(reservation.org, {})
        if (workload := world.records.workloads[it]).spec.capacity.reservation == name
    ]
    demands: list[Claim | Workload] = [*claims, *workloads]
    return [
        (_name(demand), short_gpus(reservation, demand))
        for demand in demands
        if demand.short_us is not None
    ]


def short_gpus(reservation: Reservation, demand: Claim | Workload) -> int:
    """Of how many GPUs a demand is short; 0: of none."""
    if demand.short_us is None:
        return 0
    if demand.short_gpus is not None:
        return demand.short_gpus
    nodes = demand.nodes if isinstance(demand, Claim) else demand.spec.nodes
    return nodes * reservation.gpus_per_node


def _credit(
    postings: Postings, reservation: Reservation, demand: Claim | Workload, at_us: int
) -> tuple[Transfer, ...]:
    gpus = short_gpus(reservation, demand)
    if gpus == 0 or demand.short_us is None:
        return ()
    since_us = max(demand.short_us, reservation.window.start_us)
    if since_us >= at_us:
        return ()
    name = reservation.reservation
    price = reservation.rate_micros
    use = Use(gpus=gpus, price_micros=price, start_us=since_us, end_us=at_us)
    due = amount_of(price * gpus, at_us - since_us)
    org = org_account(reservation.org)
    kind = TransferKind.CREDIT
    held = postings.move_most(prepaid_account(name), org, due, kind=kind, reservation=name, use=use)
    rest = due - sum(it.micros for it in held)
    if rest == 0 or reservation.paid_micros is not None:
        return held
    paid = postings.move_most(OPERATOR, org, rest, kind=kind, reservation=name, use=use)
    return (*held, *paid)


def _demand(world: World, name: str) -> Claim | Workload:
    claim = world.records.claims.get(name)
    return claim if claim is not None else world.records.workloads[name]


def _name(demand: Claim | Workload) -> str:
    return demand.claim if isinstance(demand, Claim) else demand.workload
