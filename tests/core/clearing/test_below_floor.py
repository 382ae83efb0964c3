"""Seats that end because a limit does not reach a floor: no owner came back, and none outbid it."""

import pytest

from parkade.core.state import commands
from parkade.core.units.money import MICROS
from parkade.core.workloads.life import Cause
from tests.core.kernel.story import Parkade


def given_a_guest() -> tuple[Parkade, str, str]:
    """(the marketplace, a lent reservation of all its nodes, a guest on one of them)."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    right = parkade.reserve("acme", 2)
    parkade.lend(right, 5)
    guest = parkade.bid("lab", 9)
    parkade.run(120)
    return parkade, right, guest


def lower(parkade: Parkade, guest: str, limit: int) -> None:
    command = commands.ChangeBid(
        by=None, workload=guest, limit_price_micros=limit * MICROS, members=None
    )
    parkade.do(command)


def test_a_guest_that_lowers_its_own_limit_leaves_for_that() -> None:
    parkade, _, guest = given_a_guest()
    lower(parkade, guest, 2)
    parkade.clear()
    assert parkade.stop(guest).cause is Cause.BELOW_FLOOR
    assert parkade.workload(guest).why == "below_floor"


def test_a_floor_that_rises_above_a_limit_ends_its_seats() -> None:
    parkade, right, guest = given_a_guest()
    parkade.lend(right, 50)
    parkade.clear()
    assert parkade.stop(guest).cause is Cause.BELOW_FLOOR


@pytest.mark.parametrize("limit", [2, 9])
def test_an_owner_that_comes_back_is_the_cause_whatever_the_limit(limit: int) -> None:
    parkade, right, guest = given_a_guest()
    lower(parkade, guest, limit)
    parkade.claim(right, 2)
    parkade.clear()
    assert parkade.stop(guest).cause is Cause.RECLAIMED


def test_a_higher_bid_is_the_cause_where_it_takes_the_seats() -> None:
    parkade, _, guest = given_a_guest()
    parkade.bid("rich", 40, nodes=2)
    parkade.clear()
    assert parkade.stop(guest).cause is Cause.OUTBID


def test_it_pays_and_waits_as_one_whose_owner_came_back() -> None:
    ends = []
    for does in (lambda it, right, _: it.claim(right, 2), lambda it, _, guest: lower(it, guest, 2)):
        parkade, right, guest = given_a_guest()
        does(parkade, right, guest)
        parkade.clear()
        parkade.stop_all()
        parkade.tick()
        one = parkade.workload(guest)
        ends.append((one.preemptions, one.failures, one.not_before_us, one.spent_micros))
    assert ends[0] == ends[1] and ends[0][0] == 1


def given_an_elastic_guest() -> tuple[Parkade, str, str]:
    """(the marketplace, one of two lent reservations of a node each, a guest on both nodes)."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    rights = [parkade.reserve(org, 1) for org in ("acme", "other")]
    for right in rights:
        parkade.lend(right, 5)
    guest = parkade.bid("lab", 9, nodes=1, most_nodes=2)
    parkade.run(120)
    assert len(parkade.nodes_of(guest)) == 2
    return parkade, rights[1], guest


def test_an_elastic_guest_that_a_floor_shrinks_says_so() -> None:
    parkade, right, guest = given_an_elastic_guest()
    parkade.lend(right, 50)
    parkade.clear()
    assert parkade.stop(guest).cause is Cause.BELOW_FLOOR
    assert len(parkade.nodes_of(guest)) == 1


def test_an_elastic_guest_whose_owner_takes_a_node_is_reclaimed() -> None:
    parkade, right, guest = given_an_elastic_guest()
    parkade.claim(right, 1)
    parkade.clear()
    assert parkade.stop(guest).cause is Cause.RECLAIMED
    assert len(parkade.nodes_of(guest)) == 1
