"""What reservations lend and earn at this moment, by the rates that guests pay.

A clearing divides what guests pay among lenders; which of a guest's GPUs are whose is not said. So
a reservation lends as many GPUs as its part of the owners' part of the price comes to: of 4 GPUs
whose price pays owners 20 an hour, a reservation that earns 10 of them lends 2. The lot tells the
same way how many of a guest's GPUs are lent.

What a guest owes is posted up to an hour later. Until then it is *accrued*: of the guest as of the
reservation, up to the same instant.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from parkade.core.billing.metering import accrued_spans
from parkade.core.ledger.accounts import lending_account
from parkade.core.reservations.reservation import Reservation
from parkade.core.state.world import World
from parkade.core.units.money import MICROSECONDS_PER_HOUR
from parkade.core.workloads.spec import CapacityKind

_MILLION = 1_000_000


class Lent(NamedTuple):
    """GPUs on which guests sit now, and what they earn an hour; None: it lends nothing. `accrued`:
    what it earned since and was not paid, as far as its cap goes."""

    gpus: int | None
    micros_per_hour: int | None
    accrued_micros: int


def lent_now(world: World, reservations: Iterable[Reservation], now_us: int) -> Mapping[str, Lent]:
    """By reservation, of those that are not over. Grows with the live workloads, and with the
    prices that each has had since it was charged last."""
    shown = [it for it in reservations if not it.state.is_over]
    names = {lending_account(it.org, it.reservation): it.reservation for it in shown}
    earned, parts = dict.fromkeys(names.values(), 0), dict.fromkeys(names.values(), 0)
    accrued = dict.fromkeys(names.values(), 0)
    for owed in world.records.owed.values() if names else ():
        for account, numerator in owed.items():
            if account in names:
                accrued[names[account]] += numerator
    for name in world.live if names else ():
        workload = world.records.workloads[name]
        attempt = workload.attempt
        if workload.spec.capacity.kind is not CapacityKind.SPOT or attempt is None:
            continue
        if not attempt.rates:
            continue
        for span in accrued_spans(world, workload, now_us):
            for account, micros in span.rate.shares:
                if account in names:
                    accrued[names[account]] += micros * (span.end_us - span.start_us)
        rate, fee = attempt.rates[-1], world.records.markets[workload.market].terms.fee
        gpus = sum(seat.gpus for seat in attempt.seats)
        owners = rate.per_hour_micros(gpus) * (fee.denominator - fee.numerator)
        for account, micros in rate.shares:
            if account in names and owners > 0:
                earned[names[account]] += micros
                parts[names[account]] += _MILLION * gpus * micros * fee.denominator // owners
    return {
        it.reservation: _lent(
            it, parts[it.reservation], earned[it.reservation], accrued[it.reservation]
        )
        for it in shown
    }


def _lent(it: Reservation, part: int, micros_per_hour: int, accrued: int) -> Lent:
    is_lending = it.lending is not None and it.state.takes_part
    micros, most = accrued // MICROSECONDS_PER_HOUR, it.earns_at_most_micros
    return Lent(
        gpus=min(round(part / _MILLION), it.nodes * it.gpus_per_node) if is_lending else None,
        micros_per_hour=micros_per_hour if is_lending else None,
        accrued_micros=micros if most is None else max(0, min(micros, most - it.earned_micros)),
    )
