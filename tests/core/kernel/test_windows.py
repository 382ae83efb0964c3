"""Windows that are sold ahead: none makes guests leave, or blocks the calendar, for nothing."""

import pytest

from parkade.core.state import commands, events
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from parkade.core.units.time import DAY_US, HOUR_US, SECOND_US
from parkade.core.workloads.life import Phase
from tests.core.kernel.story import Parkade


def reserve_for(parkade: Parkade, org: str, span_us: int, *, ahead_us: int = 0) -> commands.Reserve:
    start_us = parkade.now_us + ahead_us
    return commands.Reserve(
        by=None,
        org=org,
        market=None,
        name=None,
        nodes=1,
        start_us=start_us if ahead_us else None,
        end_us=start_us + span_us,
    )


@pytest.mark.parametrize("ahead_us", [0, 600 * SECOND_US])
@pytest.mark.parametrize("span_us", [1, SECOND_US, 30 * SECOND_US - 1])
def test_a_window_of_a_moment_that_would_make_guests_leave_for_nothing_is_refused(
    span_us: int, ahead_us: int
) -> None:
    """A second of eight nodes cost 0.009, of one node nothing, and each guest had its notice."""
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0, notice_us=5 * SECOND_US)
    parkade.org("cheat", deposit=0)
    refusal = parkade.refused(reserve_for(parkade, "cheat", span_us, ahead_us=ahead_us))
    assert refusal.field == "end" and "30 s" in refusal.detail


def test_a_window_that_is_over_before_guests_can_leave_is_refused_with_what_to_ask_for() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0, notice_us=300 * SECOND_US)
    parkade.org("cheat")
    terms = parkade.world.records.markets["pool"].terms
    refusal = parkade.refused(reserve_for(parkade, "cheat", terms.leave_us - 1))
    assert refusal.field == "end" and " at least 5 min 5 s " in refusal.detail
    parkade.do(reserve_for(parkade, "cheat", terms.leave_us))


def test_an_org_without_money_for_the_minimum_charge_makes_none_leave_by_reserving() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0, billing_period_us=SECOND_US)
    parkade.org("cheat", deposit=0)
    command = reserve_for(parkade, "cheat", HOUR_US)
    assert parkade.refused(command).reason is Reason.INSUFFICIENT_FUNDS
    parkade.do(commands.Deposit(by=None, org="cheat", micros=MICROS))
    parkade.do(command)
    # 2 GPUs at 4 per GPU-hour for the minimum charge of 30 s, though a period is one second.
    assert parkade.balance("org/cheat") == MICROS - 4 * MICROS * 2 * 30 // 3600


def test_on_demand_is_not_held_so_that_none_blocks_the_calendar_for_nothing() -> None:
    """Four nodes were blocked for 90 days for nothing, and released at the old price."""
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    parkade.org("cheat")
    spec = parkade.spec(on_demand_hours=24 * 90)
    submit = commands.Submit(by=None, org="cheat", market=None, spec=spec, is_held=True)
    refusal = parkade.refused(submit)
    assert refusal.reason is Reason.UNSUPPORTED and refusal.field == "hold"
    assert parkade.reserve("acme", 1, hours=1) == "acme"


def test_on_demand_that_waits_cannot_be_held_and_can_be_cancelled() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    parkade.org("cheat")
    spec = parkade.spec(on_demand_hours=24 * 90)
    parkade.bid("guest", 9)
    parkade.clear()
    parkade.start_all()
    parkade.do(commands.Submit(by=None, org="cheat", market=None, spec=spec, is_held=False))
    parkade.clear()
    (waits,) = parkade.world.live_of_org["cheat"]
    assert parkade.workload(waits).attempt is None
    refusal = parkade.refused(commands.Hold(by=None, workload=waits))
    assert refusal.reason is Reason.UNSUPPORTED
    parkade.do(commands.Cancel(by=None, workload=waits, now=True))
    assert parkade.phase(waits) is Phase.CANCELLED


def test_a_far_window_that_costs_less_than_its_deposit_is_refused_with_its_least_length() -> None:
    """A minute in 90 days blocked four nodes for a cent; a tenth of the time ahead is nine days."""
    deposit = Fraction(numerator=1, denominator=10)
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0, window_deposit=deposit)
    parkade.org("cheat")
    ahead_us, least_us = 90 * DAY_US, 9 * DAY_US
    for span_us in (60 * SECOND_US, least_us - 1):
        refusal = parkade.refused(reserve_for(parkade, "cheat", span_us, ahead_us=ahead_us))
        assert refusal.field == "start" and f" at least {least_us // DAY_US} d " in refusal.detail
    parkade.do(reserve_for(parkade, "cheat", least_us, ahead_us=ahead_us))
    cost = 4 * MICROS * 2 * 9 * 24
    assert parkade.balance("org/cheat") == 1_000_000 * MICROS - cost
    (name,) = parkade.world.records.reservations
    parkade.do(commands.EndReservation(by=None, reservation=name))
    assert parkade.balance("org/cheat") == 1_000_000 * MICROS - cost, "the deposit is kept"


def test_what_must_have_ended_while_the_clock_leapt_ends_and_is_not_launched() -> None:
    """It was launched after its end, and the writer stopped at its deadline."""
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0, turnaround_us=60 * SECOND_US)
    guest = parkade.bid("lab", 9)
    parkade.clear()
    parkade.started(guest)
    window = parkade.on_demand("acme", hours=1)
    parkade.clear()
    assert parkade.phase(window) is Phase.PLACED
    parkade.ended(guest)
    leapt_us = parkade.now_us + 2 * HOUR_US
    parkade.happen((events.ClockJumped(at_us=leapt_us, from_us=parkade.now_us),))
    parkade.tick(2 * 3600)
    assert parkade.phase(window) is Phase.EXPIRED
    parkade.replayed()
