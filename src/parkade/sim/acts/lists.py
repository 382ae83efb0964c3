"""Which drawn specs have a list of capacity: all by the number in their name, so that all other
acts of a seed are as if none had."""

import random

from msgspec.structs import replace

from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, MINUTE_US
from parkade.core.workloads.spec import Capacity, CapacityKind, Moves, Spec

SPOT, ON_DEMAND = Capacity(kind=CapacityKind.SPOT), Capacity(kind=CapacityKind.ON_DEMAND)
LASTS_US = (5 * MINUTE_US, 20 * MINUTE_US, HOUR_US, 3 * HOUR_US)
"""What work with on-demand in its list may run, where nothing else was drawn."""


def after_a_reservation(spec: Spec) -> Spec:
    """Every third of those on a reservation bids for spot where that is full, buys on-demand there,
    or does both in turn."""
    number = _number(spec)
    if number % 3 or spec.array is not None:
        return spec
    limit = (1, 3, 6, 12)[number // 3 % 4] * MICROS
    last = ((SPOT,), (SPOT,), (ON_DEMAND,), (SPOT, ON_DEMAND))[number // 12 % 4]
    if spec.after:
        last = (SPOT,)
    entries = (spec.capacity, *last)
    bid = replace(
        spec,
        entries=entries,
        spot_limit_micros=limit if SPOT in last else None,
        moves=Moves.NEEDED,
    )
    return _with_end(bid) if ON_DEMAND in last else bid


def before_on_demand(spec: Spec) -> Spec:
    """About every fourth plain bid buys on-demand where it wins nothing."""
    is_plain = spec.array is None and not spec.is_elastic and spec.deadline is None
    if not is_plain or spec.choices or spec.after or _number(spec) // 24 % 4:
        return spec
    limit = spec.limit_price_micros
    return _with_end(
        replace(spec, entries=(SPOT, ON_DEMAND), spot_limit_micros=limit, moves=Moves.NEEDED)
    )


def _with_end(spec: Spec) -> Spec:
    chance = random.Random(_number(spec))
    lasts_us = spec.max_duration_us or chance.choice(LASTS_US)
    spend = spec.max_spend_micros
    is_too_little = spend is not None and spend < 10 * MICROS
    return replace(
        spec, max_duration_us=lasts_us, max_spend_micros=None if is_too_little else spend
    )


def _number(spec: Spec) -> int:
    return int(spec.name.removeprefix("job-"), 16)
