"""Parts of reservations: split off, handed over, given up; and that none of it pays."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.core.ledger.accounts import prepaid_account
from parkade.core.reservations.reservation import Reservation, ReservationState
from parkade.core.state import commands, events
from parkade.core.state.codec import encode_event
from parkade.core.state.people import Role
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from tests import builders
from tests.auditor import audit
from tests.core.kernel.story import Parkade

FOUR: dict[str, Any] = {
    "fabrics": {"a": 4},
    "buffer_nodes": 0,
    "reservation_rate_micros": 4 * MICROS,
}


def acme(nodes: int = 3, **window: Any) -> tuple[Parkade, str]:
    """Three nodes of two GPUs at 4: 24 an hour."""
    parkade = Parkade(**FOUR, payout_cap=Fraction(numerator=1, denominator=1))
    return parkade, parkade.reserve("acme", nodes, **window)


def split(parkade: Parkade, whole: str, nodes: int, **more: Any) -> Reservation:
    command = commands.SplitReservation(by=None, reservation=whole, nodes=nodes, **more)
    return next(it.part for it in parkade.do(command) if isinstance(it, events.ReservationDivided))


def record(parkade: Parkade, name: str) -> Reservation:
    return parkade.world.records.reservations[name]


def refused(parkade: Parkade, name: str, nodes: int, **more: Any) -> Reason:
    command = commands.SplitReservation(by=None, reservation=name, nodes=nodes, **more)
    return parkade.refused(command).reason


def audited(parkade: Parkade) -> None:
    audit([encode_event(it) for it in parkade.journal])


def paid_by(parkade: Parkade, org: str) -> int:
    """What reservations of an org were charged."""
    return sum(
        it.micros
        for event in parkade.journal
        if isinstance(event, events.ReservationPaid)
        for it in event.transfers
        if it.debit == f"org/{org}"
    )


def test_the_example_of_the_module() -> None:
    parkade, name = acme()
    part = split(parkade, name, 1)
    assert (record(parkade, name).nodes, part.nodes, part.org) == (2, 1, "acme")
    assert parkade.balance(prepaid_account(part.reservation)) == 8 * MICROS
    assert parkade.balance(prepaid_account(name)) == 16 * MICROS
    parkade.tick(3600)
    assert paid_by(parkade, "acme") == (24 + 16 + 8) * MICROS
    audited(parkade)


def test_a_part_keeps_the_window_the_rate_and_the_age() -> None:
    parkade, name = acme(hours=5)
    whole, part = record(parkade, name), split(parkade, name, 2, name="spare")
    assert part.reservation == "spare"
    assert (part.window, part.rate_micros) == (whole.window, whole.rate_micros)
    assert (part.created_us, part.paid_until_us) == (whole.created_us, whole.paid_until_us)
    parkade.tick(5 * 3600 + 60)
    assert paid_by(parkade, "acme") == 5 * 24 * MICROS
    assert record(parkade, "spare").state is ReservationState.ENDED
    audited(parkade)


def test_what_stands_on_it_stays_with_the_whole() -> None:
    parkade, name = acme()
    own = [parkade.on_reservation("acme", name) for _ in range(2)]
    parkade.run(60)
    nodes = [parkade.nodes_of(it) for it in own]
    assert refused(parkade, name, 2) is Reason.CONFLICT
    split(parkade, name, 1)
    parkade.run(120)
    assert [parkade.nodes_of(it) for it in own] == nodes
    assert refused(parkade, name, 1) is Reason.CONFLICT
    claims, name = acme()
    claims.claim(name, 3)
    assert refused(claims, name, 1) is Reason.CONFLICT


def test_kept_nodes_stay_as_many() -> None:
    parkade, name = acme()
    parkade.lend(name, 5, keep=2)
    part = split(parkade, name, 2)
    whole = record(parkade, name)
    assert whole.lending is not None and part.lending is not None
    assert (whole.lending.keep, part.lending.keep) == (1, 1)
    assert whole.lending.floor_micros == part.lending.floor_micros == 5 * MICROS


def test_a_hand_over_moves_the_right_and_what_it_owes_from_the_next_period_on() -> None:
    parkade, name = acme()
    parkade.lend(name, 5)
    parkade.org("lab")
    part = split(parkade, name, 3, org="lab", name="moved")
    assert part.lending is None and record(parkade, name).state is ReservationState.ENDED
    assert parkade.balance(prepaid_account("moved")) == 24 * MICROS
    own = parkade.on_reservation("lab", "moved", nodes=3)
    parkade.run(60)
    assert len(parkade.nodes_of(own)) == 3
    parkade.tick(3600)
    assert (paid_by(parkade, "acme"), paid_by(parkade, "lab")) == (24 * MICROS, 24 * MICROS)
    audited(parkade)


def test_an_owner_hands_no_debt_to_another_org() -> None:
    """Else a window that its owner tired of would be another org's to pay."""
    parkade, name = acme(hours=9)
    parkade.org("lab")
    parkade.do(builders.create_user("boss", "acme", role=Role.OWNER))
    command = commands.SplitReservation(by="boss", reservation=name, nodes=1, org="lab")
    assert parkade.refused(command).reason is Reason.DENIED
    assert parkade.do(commands.SplitReservation(by="boss", reservation=name, nodes=1))


def test_an_open_end_gives_nodes_up_with_the_period_that_is_paid() -> None:
    parkade, name = acme()
    parkade.do(commands.ShrinkReservation(by=None, reservation=name, nodes=1))
    assert record(parkade, name).nodes == 2
    parkade.tick(2 * 3600 + 60)
    assert paid_by(parkade, "acme") == (24 + 16 + 16) * MICROS
    parkade.reserve("later", 2)
    audited(parkade)


def test_a_window_that_has_not_begun_gives_nodes_up_for_what_was_paid() -> None:
    parkade, name = acme(hours=3, in_hours=2)
    before = parkade.balance("operator")
    parkade.do(commands.ShrinkReservation(by=None, reservation=name, nodes=1))
    assert parkade.balance("operator") - before == 8 * MICROS
    parkade.tick(6 * 3600)
    assert paid_by(parkade, "acme") == (24 + 2 * 16) * MICROS
    audited(parkade)


def test_a_window_that_has_begun_is_owed_as_a_whole_however_it_is_divided() -> None:
    parkade, name = acme(hours=3)
    shrink = commands.ShrinkReservation(by=None, reservation=name, nodes=1)
    assert parkade.refused(shrink).reason is Reason.CONFLICT
    part = split(parkade, name, 1).reservation
    end = commands.EndReservation(by=None, reservation=part)
    assert parkade.refused(end).reason is Reason.CONFLICT
    parkade.tick(4 * 3600)
    assert paid_by(parkade, "acme") == 3 * 24 * MICROS


def earned_by(parkade: Parkade) -> int:
    return sum(it.earned_micros for it in parkade.world.records.reservations.values())


@pytest.mark.parametrize("times", [0, 1, 2])
def test_splitting_does_not_lift_what_lending_may_earn(times: int) -> None:
    """A guest pays far more than the reservation costs; split or not, it earns what it cost."""
    parkade, name = acme(hours=3)
    parkade.lend(name, 20)
    for _ in range(3):
        parkade.bid("guest", 90)
    parkade.run(1200)
    for _ in range(times):
        split(parkade, name, 1)
        parkade.run(1200)
    parkade.run(3 * 3600)
    cost = 3 * 24 * MICROS
    assert paid_by(parkade, "acme") == cost
    assert 0 < earned_by(parkade) <= cost
    audited(parkade)


def test_an_org_that_lent_and_gives_nodes_up_keeps_no_more_than_they_cost() -> None:
    parkade, name = acme()
    parkade.lend(name, 20)
    for _ in range(3):
        parkade.bid("guest", 90)
    parkade.run(1800)
    parkade.do(commands.ShrinkReservation(by=None, reservation=name, nodes=2))
    parkade.run(2 * 3600)
    assert earned_by(parkade) <= paid_by(parkade, "acme")
    audited(parkade)


def test_a_reservation_that_is_short_is_not_divided() -> None:
    parkade, name = acme(4)
    parkade.claim(name, 4)
    parkade.run(60)
    parkade.fail("a1")
    parkade.run(60)
    assert refused(parkade, name, 1) is Reason.CONFLICT


@given(
    st.integers(min_value=2, max_value=4),
    st.integers(min_value=1, max_value=10**7),
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 7200)), min_size=1, max_size=3),
)
def test_parts_owe_together_what_the_whole_owed(
    nodes: int, rate: int, cuts: list[tuple[int, int]]
) -> None:
    """To less than a micro-unit for each division and part."""
    parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0, reservation_rate_micros=rate)
    name = parkade.reserve("acme", nodes, hours=9)
    for taken, seconds in cuts:
        parkade.tick(seconds)
        if taken < record(parkade, name).nodes:
            split(parkade, name, taken)
    parkade.tick(10 * 3600)
    owed = rate * nodes * 2 * 9
    assert abs(paid_by(parkade, "acme") - owed) <= 2 * len(cuts)
    delivered = parkade.balance("operator")
    assert delivered == paid_by(parkade, "acme")
    audited(parkade)
