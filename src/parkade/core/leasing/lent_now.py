"""What reservations lend and earn at this moment, by the rates that guests pay.

A clearing divides what guests pay among lenders; which of a guest's GPUs are whose is not said. So
a reservation lends as many GPUs as its part of the owners' part of the price comes to: of 4 GPUs
whose price pays owners 20 an hour, a reservation that earns 10 of them lends 2. The lot tells the
same way how many of a guest's GPUs are lent.

What a guest owes is posted up to an hour later. Until then it is *accrued*: of the guest as of the
reservation, up to the same instant.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from parkade.core.billing.live_ranks import without_killed
from parkade.core.billing.metering import accrued_spans
from parkade.core.ledger.accounts import lending_account
from parkade.core.reservations.reservation import Reservation
from parkade.core.state.world import World
from parkade.core.units.money import MICROSECONDS_PER_HOUR
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Attempt, Workload

_MILLION = 1_000_000


class Lent(NamedTuple):
    """GPUs on which guests sit now, and what they earn an hour."""

    gpus: int
    micros_per_hour: int


def lent_now(world: World, reservations: Iterable[Reservation], now_us: int) -> Mapping[str, Lent]:
    """By reservation, of those that lend. Grows with the live workloads where one of them does."""
    lending = {
        lending_account(it.org, it.reservation): it
        for it in reservations
        if it.lending is not None and it.state.takes_part
    }
    earned, parts = dict.fromkeys(lending, 0), dict.fromkeys(lending, 0)
    for workload, attempt in _guests(world, now_us) if lending else ():
        rate, fee = attempt.rates[-1], world.records.markets[workload.market].terms.fee
        gpus = sum(seat.gpus for seat in attempt.seats)
        owners = rate.per_hour_micros(gpus) * (fee.denominator - fee.numerator)
        for account, micros in rate.shares:
            if account in lending and owners > 0:
                earned[account] += micros
                parts[account] += _MILLION * gpus * micros * fee.denominator // owners
    return {
        it.reservation: Lent(
            gpus=min(round(parts[account] / _MILLION), it.nodes * it.gpus_per_node),
            micros_per_hour=earned[account],
        )
        for account, it in lending.items()
    }


def accrued_now(
    world: World, reservations: Iterable[Reservation], now_us: int
) -> Mapping[str, int]:
    """By reservation that is not over, what it earned and was not paid, as far as its cap goes, in
    micro-units. Grows with the live workloads, and with the prices that each has had since it was
    charged last."""
    earners = {
        lending_account(it.org, it.reservation): it for it in reservations if not it.state.is_over
    }
    accrued = dict.fromkeys(earners, 0)
    for owed in world.records.owed.values() if earners else ():
        for account in owed.keys() & accrued.keys():
            accrued[account] += owed[account]
    for workload, attempt in _guests(world, now_us) if earners else ():
        for span in accrued_spans(world, replace(workload, attempt=attempt), now_us):
            for account, micros in span.rate.shares:
                if account in accrued:
                    accrued[account] += micros * (span.end_us - span.start_us)
    return {it.reservation: _up_to_cap(it, accrued[account]) for account, it in earners.items()}


def _guests(world: World, now_us: int) -> Iterator[tuple[Workload, Attempt]]:
    """What bids for spot and has a price, each rank that leaves alone up to its kill."""
    for name in world.live:
        workload = world.records.workloads[name]
        attempt = workload.attempt
        if workload.spec.capacity.kind is not CapacityKind.SPOT or attempt is None:
            continue
        if attempt.rates:
            yield workload, without_killed(attempt, now_us)


def _up_to_cap(it: Reservation, accrued: int) -> int:
    micros, most = accrued // MICROSECONDS_PER_HOUR, it.earns_at_most_micros
    return micros if most is None else max(0, min(micros, most - it.earned_micros))
