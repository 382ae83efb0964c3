"""A reservation that lasts longer, at the rate that was agreed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.core.leasing.periods import next_period
from parkade.core.reservations.reservation import ReservationState
from parkade.core.state import commands, events
from parkade.core.units.money import MICROS, amount_of
from parkade.core.units.refusal import Reason
from parkade.core.units.time import HOUR_US
from tests.core.kernel.story import Parkade


def extend(parkade: Parkade, name: str, hours: float) -> commands.ExtendReservation:
    """So many hours from now."""
    end_us = parkade.now_us + round(hours * HOUR_US)
    return commands.ExtendReservation(by=None, reservation=name, end_us=end_us)


def sheet(parkade: Parkade, rate: int) -> None:
    command = commands.SetPrices(
        by=None,
        market="pool",
        pay_as_you_go_micros=None,
        reservation_rate_micros=rate * MICROS,
        public_floor_micros=None,
    )
    parkade.do(command)


def paid(parkade: Parkade, name: str) -> int:
    found = (it for it in parkade.journal if isinstance(it, events.ReservationPaid))
    return sum(each.micros for it in found if it.reservation == name for each in it.transfers)


def test_the_example_of_the_module() -> None:
    parkade = Parkade(reservation_rate_micros=4 * MICROS)
    name = parkade.reserve("acme", 2, hours=2)
    parkade.tick(HOUR_US / 1e6)
    parkade.do(extend(parkade, name, 4))
    parkade.tick(6 * 3600)
    assert paid(parkade, name) == (2 + 3) * 16 * MICROS
    assert parkade.world.records.reservations[name].state is ReservationState.ENDED


def test_it_goes_no_further_than_the_calendar_has_room() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    name = parkade.reserve("acme", 2, hours=2)
    parkade.reserve("later", 1, hours=2, in_hours=3)
    refusal = parkade.refused(extend(parkade, name, 4))
    assert refusal.reason is Reason.NO_CAPACITY and refusal.field == "end"
    assert " 2 nodes in a until then, and 1 is unsold there: 1 is missing; " in refusal.detail
    assert parkade.do(extend(parkade, name, 3))


def test_an_old_rate_is_not_kept_beyond_what_was_agreed() -> None:
    parkade = Parkade(reservation_rate_micros=4 * MICROS)
    name = parkade.reserve("acme", 1, hours=2)
    sheet(parkade, 5)
    refusal = parkade.refused(extend(parkade, name, 3))
    assert refusal.reason is Reason.CONFLICT and "agreed at 4.00" in refusal.detail
    sheet(parkade, 3)
    assert parkade.do(extend(parkade, name, 3))
    assert parkade.world.records.reservations[name].rate_micros == 4 * MICROS


def test_the_end_is_never_moved_earlier_and_an_open_one_stays() -> None:
    parkade = Parkade()
    fixed, is_open = parkade.reserve("acme", 1, hours=2), parkade.reserve("open", 1)
    assert parkade.refused(extend(parkade, fixed, 2)).reason is Reason.INVALID
    assert parkade.refused(extend(parkade, is_open, 2)).reason is Reason.CONFLICT


def test_a_notice_to_its_own_workloads_is_not_withdrawn() -> None:
    parkade = Parkade()
    name = parkade.reserve("acme", 1, hours=1)
    parkade.on_reservation("acme", name)
    parkade.run(3600 - 20)
    assert parkade.world.records.reservations[name].state is ReservationState.CLOSING
    assert parkade.refused(extend(parkade, name, 3)).reason is Reason.CONFLICT
    parkade.tick(60)
    assert parkade.refused(extend(parkade, name, 3)).reason is Reason.RESERVATION_ENDED


def test_an_extended_window_is_owed_as_a_whole() -> None:
    """Else an owner would block the calendar for a year and leave."""
    parkade = Parkade()
    name = parkade.reserve("acme", 1, hours=1)
    parkade.do(extend(parkade, name, 9))
    end = commands.EndReservation(by=None, reservation=name)
    assert parkade.refused(end).reason is Reason.CONFLICT


@given(
    st.integers(min_value=1, max_value=3),
    st.integers(min_value=36, max_value=2000),
    st.integers(min_value=1, max_value=2000),
    st.integers(min_value=0, max_value=9_999_999),
)
def test_what_is_charged_is_the_price_of_the_window_to_the_micro_unit(
    nodes: int, minutes: int, more: int, rate: int
) -> None:
    parkade = Parkade(reservation_rate_micros=rate)
    parkade.org("acme")
    first_us = parkade.now_us
    end_us = first_us + minutes * 60_000_000
    made = parkade.do(
        commands.Reserve(
            by=None,
            org="acme",
            market=None,
            name=None,
            nodes=nodes,
            start_us=None,
            end_us=end_us,
        )
    )
    name = next(it.reservation.reservation for it in made if isinstance(it, events.Reserved))
    later_us = end_us + more * 60_000_000 + 7
    parkade.do(commands.ExtendReservation(by=None, reservation=name, end_us=later_us))
    parkade.tick((later_us - first_us) / 1e6 + 60)
    assert paid(parkade, name) == amount_of(rate * nodes * 2, later_us - first_us)


@pytest.mark.parametrize("ahead", [None, 5])
def test_the_first_charge_is_what_the_plan_says(ahead: int | None) -> None:
    parkade = Parkade(reservation_rate_micros=4 * MICROS)
    parkade.org("acme")
    start_us = None if ahead is None else parkade.now_us + ahead * HOUR_US
    begins_us = parkade.now_us if start_us is None else start_us
    command = commands.Reserve(
        by=None,
        org="acme",
        market=None,
        name=None,
        nodes=2,
        start_us=start_us,
        end_us=begins_us + 3 * HOUR_US,
    )
    made = parkade.do(command)
    sold = next(it.reservation for it in made if isinstance(it, events.Reserved))
    _, now_micros = next_period(parkade.world, sold)
    parkade.tick()
    assert paid(parkade, sold.reservation) == now_micros > 0
