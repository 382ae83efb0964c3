"""What floor and how many kept nodes are suggested to an owner, with the reasons.

*Floor*: the highest at which guests would have been found for three quarters of the time that is
known, by what one node cost a newcomer then. Of that price the owner receives what the fee leaves,
so that is its floor. More is not suggested: what guests would have paid beyond the price is not
known. *Keep*: one more node than now where that would have spared the owner at least one wait.

Example (`tests/console/test_suggesting.py`). One node cost 3.50 for 18 hours and 1.40 for 6. For
three quarters of the time it cost 3.50 or more; with a fee of 2/7 a floor of 2.50 asks that.

Decision record 189.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from parkade.api.translate.scalars import amount, micros
from parkade.console import words
from parkade.console.history import Sample, known_prices
from parkade.core.market.supply import guest_floor
from parkade.core.units.fraction import Fraction
from parkade.core.units.phrases import counted
from parkade.wire.reservations import Reservation
from parkade.wire.scalars import format_amount

LEAST_S = 3_600
"""Of prices that are known, before a floor is suggested."""

PERCENT_OF_TIME = 75


class Suggestion(NamedTuple):
    """`floor` None: none is suggested. `reasons`: for both, also where they are as now."""

    floor: Decimal | None
    keep: int
    reasons: tuple[str, ...]
    is_as_now: bool


def suggest(
    it: Reservation, samples: Sequence[Sample], *, fee: Fraction, pay_as_you_go: Decimal
) -> Suggestion:
    """For a reservation, from the samples of a day."""
    floor, of_floor = _floor(it, samples, fee, micros(pay_as_you_go))
    keep, of_keep = _keep(it)
    lending = it.lending
    is_as_now = lending is not None and (floor in (None, lending.floor)) and keep == lending.keep
    return Suggestion(floor, keep, (*of_floor, *of_keep), is_as_now)


def _floor(
    it: Reservation, samples: Sequence[Sample], fee: Fraction, on_demand: int
) -> tuple[Decimal | None, list[str]]:
    spans = known_prices(samples, it.market)
    known_s = sum(length for _, length in spans)
    if known_s < LEAST_S:
        return None, ["no floor: prices of less than an hour are known since the server started"]
    price = _reached(spans, known_s)
    if price is None:
        price = on_demand
        says = "no newcomer would have won a node for most of the time, so its floor is on-demand's"
    else:
        length = words.span(timedelta(seconds=known_s))
        says = (
            f"for {PERCENT_OF_TIME} % of the {length} that is known of the last day one node cost"
            f" {format_amount(amount(price))} or more"
        )
    price = min(price, on_demand)
    floor = price * (fee.denominator - fee.numerator) // fee.denominator
    assert guest_floor(floor, fee) <= price, "the floor asks no more than the price"
    reasons = [
        f"{says}; of {format_amount(amount(price))} you receive {format_amount(amount(floor))}"
    ]
    if it.lending is not None:
        asks = guest_floor(micros(it.lending.floor), fee)
        below_s = sum(length for each, length in spans if each is not None and each < asks)
        share = 100 * below_s // known_s
        reasons.append(
            f"your floor now asks guests for {format_amount(amount(asks))}: one node cost less for"
            f" {share} % of that time"
        )
    return amount(floor), reasons


def _reached(spans: Sequence[tuple[int | None, int]], known_s: int) -> int | None:
    """The highest price that stood, or more, for that part of the time; None: none could be had."""
    needed, seen_s = known_s * PERCENT_OF_TIME, 0
    by_price = sorted(spans, key=lambda each: (each[0] is not None, -(each[0] or 0)))
    for price, length in by_price:
        seen_s += length
        if 100 * seen_s >= needed:
            return price
    return by_price[-1][0]


def _keep(it: Reservation) -> tuple[int, list[str]]:
    present = it.lending.keep if it.lending is not None else 0
    waits = it.waits
    if not waits.times:
        return present, [f"keep {present}: you never waited for your nodes"]
    spared = waits.times_one_more_kept
    if spared and present < it.nodes:
        return present + 1, [
            (
                f"keep {present + 1}: one more kept node would have spared {spared} of"
                f" {counted(waits.times, 'wait')}, the longest {words.span(waits.longest)}"
            )
        ]
    return present, [
        (
            f"keep {present}: one more kept node would have spared none of"
            f" {counted(waits.times, 'wait')}"
        )
    ]
