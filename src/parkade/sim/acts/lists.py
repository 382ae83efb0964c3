"""Which drawn specs have a list of capacity: all by the number in their name, so that all other
acts of a seed are as if none had."""

import random

from msgspec.structs import replace

from parkade.core.reservations.reservation import Reservation
from parkade.core.state.world import World
from parkade.core.units.money import MICROS
from parkade.core.units.time import DAY_US, HOUR_US, MINUTE_US
from parkade.core.workloads.spec import Capacity, CapacityKind, Moves, Spec

SPOT, ON_DEMAND = Capacity(kind=CapacityKind.SPOT), Capacity(kind=CapacityKind.ON_DEMAND)
LASTS_US = (5 * MINUTE_US, 20 * MINUTE_US, HOUR_US, 3 * HOUR_US)
"""What work with on-demand in its list may run, where nothing else was drawn."""
MOST_LASTS_US = 60 * DAY_US


def after_a_reservation(world: World, spec: Spec, right: Reservation) -> Spec:
    """Every third of those on a reservation bids for spot where that is full, buys on-demand there,
    or does both in turn."""
    number = _number(spec)
    if number % 3:
        return spec
    limit = (1, 3, 6, 12)[number // 3 % 4] * MICROS
    last = ((SPOT,), (SPOT,), (ON_DEMAND,), (SPOT, ON_DEMAND))[number // 12 % 4]
    if spec.after or spec.array is not None:
        last = (SPOT,)
    listed = replace(
        spec,
        entries=(spec.capacity, *last),
        spot_limit_micros=limit if SPOT in last else None,
        moves=Moves.NEEDED,
    )
    return _with_end(world, listed, right.org, right.market) if ON_DEMAND in last else listed


def before_on_demand(world: World | None, spec: Spec, org: str, market: str) -> Spec:
    """About every fourth plain bid buys on-demand where it wins nothing."""
    is_plain = spec.array is None and not spec.is_elastic and spec.deadline is None
    if not is_plain or spec.choices or spec.after or _number(spec) // 24 % 4 or world is None:
        return spec
    limit = spec.limit_price_micros
    listed = replace(spec, entries=(SPOT, ON_DEMAND), spot_limit_micros=limit, moves=Moves.NEEDED)
    return _with_end(world, listed, org, market)


def _with_end(world: World, spec: Spec, org: str, market: str) -> Spec:
    """Every third window costs nearly all that its org has, so that nothing else may spend it."""
    number = _number(spec)
    lasts_us = spec.max_duration_us or random.Random(number).choice(LASTS_US)
    terms = world.records.markets[market].terms
    balance = world.records.balances.get(f"org/{org}", 0)
    if number // 96 % 3 == 1:
        rate = max(1, terms.pay_as_you_go_micros) * spec.total_gpus
        lasts_us = min(max(balance * 9 // 10 * HOUR_US // rate, MINUTE_US), MOST_LASTS_US)
    return replace(spec, max_duration_us=lasts_us, max_spend_micros=None)


def _number(spec: Spec) -> int:
    return int(spec.name.removeprefix("job-"), 16)
