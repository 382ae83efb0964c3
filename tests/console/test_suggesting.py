"""The floor and the kept nodes that an owner is suggested, each from what is known."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.console.history import OFF_S, Sample
from parkade.console.suggesting import suggest
from parkade.core.market.supply import guest_floor
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import MICROS
from parkade.wire.money import Cost
from parkade.wire.reservations import Lending, Reservation, Waits

FEE = Fraction(numerator=2, denominator=7)
HOUR_S = 3_600
NO_WAITS = Waits(times=0, total=timedelta(0), longest=timedelta(0), times_one_more_kept=0)


def reservation(lending: Lending | None = None, waits: Waits = NO_WAITS) -> Reservation:
    zero = Decimal("0.00")
    cost = Cost(price_per_gpu_hour=zero, gpus=16, per_hour=zero, at_most=None, says="")
    return Reservation(
        reservation="acme", org="acme", market="lab", state="in_force", nodes=2, gpus_per_node=8,
        shape={"f": 2}, start=datetime(2026, 1, 1, tzinfo=UTC), end=None, rate=zero,
        paid_until=None, lending=lending, nodes_used=0, waits=waits, cost=cost,
    )  # fmt: skip


def sampled(*prices: tuple[float | None, float]) -> list[Sample]:
    """Samples of prices that hold for so many hours each, and one at the end."""
    found: list[Sample] = []
    at_s = 0
    for price, hours in (*prices, (None, 0)):
        micros = None if price is None else round(price * MICROS)
        until_s = at_s + round(hours * HOUR_S)
        found += [
            Sample(
                at_s=each_s, owner=0, lent=0, spot=0, on_demand=0, idle=0, out=0, orgs={},
                prices={"lab": micros},
            )
            for each_s in range(at_s, max(until_s, at_s + 1), OFF_S)
        ]  # fmt: skip
        at_s = until_s
    return found


def test_the_floor_is_what_three_quarters_of_the_time_reached_less_the_fee() -> None:
    found = suggest(reservation(), sampled((3.5, 18), (1.4, 6)), fee=FEE, pay_as_you_go=Decimal(12))
    assert found.floor == Decimal("2.50") and not found.is_as_now
    assert (
        "for 75 % of the 1 d that is known of the last day one node cost 3.50 or more"
        in found.reasons[0]
    )
    found = suggest(reservation(), sampled((3.5, 17), (1.4, 7)), fee=FEE, pay_as_you_go=Decimal(12))
    assert found.floor == Decimal("1.00")


def test_what_no_newcomer_could_win_counts_as_dear_and_on_demand_is_the_most() -> None:
    for prices in (((None, 20), (1.4, 4)), ((50.0, 20), (1.4, 4))):
        found = suggest(reservation(), sampled(*prices), fee=FEE, pay_as_you_go=Decimal(7))
        assert found.floor == Decimal("5.00")


def test_little_is_no_ground_for_a_floor() -> None:
    found = suggest(reservation(), sampled((3.5, 0.9)), fee=FEE, pay_as_you_go=Decimal(12))
    assert found.floor is None and "less than an hour" in found.reasons[0]
    assert suggest(reservation(), [], fee=FEE, pay_as_you_go=Decimal(12)).floor is None


@pytest.mark.parametrize(("spared", "keep"), [(3, 1), (0, 0)])
def test_one_more_is_kept_where_it_would_have_spared_a_wait(spared: int, keep: int) -> None:
    waits = Waits(
        times=4,
        total=timedelta(minutes=9),
        longest=timedelta(minutes=5),
        times_one_more_kept=spared,
    )
    lending = Lending(floor=Decimal("1.00"), keep=0)
    found = suggest(
        reservation(lending, waits), sampled((1.4, 24)), fee=FEE, pay_as_you_go=Decimal(12)
    )
    assert (found.floor, found.keep) == (Decimal("1.00"), keep)
    assert found.is_as_now is (keep == 0)


@given(st.lists(st.tuples(st.none() | st.integers(0, 50 * MICROS), st.integers(1, 90)), min_size=2))
def test_a_suggested_floor_finds_guests_for_that_part_of_the_time(
    prices: list[tuple[int | None, int]],
) -> None:
    spans = [(None if it is None else it / MICROS, hours) for it, hours in prices]
    found = suggest(reservation(), sampled(*spans), fee=FEE, pay_as_you_go=Decimal(60))
    assert found.floor is not None
    asks = guest_floor(round(found.floor * MICROS), FEE)
    reached = sum(hours for it, hours in prices if it is None or it >= asks)
    assert 100 * reached >= 75 * sum(hours for _, hours in prices)
