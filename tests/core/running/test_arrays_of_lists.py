"""Arrays whose members use a reservation first, and bid for spot where it is full."""

from msgspec.structs import replace

from parkade.core.state import commands, events
from parkade.core.state.codec import encode_snapshot
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from parkade.core.units.time import HOUR_US
from parkade.core.workloads.array import LEAST_WAITING
from parkade.core.workloads.life import Phase, Why
from parkade.sim.auditor.arrays import ArrayAuditor
from parkade.sim.auditor.seats import SeatAuditor
from tests.core.clearing.test_entries import ON_DEMAND, SPOT, asks, command, market, right, submit
from tests.core.kernel.story import Parkade


def given_array(array: str = "0-3", *, nodes: int = 3, limit: float = 2) -> tuple[Parkade, str]:
    """Nodes at a floor of 1, one of them reserved by acme, and its array."""
    parkade = market(nodes)
    parkade.reserve("acme", 1)
    return parkade, submit(parkade, right("acme"), SPOT, array=array, limit=limit)


def test_members_use_the_reservation_then_bid_and_those_that_wait_set_no_price() -> None:
    parkade, array = given_array()
    late = parkade.bid("rival", 1.5)
    parkade.clear()
    names = [f"{array}_{it}" for it in range(4)]
    assert [asks(parkade, it) for it in names] == ["reservation/acme", "spot", "spot", "spot"]
    assert [parkade.price(it) for it in names[:3]] == [0, 1_428_572, 1_428_572]
    assert [parkade.workload(it).why for it in (names[3], late)] == ["outbid", "outbid"]
    assert asks(parkade, array) == "reservation/acme", "the array itself asks for nothing"
    before = parkade.world.records.sequence
    parkade.clear()
    parkade.clear()
    assert parkade.world.records.sequence <= before + 1, "prices fall once, by the credit"
    assert parkade.replayed() == encode_snapshot(parkade.world)


def test_a_member_that_runs_moves_up_and_one_that_waits_gets_what_it_leaves() -> None:
    parkade, array = given_array()
    parkade.run(60)
    parkade.ended(f"{array}_0", code=0)
    parkade.run(120)
    rest = [f"{array}_{it}" for it in (1, 2, 3)]
    assert {parkade.phase(it) for it in rest} == {Phase.RUNNING}
    assert sorted(parkade.price(it) for it in rest) == [0, MICROS, MICROS]
    for name in rest:
        parkade.ended(name, code=0)
    assert parkade.phase(array) is Phase.SUCCEEDED


def test_another_limit_is_that_of_all_members_whatever_they_use_now() -> None:
    parkade, array = given_array("0-9%4")
    parkade.run(60)
    bid = commands.ChangeBid(by=None, workload=array, limit_price_micros=3 * MICROS)
    parkade.do(bid)
    names = [f"{array}_{it}" for it in range(4)]
    assert {parkade.workload(it).spec.spot_limit_micros for it in names} == {3 * MICROS}
    limits = [parkade.workload(it).spec.limit_price_micros for it in names]
    assert limits == [None, 3 * MICROS, 3 * MICROS, 3 * MICROS], "a reservation has no limit"
    some = replace(bid, limit_price_micros=4 * MICROS, members=((4, 4), (9, 9)))
    parkade.do(some)
    parkade.ended(names[0], code=0)
    parkade.run(120)
    assert parkade.workload(f"{array}_4").spec.spot_limit_micros == 4 * MICROS
    assert parkade.replayed() == encode_snapshot(parkade.world)


def test_members_are_cancelled_and_retried_one_by_one_and_ask_for_the_first_entry_again() -> None:
    parkade, array = given_array()
    parkade.run(60)
    cancel = commands.Cancel(by=None, workload=array, now=True, members=((0, 1), (3, 3)))
    parkade.do(cancel)
    parkade.stop_all()
    parkade.do(commands.Retry(by=None, workload=array, members=((3, 3),)))
    parkade.run(60)
    assert asks(parkade, f"{array}_3") in ("reservation/acme", "spot")
    assert parkade.phase(f"{array}_3") is Phase.RUNNING
    assert sorted(parkade.price(f"{array}_{it}") for it in (2, 3)) == [0, MICROS]


def test_the_end_of_the_reservation_ends_no_member() -> None:
    parkade = market(nodes=2)
    parkade.reserve("acme", 1, hours=1)
    array = submit(parkade, right("acme"), SPOT, array="0-4%3")
    parkade.run(60)
    parkade.run(3600)
    assert {parkade.phase(f"{array}_{it}") for it in range(2)} == {Phase.RUNNING}
    assert {asks(parkade, f"{array}_{it}") for it in range(3)} == {"spot"}
    for index in range(2):
        parkade.ended(f"{array}_{index}", code=0)
    parkade.run(120)
    assert parkade.phase(f"{array}_3") is Phase.RUNNING and parkade.price(f"{array}_3") == MICROS
    assert parkade.workload(array).why != Why.RESERVATION_ENDED
    _audit(parkade)


def test_ten_thousand_members_are_one_submission_and_take_part_as_few() -> None:
    parkade, array = given_array("0-9999")
    submitted = [it for it in parkade.journal if isinstance(it, events.Submitted)]
    assert len(submitted) == 1
    parkade.clear()
    parkade.run(300)
    opened = parkade.world.members.of(array).names
    assert len(opened) == LEAST_WAITING + 3, "those that have seats, and as few as ever that wait"
    taken = [it.workload for it in parkade.journal if isinstance(it, events.EntryTaken)]
    assert sorted(taken) == sorted(opened.keys() - {f"{array}_0"}), "once by each that bids"
    _audit(parkade)


def test_a_list_with_on_demand_is_refused_for_an_array() -> None:
    parkade, _ = given_array()
    asked = command(
        parkade, right("acme"), ON_DEMAND, limit=None, max_duration_us=HOUR_US, array="0-3"
    )
    refusal = parkade.refused(asked)
    assert (refusal.reason, refusal.field) == (Reason.UNSUPPORTED, "array")
    assert "leave on-demand out" in refusal.detail


def _audit(parkade: Parkade) -> None:
    """By those of arrays and of seats."""
    arrays, seats = ArrayAuditor(), SeatAuditor()
    for event in parkade.journal:
        for each in arrays.read(event).demands:
            seats.read(each)
    arrays.check_world(parkade.world)
