"""No cap is passed by what clearings start, and none is left unused by a bid that finds no room."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.state import commands
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Phase
from tests.core.accounts.capped_days import CappedDay
from tests.core.accounts.test_caps import held, lab, submit
from tests.core.kernel.story import Parkade

STEPS = 40
FOUND = (8, 9, 11, 38, 69, 306)
"""Days on which a cap was passed: by slow starts, and by what left for want of money."""


def spends_within_its_cap(seed: int) -> None:
    day = CappedDay(seed)
    for _ in range(STEPS):
        day.step()
        assert day.spent_micros() <= day.cap_micros, f"seed {seed}"
    day.close()
    assert day.spent_micros() <= day.cap_micros, f"seed {seed}"


@pytest.mark.parametrize("seed", FOUND)
def test_a_day_on_which_a_cap_was_passed_stays_within_it(seed: int) -> None:
    spends_within_its_cap(seed)


@settings(max_examples=max(3, settings().max_examples // 20))
@given(st.integers(min_value=0, max_value=1_000_000))
def test_whatever_an_org_does_it_spends_no_more_than_its_cap(seed: int) -> None:
    spends_within_its_cap(seed)


def test_a_bid_does_not_start_beside_reserved_work_that_fills_the_cap_at_once() -> None:
    """It started, and left again at the next clearing, for which another had been outbid."""
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0, public_floor_micros=0)
    reservation = parkade.reserve("lab", 2, hours=100)
    guest = parkade.bid("guest", 5)
    parkade.clear()
    parkade.start_all()
    parkade._do(commands.SetOrgCap(by=None, org="lab", cap_micros=None, most_gpus=4))
    for spec in (parkade.spec(limit=9), parkade.spec(reservation=reservation, nodes=2)):
        command = commands.Submit(by=None, org="lab", market=None, spec=spec, is_held=False)
        parkade._do(command)
    parkade.clear()
    bid, own = sorted(it for it in parkade.world.live if it != guest)
    assert parkade.phase(own) is Phase.STARTING
    assert parkade.workload(bid).why == "org_gpus"
    assert parkade.phase(guest) is Phase.RUNNING


def test_reserved_work_without_room_keeps_no_bid_from_the_cap_for_long() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0, public_floor_micros=0)
    reservation = parkade.reserve("lab", 2, hours=100)
    parkade.on_reservation("lab", reservation, nodes=2)
    parkade.clear()
    parkade._do(commands.SetOrgCap(by=None, org="lab", cap_micros=None, most_gpus=6))
    waits = parkade.on_reservation("lab", reservation, nodes=1)
    parkade.clear()
    assert parkade.phase(waits) is Phase.QUEUED
    bid = parkade.bid("lab", 9)
    parkade.run(60)
    assert parkade.phase(bid) is Phase.RUNNING


@pytest.mark.parametrize(("cap", "limit", "floor"), [(20, 9, 8), (20, 9, 1), (60, 30, 2)])
def test_elastic_work_near_the_end_of_a_cap_shrinks_to_what_it_can_keep(
    cap: int, limit: int, floor: int
) -> None:
    """It shrank by one node, and half a minute later to two: a new start is set aside for longer
    than work that runs."""
    parkade = Parkade(
        fabrics={"a": 8},
        buffer_nodes=0,
        public_floor_micros=floor * MICROS,
        regrow_us=600 * SECOND_US,
    )
    parkade.org("lab")
    parkade._do(commands.SetOrgCap(by=None, org="lab", cap_micros=cap * MICROS))
    job = parkade.bid("lab", limit, nodes=1, most_nodes=8)
    sizes: list[tuple[int, int]] = []
    for _ in range(400):
        parkade.run(30)
        attempt = parkade.workload(job).attempt
        size = len(attempt.seats) if attempt is not None and attempt.stop is None else 0
        if not sizes or sizes[-1][1] != size:
            sizes.append((parkade.now_us, size))
        if size == 0 and len(sizes) > 2:
            break
    shrunk = [(at, size) for at, size in sizes[1:] if size]
    spans = [later - earlier for (earlier, _), (later, _) in pairwise(shrunk)]
    assert min(spans, default=10**12) > 120 * SECOND_US, sizes
    assert parkade.workload(job).spent_micros <= cap * MICROS


def test_a_bid_without_room_keeps_the_others_of_its_org_waiting_for_one_clearing_only() -> None:
    """It held their GPUs of the cap for six hours beside three idle nodes."""
    parkade = lab("ann", "bob", fabrics={"a": 4}, buffer_nodes=0, public_floor_micros=MICROS)
    parkade.bid("guest", 50)
    parkade.clear()
    parkade.start_all()
    parkade._do(commands.SetOrgCap(by=None, org="lab", cap_micros=None, most_gpus=8))
    large = submit(parkade, "ann", nodes=4)
    small = [submit(parkade, "bob", limit=8) for _ in range(3)]
    parkade.clear()
    assert parkade.workload(large).why == "outbid"
    assert {parkade.workload(it).why for it in small} == {"org_gpus"}
    parkade.clear()
    parkade.run(60)
    assert {parkade.phase(it) for it in small} == {Phase.RUNNING}
    assert held(parkade) == 8
    assert parkade.workload(large).why == "org_gpus", "the others of its org have them"
    for name in small:
        parkade.ended(name)
    parkade.clear()
    assert parkade.workload(large).why == "outbid"


def test_a_bid_that_is_raised_is_asked_in_its_turn_again() -> None:
    parkade = lab("ann", fabrics={"a": 2}, buffer_nodes=0, public_floor_micros=MICROS)
    guest = parkade.bid("guest", 10)
    parkade.clear()
    parkade.start_all()
    parkade._do(commands.SetOrgCap(by=None, org="lab", cap_micros=None, most_gpus=4))
    pair = submit(parkade, "ann", nodes=2, limit=9)
    parkade.clear()
    assert parkade.workload(pair).has_lost
    change = commands.ChangeBid(by=None, workload=pair, limit_price_micros=20 * MICROS)
    parkade.do(change)
    single = submit(parkade, "ann", limit=8)
    parkade.clear()
    assert parkade.workload(pair).promise is not None
    assert parkade.workload(single).why == "org_gpus"
    assert parkade.stop(guest).cause == "outbid"
