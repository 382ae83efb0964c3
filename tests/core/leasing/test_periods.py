"""The life of a reservation: when something is next due, what then follows, and what it costs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from parkade.core.kernel.evolve import evolve
from parkade.core.leasing.periods import end_right, next_period, period_due_us, take_period
from parkade.core.reservations.reservation import Reservation, ReservationState
from parkade.core.state import events
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, SECOND_US, Window
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.core.workloads.workload import Workload
from tests import builders
from tests.core.kernel.story import Parkade
from tests.core.records import attempt, claim, reservation, stop, workload, world

S, H = SECOND_US, HOUR_US
LEAVE_S = 35
"""Notice, kill and turnaround of `builders.terms`."""
PER_HOUR = 2 * 4 * 4 * MICROS
"""Two nodes of four GPUs at 4 per GPU-hour."""


def made(state: ReservationState, start_h: int, end_h: int | None, **changes: Any) -> Reservation:
    end_us = None if end_h is None else end_h * H
    window = Window(start_us=start_h * H, end_us=end_us)
    fields = {"paid_until_us": (start_h + 1) * H} | changes
    return reservation(state=state, window=window, **fields)


SOLD, IN_FORCE = ReservationState.SOLD, ReservationState.IN_FORCE
CLOSING = ReservationState.CLOSING
ENDED, LAPSED = ReservationState.ENDED, ReservationState.LAPSED


@pytest.mark.parametrize(
    ("record", "due_us"),
    [
        # The first period is charged at the sale.
        (made(SOLD, 5, 9, created_us=7, paid_until_us=5 * H), 7),
        # Paid: it comes into force early enough that its guests are gone when it begins.
        (made(SOLD, 5, 9), 5 * H - LEAVE_S * S),
        (made(IN_FORCE, 0, None), H),
        (made(IN_FORCE, 0, 9), H),
        (made(IN_FORCE, 0, 9, paid_until_us=9 * H), 9 * H - LEAVE_S * S),
        (made(IN_FORCE, 0, 1), H - LEAVE_S * S),
        (made(CLOSING, 0, 9, paid_until_us=9 * H), 9 * H),
        (made(CLOSING, 0, 9, paid_until_us=8 * H), 8 * H),
        # A day after its end it is forgotten.
        (made(ENDED, 0, 9), 33 * H),
        (made(LAPSED, 0, 9), 33 * H),
    ],
)
def test_when_something_next_happens_to_a_reservation(record: Reservation, due_us: int) -> None:
    assert period_due_us(world(record), record) == due_us


def test_a_window_shorter_than_its_notice_closes_when_it_begins() -> None:
    record = reservation(window=Window(start_us=10 * S, end_us=20 * S), paid_until_us=20 * S)
    assert period_due_us(world(record), record) == 10 * S


def on_reservation(name: str = "w1", **changes: Any) -> Workload:
    spec = builders.spec(
        capacity=Capacity(kind=CapacityKind.RESERVATION, reservation="acme"),
        limit_price_micros=None,
    )
    return workload(name, org="acme", spec=spec, **changes)


def test_a_reservation_is_kept_while_a_workload_of_it_lives() -> None:
    record = made(ENDED, 0, 9)
    assert period_due_us(world(record, on_reservation(attempt=attempt())), record) is None


@pytest.mark.parametrize(
    ("record", "balance", "at_us", "state"),
    [
        (made(SOLD, 5, 9), PER_HOUR, 5 * H - LEAVE_S * S, IN_FORCE),
        (made(IN_FORCE, 0, 9, paid_until_us=9 * H), 0, 9 * H - LEAVE_S * S, CLOSING),
        (made(CLOSING, 0, 9, paid_until_us=9 * H), 0, 9 * H, ENDED),
        (made(IN_FORCE, 0, 9, paid_until_us=9 * H), 0, 9 * H, ENDED),
        (made(IN_FORCE, 0, None), PER_HOUR - 1, H, LAPSED),
        (made(SOLD, 5, 9, paid_until_us=5 * H), PER_HOUR - 1, 0, LAPSED),
    ],
    ids=["begins", "closes", "ends", "ends late", "cannot pay", "cannot pay the first"],
)
def test_what_follows_at_its_instant(
    record: Reservation, balance: int, at_us: int, state: ReservationState
) -> None:
    found = take_period(world(record, balances={"org/acme": balance}), record, at_us)
    assert isinstance(found[0], events.ReservationChanged) and found[0].state is state
    assert found[0].at_us == at_us


@pytest.mark.parametrize(
    ("record", "at_us", "until_us", "micros"),
    [
        (made(IN_FORCE, 0, None), H, 2 * H, PER_HOUR),
        (made(IN_FORCE, 0, 9, paid_until_us=8 * H + H // 2), 8 * H + H // 2, 9 * H, PER_HOUR // 2),
        (made(SOLD, 5, 9, paid_until_us=5 * H), 0, 6 * H, PER_HOUR),
        (made(IN_FORCE, 0, None, rate_micros=0), H, 2 * H, 0),
    ],
    ids=["a period", "the rest of a window", "the first, at the sale", "for nothing"],
)
def test_a_period_is_charged_in_advance_and_at_most_to_the_end(
    record: Reservation, at_us: int, until_us: int, micros: int
) -> None:
    (event,) = take_period(world(record, balances={"org/acme": PER_HOUR}), record, at_us)
    assert isinstance(event, events.ReservationPaid) and event.paid_until_us == until_us
    assert sum(it.micros for it in event.transfers) == micros
    for transfer in event.transfers:
        assert transfer.use is not None and transfer.use.gpus == 8
        assert (transfer.use.start_us, transfer.use.end_us) == (record.paid_until_us, until_us)


@given(st.integers(1, 10**7), st.integers(MICROS, HOUR_US), st.integers(1, 20), st.integers(0, S))
def test_all_periods_together_cost_the_window_exactly(
    rate_micros: int, period_us: int, periods: int, cut_us: int
) -> None:
    """The last period is shorter by `cut_us`, which is less than a period."""
    cut_us = min(cut_us, period_us - 1)
    window_us = period_us * periods - cut_us
    market = builders.market("market", terms=builders.terms(billing_period_us=period_us))
    window = Window(start_us=0, end_us=window_us)
    record = reservation(rate_micros=rate_micros, window=window, paid_until_us=0)
    made_world = world(record, markets=[market])
    paid = 0
    for _ in range(periods):
        until_us, micros = next_period(made_world, record)
        record = replace(record, paid_until_us=until_us)
        paid += micros
    assert record.paid_until_us == window_us
    assert paid == rate_micros * 8 * window_us // HOUR_US


def test_its_own_workloads_get_notice_in_time_to_be_gone_at_the_end() -> None:
    record = made(IN_FORCE, 0, 9, paid_until_us=9 * H)
    leaving = attempt(attempt="w2.1", stop=stop(Cause.CANCELLED))
    workloads = (
        on_reservation("w1", attempt=attempt()),
        on_reservation("w2", attempt=leaving, phase=Phase.STOPPING),
        on_reservation("w3"),
        workload("w4", org="acme", attempt=attempt(attempt="w4.1")),
    )
    at_us = 9 * H - LEAVE_S * S
    change, *stops = take_period(world(record, *workloads), record, at_us)
    assert isinstance(change, events.ReservationChanged) and change.state is CLOSING
    (event,) = stops
    assert isinstance(event, events.StopOrdered) and event.workload == "w1"
    assert event.stop.cause is Cause.EXPIRED and event.stop.kill_us == 9 * H


def test_at_the_end_claims_are_given_up_and_what_waits_expires() -> None:
    record = made(IN_FORCE, 0, 9)
    runs = on_reservation("w2", attempt=attempt(attempt="w2.1"))
    found = end_right(world(record, claim(), on_reservation("w1"), runs), record, ENDED, 9 * H)
    assert found == (
        events.ReservationChanged(at_us=9 * H, reservation="acme", state=ENDED, end_us=9 * H),
        events.Unclaimed(at_us=9 * H, claim="c1", reservation="acme"),
        events.PhaseChanged(
            at_us=9 * H, workload="w1", phase=Phase.EXPIRED, why=Why.RESERVATION_ENDED
        ),
    )


def test_a_right_that_never_began_ends_with_its_begin() -> None:
    record = made(SOLD, 5, 9)
    (event,) = end_right(world(record), record, ENDED, H)
    assert isinstance(event, events.ReservationChanged) and event.end_us == 5 * H


def test_what_is_over_is_forgotten() -> None:
    record = made(LAPSED, 0, 9)
    assert take_period(world(record), record, 33 * H) == (
        events.Forgotten(at_us=33 * H, workloads=(), reservations=("acme",)),
    )


def test_the_worked_example_of_the_theory_of_operation() -> None:
    record = made(SOLD, 5, 9, paid_until_us=5 * H)
    it = world(record, balances={"org/acme": 1000 * MICROS})
    found: list[tuple[int, str, int]] = []
    while not it.records.reservations["acme"].state.is_over:
        now = it.records.reservations["acme"]
        due_us = period_due_us(it, now)
        assert due_us is not None
        for event in take_period(it, now, due_us):
            evolve(it, event)
            match event:
                case events.ReservationPaid(transfers=(transfer,)):
                    found.append((due_us // S, "paid", transfer.micros // MICROS))
                case events.ReservationChanged(state=state):
                    found.append((due_us // S, state.value, 0))
    assert found == [
        (0, "paid", 32),
        (5 * 3600 - 35, "in_force", 0),
        (6 * 3600, "paid", 32),
        (7 * 3600, "paid", 32),
        (8 * 3600, "paid", 32),
        (9 * 3600 - 35, "closing", 0),
        (9 * 3600, "ended", 0),
    ]


def test_nothing_of_a_reservation_happens_before_it_was_sold() -> None:
    parkade = Parkade(notice_us=2 * HOUR_US)
    parkade.reserve("acme", 1, in_hours=1, hours=9)
    sold = next(it for it in parkade.journal if isinstance(it, events.Reserved))
    after = parkade.journal[parkade.journal.index(sold) :]
    assert any(isinstance(it, events.ReservationPaid) for it in after)
    assert any(isinstance(it, events.ReservationChanged) for it in after)
    assert all(it.at_us >= sold.at_us for it in after)
