"""A reservation takes part before its window begins, and takes nothing then that is another's."""

from parkade.core.clearing.entering import shapes_now
from parkade.core.state import commands
from parkade.core.units.refusal import Reason
from parkade.core.workloads.life import Phase
from tests.core.kernel.story import Parkade

LEAVE = 30 + 5
"""Seconds: notice + kill of the market of these stories, where turnaround is 0."""


def of_one_fabric(nodes: int, **terms: int) -> Parkade:
    return Parkade(fabrics={"a": nodes}, buffer_nodes=0, **terms)


def test_a_window_whose_reservation_comes_next_displaces_no_running_on_demand() -> None:
    # Two nodes until one hour from now, two from then on: the on-demand runs beside both.
    parkade = of_one_fabric(3)
    parkade.reserve("first", 2, hours=1)
    window = parkade.on_demand("buyer", hours=3)
    parkade.clear()
    parkade.start_all()
    parkade.reserve("second", 2, in_hours=1)
    parkade.run(3600 - LEAVE + 1)
    assert parkade.phase(window) is Phase.RUNNING
    parkade.run(LEAVE + 60)
    assert parkade.phase(window) is Phase.RUNNING
    assert parkade.workload(window).preemptions == 0


def test_an_owner_has_its_nodes_at_the_start_of_its_window_though_another_had_them_before() -> None:
    parkade = of_one_fabric(3)
    parkade.reserve("first", 2, hours=1)
    window = parkade.on_demand("buyer", hours=3)
    parkade.run(60)
    second = parkade.reserve("second", 2, in_hours=1)
    parkade.run(3600 - LEAVE)
    claim = parkade.claim(second, 2)
    parkade.run(LEAVE + 60)
    seated_us = parkade.world.records.claims[claim].seated_us
    assert seated_us is not None
    assert seated_us - parkade.world.records.reservations[second].window.start_us <= 60 * 10**6
    assert parkade.phase(window) is Phase.RUNNING


def test_no_window_is_sold_beside_a_right_that_ends_and_one_that_makes_room_for_its_start() -> None:
    parkade = of_one_fabric(4)
    parkade.reserve("first", 2, hours=1)
    parkade.reserve("second", 2, in_hours=1)
    parkade.run(3600 - LEAVE + 1)
    spec = parkade.spec(on_demand_hours=1)
    submit = commands.Submit(
        by=None, org=parkade.org("buyer"), market=None, spec=spec, is_held=False
    )
    assert parkade.refused(submit).reason is Reason.NO_CAPACITY
    parkade.run(LEAVE)
    window = parkade.on_demand("buyer", hours=1)
    parkade.run(1)
    assert parkade.phase(window) is Phase.RUNNING


def test_guests_of_a_closing_lender_leave_before_the_next_window_begins() -> None:
    parkade = of_one_fabric(2)
    first = parkade.reserve("first", 2, hours=1)
    parkade.lend(first, 2)
    guests = [parkade.bid("guest", 20) for _ in range(2)]
    second = parkade.reserve("second", 2, in_hours=1)
    parkade.run(3600 - LEAVE - 1)
    assert {parkade.phase(guest) for guest in guests} == {Phase.RUNNING}
    claim = parkade.claim(second, 2)
    parkade.run(LEAVE + 2)
    start_us = parkade.world.records.reservations[second].window.start_us
    record = parkade.world.records.claims[claim]
    assert record.promised_us is not None and record.promised_us < start_us and record.busy == 2
    assert record.seated_us is not None and record.seated_us <= start_us + 10**6


def test_until_its_window_begins_a_reservation_has_what_is_not_sold_to_others() -> None:
    parkade = of_one_fabric(4)
    parkade.reserve("first", 2, hours=1)
    parkade.on_demand("buyer", hours=3)
    second = parkade.reserve("second", 3, in_hours=1)
    market = parkade.world.records.markets["pool"]
    assert second not in shapes_now(parkade.world, market, parkade.now_us)
    parkade.run(3600 - LEAVE + 1)
    assert shapes_now(parkade.world, market, parkade.now_us)[second] == (("a", 1),)
    parkade.run(LEAVE)
    assert shapes_now(parkade.world, market, parkade.now_us)[second] == (("a", 3),)


def test_a_closing_lender_needs_what_it_uses_and_keeps() -> None:
    parkade = of_one_fabric(4)
    first = parkade.reserve("first", 4, hours=1)
    parkade.lend(first, 2, keep=1)
    parkade.claim(first, 1)
    second = parkade.reserve("second", 4, in_hours=1)
    parkade.run(3600 - LEAVE + 1)
    market = parkade.world.records.markets["pool"]
    assert shapes_now(parkade.world, market, parkade.now_us)[second] == (("a", 2),)
