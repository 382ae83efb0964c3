"""What something may cost, told before it is spent: the highest price, by the hour, and the most
it can come to."""

from parkade.api.translate.scalars import amount
from parkade.core.fleet.market import MarketTerms
from parkade.core.reservations.reservation import Reservation, ReservationState
from parkade.core.units.indexes import count
from parkade.core.units.money import (
    MICROSECONDS_PER_HOUR,
    amount_of,
    ceil_div,
    format_amount,
)
from parkade.core.workloads.spec import CapacityKind, Spec
from parkade.wire.model import trusted
from parkade.wire.money import Cost


def workload_cost(spec: Spec, terms: MarketTerms | None, agreed_micros: int | None) -> Cost:
    """The bound of a workload: its limit or the agreed price, its budget, its duration; of an
    array, of all its members.

    `terms` None: not known yet in which market it runs.
    """
    each_gpus = max(spec.nodes, spec.most_nodes) * spec.gpus
    members, at_once = _members(spec)
    gpus = each_gpus * at_once
    kinds = {it.kind for it in spec.entries or (spec.capacity,)}
    if kinds == {CapacityKind.RESERVATION}:
        return _cost(0, gpus, 0, f"paid for by {spec.capacity}")
    # Of a list, as much as its dearest entry costs.
    price = agreed_micros or 0 if CapacityKind.ON_DEMAND in kinds else 0
    if CapacityKind.SPOT in kinds:
        limits = (it.limit_price_micros for it in spec.choices)
        limit = spec.bid_limit_micros or 0
        price = max(price, max(limits, default=limit))
    late = ""
    if spec.deadline is not None and terms is not None:
        on_demand = agreed_micros or terms.pay_as_you_go_micros
        late = f"; {format_amount(on_demand)} per GPU-hour once its deadline makes it on-demand"
        price = max(price, on_demand)
    bounds = []
    if spec.max_duration_us is not None and terms is not None:
        # Who makes others leave pays the minimum charge however short its run is.
        longest_us = spec.max_duration_us + terms.minimum_charge_us
        rate = price * each_gpus * members
        bounds.append((ceil_div(rate * longest_us, MICROSECONDS_PER_HOUR), "max_duration"))
    if spec.max_spend_micros is not None:
        bounds.append((spec.max_spend_micros, "max_spend"))
    if not bounds:
        says = "no bound: set max_spend or max_duration for one"
        return _cost(price, gpus, None, says + late + _of_members(members, at_once))
    most, by = min(bounds)
    return _cost(price, gpus, most, f"bounded by {by}{late}" + _of_members(members, at_once))


def ended_cost(spec: Spec, spent_micros: int) -> Cost:
    """Of a workload that has ended: what it spent, and nothing more."""
    _, at_once = _members(spec)
    return Cost(
        price_per_gpu_hour=amount(0),
        gpus=max(spec.nodes, spec.most_nodes) * spec.gpus * at_once,
        per_hour=amount(0),
        at_most=amount(spent_micros),
        says=f"{format_amount(spent_micros)}; it has ended",
    )


def _members(spec: Spec) -> tuple[int, int]:
    """(members of an array, how many of them run at once at most); (1, 1) of other work."""
    if spec.array is None:
        return 1, 1
    members = count(spec.array.members)
    return members, min(members, spec.array.most_running or members)


def _of_members(members: int, at_once: int) -> str:
    if members == 1:
        return ""
    return f"; all {members:,} members, of which at most {at_once:,} run at once"


def reservation_cost(reservation: Reservation) -> Cost:
    """The whole window's price, used or not; without an end, by the hour. What is over costs what
    was paid."""
    gpus = reservation.nodes * reservation.gpus_per_node
    window, rate = reservation.window, reservation.rate_micros_per_hour
    if reservation.is_given_up and reservation.paid_micros is not None:
        says = "given up before it began; what was paid for it is kept"
        return _cost(reservation.rate_micros, gpus, reservation.paid_micros, says)
    if reservation.state.is_over and reservation.paid_micros is not None:
        return _cost(reservation.rate_micros, gpus, reservation.paid_micros, "paid; it is over")
    if window.end_us is None:
        says = "no bound: it is open-ended, and paid ahead by billing period until it is ended"
        return _cost(reservation.rate_micros, gpus, None, says + _kept(reservation))
    most = amount_of(rate, max(0, window.end_us - window.start_us))
    says = "owed for the whole window, used or not"
    return _cost(reservation.rate_micros, gpus, most, says + _kept(reservation))


def _kept(reservation: Reservation) -> str:
    """Of a window that begins later: what is not given back where it is given up."""
    if reservation.state is not ReservationState.SOLD or not reservation.paid_micros:
        return ""
    paid = format_amount(reservation.paid_micros)
    return f"; {paid} is paid at the sale, and kept if it is given up before it begins"


def _cost(price_micros: int, gpus: int, most_micros: int | None, says: str) -> Cost:
    by_hour = f"{format_amount(price_micros * gpus)} per hour"
    bound = "" if most_micros is None else f", at most {format_amount(most_micros)}"
    return trusted(
        Cost,
        price_per_gpu_hour=amount(price_micros),
        gpus=gpus,
        per_hour=amount(price_micros * gpus),
        at_most=None if most_micros is None else amount(most_micros),
        says=f"{by_hour}{bound}; {says}",
    )
