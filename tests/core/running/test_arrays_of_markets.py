"""Arrays whose members bid in several markets."""

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from parkade.core.state import commands
from parkade.core.state.codec import encode_snapshot
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from parkade.core.workloads.choices import limit_in
from parkade.core.workloads.life import Cause, Phase
from parkade.sim.auditor.arrays import ArrayAuditor
from parkade.sim.auditor.seats import SeatAuditor
from tests.core.clearing.test_linking import one_node_each
from tests.core.clearing.two_markets import TwoMarkets

LIMITS: Mapping[str, float] = {"pool": 5, "other": 6}


def given_array(array: str = "0-3") -> tuple[TwoMarkets, str]:
    """Two markets of one node each, at a floor of 1."""
    parkade = one_node_each()
    return parkade, parkade.bid_in("lab", LIMITS, array=array)


def bid(array: str, limit: float, **rest: object) -> commands.ChangeBid:
    command = commands.ChangeBid(
        by=None, workload=array, limit_price_micros=round(limit * MICROS), instance_type="small"
    )
    return replace(command, **rest)


def test_each_member_stands_in_the_first_market_that_it_wins_and_the_rest_sets_no_price() -> None:
    parkade, array = given_array()
    late = parkade.in_market("late", "other", 3)
    parkade.clear()
    names = [f"{array}_{it}" for it in range(4)]
    assert [parkade.stands(it) for it in (*names, late)] == ["pool", "other", None, None, None]
    assert parkade.price(names[0]) == MICROS, "its other members wait there, and set no price"
    assert parkade.price(names[1]) in (3 * MICROS, 2_857_143), "what another org bids"
    assert {it.market for it in parkade.workload(names[2]).answers} == {"pool", "other"}
    _audit(parkade)


def test_a_member_that_loses_one_market_goes_on_in_another_and_costs_a_weaker_one_its_seats() -> (
    None
):
    parkade, array = given_array("0-1")
    parkade.run(60)
    parkade.do(bid(array, 2, members=((1, 1),)))
    parkade.in_market("rich", "pool", 9)
    parkade.clear()
    assert parkade.stop(f"{array}_0").cause is Cause.OUTBID
    assert parkade.stands(f"{array}_0") == "other" and parkade.stands(f"{array}_1") is None
    _audit(parkade)


def test_a_limit_is_changed_in_one_market_for_all_or_some_open_or_not() -> None:
    parkade, array = given_array("0-9%2")
    parkade.run(60)
    parkade.do(bid(array, 4))
    parkade.do(bid(array, 3, members=((0, 0), (5, 5))))
    parkade.do(bid(array, 8, members=((6, 6),), instance_type="kind"))
    for index in range(6):
        parkade.ended(f"{array}_{index}", code=0)
        parkade.run(60)
    limits = {
        index: (limit_in(parkade.workload(name), "pool"), limit_in(parkade.workload(name), "other"))
        for index in range(7)
        for name in (f"{array}_{index}",)
    }
    plain = (5 * MICROS, 4 * MICROS)
    special = {0: (5 * MICROS, 3 * MICROS), 5: (5 * MICROS, 3 * MICROS), 6: (8 * MICROS, plain[1])}
    assert limits == dict.fromkeys(range(7), plain) | special
    assert parkade.replayed() == encode_snapshot(parkade.world)
    _audit(parkade)


def test_a_limit_for_all_markets_is_refused_where_each_has_its_own() -> None:
    parkade, array = given_array()
    refusal = parkade.refused(bid(array, 4, instance_type=None))
    assert refusal.reason is Reason.INVALID and "kind, small" in refusal.detail
    assert parkade.refused(bid(array, 4, instance_type="huge")).field == "instance_type"


@pytest.mark.parametrize("members", [None, ((0, 1),)])
def test_members_are_cancelled_and_retried_whatever_market_they_stand_in(
    members: tuple[tuple[int, int], ...] | None,
) -> None:
    parkade, array = given_array("0-1")
    parkade.run(60)
    parkade.do(commands.Cancel(by=None, workload=array, now=True, members=members))
    parkade.run(60)
    assert parkade.phase(array) is Phase.CANCELLED
    parkade.do(commands.Retry(by=None, workload=array, members=((0, 1),)))
    parkade.run(60)
    assert [parkade.stands(f"{array}_{it}") for it in range(2)] == ["pool", "other"]
    assert parkade.attempt(f"{array}_1").generation > 1
    _audit(parkade)


def _audit(parkade: TwoMarkets) -> None:
    """By those of arrays and of seats."""
    arrays, seats = ArrayAuditor(), SeatAuditor()
    for event in parkade.journal:
        for each in arrays.read(event).demands:
            seats.read(each)
    arrays.check_world(parkade.world)
