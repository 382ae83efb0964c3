"""What reservations lend and earn at this moment, by the rates that guests pay.

A clearing divides what guests pay among lenders; which of a guest's GPUs are whose is not said. So
a reservation lends as many GPUs as its part of the owners' part of the price comes to: of 4 GPUs
whose price pays owners 20 an hour, a reservation that earns 10 of them lends 2. The lot tells the
same way how many of a guest's GPUs are lent.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from parkade.core.ledger.accounts import lending_account
from parkade.core.reservations.reservation import Reservation
from parkade.core.state.world import World
from parkade.core.workloads.spec import CapacityKind

_MILLION = 1_000_000


class Lent(NamedTuple):
    """GPUs on which guests sit now, and what they earn an hour."""

    gpus: int
    micros_per_hour: int


def lent_now(world: World, reservations: Iterable[Reservation]) -> Mapping[str, Lent]:
    """By reservation, of those that lend. Grows with the live workloads where one of them does."""
    lending = [it for it in reservations if it.lending is not None and it.state.takes_part]
    names = {lending_account(it.org, it.reservation): it.reservation for it in lending}
    earned, parts = dict.fromkeys(names.values(), 0), dict.fromkeys(names.values(), 0)
    for name in world.live if names else ():
        workload = world.records.workloads[name]
        attempt = workload.attempt
        if workload.spec.capacity.kind is not CapacityKind.SPOT or attempt is None:
            continue
        if not attempt.rates:
            continue
        rate, fee = attempt.rates[-1], world.records.markets[workload.market].terms.fee
        gpus = sum(seat.gpus for seat in attempt.seats)
        owners = rate.per_hour_micros(gpus) * (fee.denominator - fee.numerator)
        for account, micros in rate.shares:
            if account in names and owners > 0:
                earned[names[account]] += micros
                parts[names[account]] += _MILLION * gpus * micros * fee.denominator // owners
    return {
        it.reservation: Lent(
            gpus=min(round(parts[it.reservation] / _MILLION), it.nodes * it.gpus_per_node),
            micros_per_hour=earned[it.reservation],
        )
        for it in lending
    }
