"""Running work moves up to the reservation of its list, where no other loses by it."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, MINUTE_US
from parkade.core.workloads.life import Cause, Phase
from tests.core.clearing.test_entries import SPOT, asks, market, right, submit
from tests.core.kernel.story import Parkade


def beside_own(**terms: Any) -> tuple[Parkade, str, str]:
    """(market, own work on the reservation, a list that runs as spot beside it)."""
    parkade = market(**({"nodes": 2} | terms))
    parkade.reserve("acme", 1)
    own = parkade.on_reservation("acme", "acme")
    name = submit(parkade, right("acme"), SPOT)
    parkade.run(60)
    assert asks(parkade, name) == "spot" and parkade.phase(name) is Phase.RUNNING
    return parkade, own, name


def cancel(parkade: Parkade, name: str) -> None:
    parkade.do(commands.Cancel(by=None, workload=name, now=True))


def stops(parkade: Parkade) -> list[Cause]:
    ordered = [it.stop.cause for it in parkade.journal if isinstance(it, events.StopOrdered)]
    cleared = [it for it in parkade.journal if isinstance(it, events.Cleared)]
    return ordered + [each.stop.cause for it in cleared for each in it.left if each.stop]


def test_on_its_own_seats_it_moves_up_at_once_and_without_a_restart() -> None:
    parkade, own, name = beside_own()
    cancel(parkade, own)
    parkade.run(60)
    assert asks(parkade, name) == "reservation/acme" and parkade.price(name) == 0
    assert parkade.attempt(name).generation == 1 and parkade.attempt(name).stop is None
    assert Cause.MOVED not in stops(parkade)


def test_what_it_used_as_spot_is_charged_to_the_instant_and_nothing_after() -> None:
    parkade, own, name = beside_own()
    cancel(parkade, own)
    parkade.run(2 * 3600)
    workload = parkade.workload(name)
    rates = parkade.attempt(name).rates
    assert rates[-1].price_micros == 0 and rates[-1].shares == ()
    assert 0 < workload.spent_micros <= 2 * MICROS * 2 // 60 + 1


def test_in_another_fabric_it_keeps_its_seats_too_and_its_right_stands_there() -> None:
    parkade = market(nodes=1, fabrics={"a": 1, "b": 1})
    parkade.reserve("acme", 1)
    own = parkade.on_reservation("acme", "acme")
    name = submit(parkade, right("acme"), SPOT)
    parkade.run(60)
    assert parkade.nodes_of(name) == ("b1",)
    cancel(parkade, own)
    parkade.run(7200)
    assert asks(parkade, name) == "reservation/acme" and parkade.nodes_of(name) == ("b1",)
    assert parkade.attempt(name).generation == 1 and Cause.MOVED not in stops(parkade)
    guest = parkade.bid("rival", 2)
    parkade.run(60)
    assert parkade.nodes_of(guest) == ("a1",), "what the right left is for sale"


def lent(guest_limit: float) -> tuple[Parkade, str, str]:
    """(market, a guest on the node that acme reserved and lends below the public floor, a list)."""
    parkade = market(fabrics={"a": 1, "b": 1}, public_floor_micros=3 * MICROS)
    parkade.reserve("acme", 1)
    own = parkade.on_reservation("acme", "acme")
    name = submit(parkade, right("acme"), SPOT, limit=5)
    parkade.run(60)
    parkade.lend("acme", 1)
    cancel(parkade, own)
    guest = parkade.bid("rival", guest_limit)
    parkade.run(3600)
    assert parkade.phase(guest) is Phase.RUNNING and parkade.attempt(guest).generation == 1
    return parkade, guest, name


def test_where_a_guest_of_the_reservation_would_lose_its_seats_for_it_it_pays_on() -> None:
    parkade, guest, name = lent(2)
    assert asks(parkade, name) == "spot" and parkade.price(name) == 3 * MICROS
    cancel(parkade, guest)
    parkade.run(60)
    assert asks(parkade, name) == "reservation/acme" and parkade.price(name) == 0


def test_where_the_guest_can_stay_it_moves_up() -> None:
    parkade, guest, name = lent(4)
    assert asks(parkade, name) == "reservation/acme" and parkade.price(name) == 0
    assert parkade.price(guest) <= 4 * MICROS


def test_it_comes_before_nothing_of_its_org_that_waits_for_the_room() -> None:
    parkade, own, name = beside_own()
    waits = parkade.on_reservation("acme", "acme")
    parkade.run(60)
    assert parkade.phase(waits) is Phase.QUEUED
    cancel(parkade, own)
    parkade.run(60)
    assert parkade.phase(waits) is Phase.RUNNING and asks(parkade, name) == "spot"


def test_who_made_others_leave_moves_up_when_the_minimum_is_met() -> None:
    parkade = market(nodes=2, minimum_charge_us=HOUR_US)
    parkade.reserve("acme", 1)
    own = parkade.on_reservation("acme", "acme")
    parkade.bid("rival", 1.5)
    parkade.run(60)
    name = submit(parkade, right("acme"), SPOT, limit=5)
    parkade.run(120)
    assert parkade.phase(name) is Phase.RUNNING and parkade.attempt(name).owes_minimum
    cancel(parkade, own)
    parkade.run(1800)
    assert asks(parkade, name) == "spot", "it still owes"
    parkade.run(2400)
    assert asks(parkade, name) == "reservation/acme"
    cancel(parkade, name)
    parkade.run(60)
    assert parkade.workload(name).spent_micros >= 2 * 1_428_571, "an hour at 1.50 less the credit"


def test_the_shortest_run_of_a_market_is_neither_lost_nor_gained_by_moving_up() -> None:
    parkade, own, name = beside_own(min_runtime_us=30 * MINUTE_US)
    cancel(parkade, own)
    parkade.run(60)
    assert asks(parkade, name) == "reservation/acme"
    parkade.bid("rival", 50)
    parkade.bid("rival", 50)
    parkade.run(600)
    assert parkade.attempt(name).generation == 1, "its right comes before every bid"


def test_a_list_that_is_held_or_waits_moves_nowhere() -> None:
    parkade, own, name = beside_own()
    other = submit(parkade, right("acme"), SPOT)
    parkade.do(commands.Hold(by=None, workload=other))
    cancel(parkade, own)
    parkade.run(60)
    assert parkade.phase(other) is Phase.HELD
    assert asks(parkade, name) == "reservation/acme"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from("oclrw"), min_size=4, max_size=14))
def test_each_move_up_needs_room_that_was_made_for_it(acts: list[str]) -> None:
    """Own work comes and goes, lists and rivals come, time passes."""
    parkade = market(nodes=2, fabrics={"a": 2, "b": 2})
    parkade.reserve("acme", 2)
    own: list[str] = []
    lists: list[str] = []
    for act in acts:
        match act:
            case "o":
                own.append(parkade.on_reservation("acme", "acme"))
            case "c" if own:
                cancel(parkade, own.pop(0))
            case "l" if len(lists) < 3:
                lists.append(submit(parkade, right("acme"), SPOT))
            case "r":
                parkade.bid("rival", 1.5)
            case _:
                parkade.run(1200)
    parkade.run(7200)
    running: dict[str, str] = {}
    room, ups = 2, 0
    for event in parkade.journal:
        match event:
            case events.Launched(workload=it, attempt=attempt):
                running[it] = attempt.attempt
            case events.Ended(workload=it):
                room += 1
                running.pop(it, None)
            case events.EntryTaken(workload=it) if it in running:
                ups += 1
    assert ups <= room
    settled = len(parkade.journal)
    parkade.run(3600)
    assert not [it for it in parkade.journal[settled:] if isinstance(it, events.EntryTaken)]
