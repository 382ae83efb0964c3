"""Credits for what failed: each node of a reservation once, and only while its owner wants it."""

from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.workloads.life import Phase
from tests.core.kernel.story import Parkade


def cancelled(parkade: Parkade, name: str) -> None:
    parkade.do(commands.Cancel(by=None, workload=name, now=True))


def credited(parkade: Parkade) -> int:
    """Micro-units paid back to owners."""
    return sum(
        transfer.micros
        for event in parkade.journal
        if isinstance(event, events.MoneyMoved)
        for transfer in event.transfers
        if transfer.kind == "credit"
    )


def given_a_short_owner() -> Parkade:
    """acme reserved both nodes; one of them is broken, and the other is claimed."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.reserve("acme", 2)
    parkade.fail("a1")
    parkade.claim("acme", 1)
    return parkade


def test_many_short_workloads_of_one_reservation_are_credited_for_its_nodes_once() -> None:
    parkade = given_a_short_owner()
    owns = [parkade.on_reservation("acme", "acme") for _ in range(5)]
    parkade.tick(1800)
    parkade.do(commands.RestoreNode(by=None, node="a1"))
    for own in owns:
        parkade.start_all()
        if parkade.workload(own).attempt is not None:
            parkade.ended(own)
    assert credited(parkade) == 4 * 2 * MICROS // 2


def test_claims_and_workloads_that_are_short_are_not_credited_for_the_same_node() -> None:
    parkade = given_a_short_owner()
    own = parkade.on_reservation("acme", "acme")
    claim = parkade.claim("acme", 1)
    parkade.tick(1800)
    parkade.do(commands.RestoreNode(by=None, node="a1"))
    cancelled(parkade, own)
    parkade.do(commands.Unclaim(by=None, claim=claim))
    parkade.clear()
    assert credited(parkade) == 4 * 2 * MICROS // 2


def test_an_owner_that_holds_its_own_workload_back_is_not_credited_for_the_time() -> None:
    parkade = given_a_short_owner()
    own = parkade.on_reservation("acme", "acme")
    parkade.tick(600)
    parkade.do(commands.Hold(by=None, workload=own))
    parkade.do(commands.RestoreNode(by=None, node="a1"))
    parkade.tick(3600)
    parkade.do(commands.Release(by=None, workload=own))
    parkade.clear()
    assert parkade.phase(own) is Phase.STARTING
    assert credited(parkade) == 0


def test_a_node_that_fails_and_comes_back_again_and_again_is_credited_for_its_time_once() -> None:
    parkade = given_a_short_owner()
    own = parkade.on_reservation("acme", "acme")
    for _ in range(3):
        parkade.tick(600)
        parkade.do(commands.RestoreNode(by=None, node="a1"))
        parkade.start_all()
        parkade.fail("a1")
        parkade.ended(own, signal=9)
        parkade.clear()
    assert parkade.workload(own).why == "no_room"
    assert credited(parkade) == 3 * (4 * 2 * MICROS * 600 // 3600)


def test_a_reservation_is_never_credited_more_than_it_paid_for_the_time() -> None:
    parkade = given_a_short_owner()
    before = parkade.balance("org/acme")
    for _ in range(10):
        own = parkade.on_reservation("acme", "acme")
        parkade.tick(60)
        parkade.do(commands.RestoreNode(by=None, node="a1"))
        parkade.start_all()
        parkade.ended(own)
        parkade.fail("a1")
    parkade.do(commands.EndReservation(by=None, reservation="acme"))
    parkade.tick(3600)
    assert credited(parkade) == 10 * (4 * 2 * MICROS * 60 // 3600)
    assert parkade.balance("org/acme") - before == credited(parkade)


def test_an_open_end_is_owed_to_the_end_of_the_period_that_is_paid() -> None:
    parkade = Parkade()
    parkade.reserve("acme", 2)
    parkade.tick(1)
    paid = 1_000_000 * MICROS - parkade.balance("org/acme")
    assert paid == 4 * 4 * MICROS
    parkade.do(commands.EndReservation(by=None, reservation="acme"))
    again = commands.EndReservation(by=None, reservation="acme")
    assert parkade.refused(again).reason == "conflict"
    parkade.tick(3600)
    assert 1_000_000 * MICROS - parkade.balance("org/acme") == paid
