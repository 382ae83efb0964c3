"""Credits for what failed: each node of a reservation once, and only while its owner wants it."""

import pytest

from parkade.core.state import commands, events
from parkade.core.state.codec import encode_event
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Phase
from tests.auditor import audit
from tests.core.kernel.story import Parkade


def cancelled(parkade: Parkade, name: str) -> None:
    parkade.do(commands.Cancel(by=None, workload=name, now=True))


def credited(parkade: Parkade) -> int:
    """Micro-units paid back to owners."""
    return sum(
        transfer.micros
        for event in parkade.journal
        if isinstance(event, events.MoneyEvent)
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


def test_an_owner_that_holds_its_own_workload_back_is_credited_up_to_then() -> None:
    parkade = given_a_short_owner()
    own = parkade.on_reservation("acme", "acme")
    parkade.tick(600)
    parkade.do(commands.Hold(by=None, workload=own))
    parkade.do(commands.RestoreNode(by=None, node="a1"))
    parkade.tick(3600)
    parkade.do(commands.Release(by=None, workload=own))
    parkade.clear()
    assert parkade.phase(own) is Phase.STARTING
    assert credited(parkade) == 4 * 2 * MICROS * 600 // 3600


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
    assert parkade.balance("prepaid/acme") == 0
    assert parkade.balance("operator") == 2 * 2 * 4 * MICROS - credited(parkade)


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


def given_a_short_claim() -> tuple[Parkade, str]:
    """acme claimed both its nodes, and one of them broke."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.reserve("acme", 2, hours=1)
    claim = parkade.claim("acme", 2)
    parkade.tick(600)
    parkade.fail("a1")
    assert [it.node for it in parkade.world.records.claims[claim].seats] == ["a2"]
    return parkade, claim


def audited(parkade: Parkade) -> None:
    audit(encode_event(event) for event in parkade.journal)


def test_a_shortfall_counts_from_the_first_clearing_and_ends_with_the_claim() -> None:
    parkade, claim = given_a_short_claim()
    parkade.tick(900)
    parkade.do(commands.Unclaim(by=None, claim=claim))
    assert credited(parkade) == 4 * 2 * MICROS * 900 // 3600
    parkade.tick(3600)
    assert credited(parkade) == 4 * 2 * MICROS * 900 // 3600
    audited(parkade)


def test_a_shortfall_ends_with_the_window() -> None:
    parkade, _ = given_a_short_claim()
    parkade.tick(3600)
    assert not parkade.world.records.claims
    assert credited(parkade) == 4 * 2 * MICROS * 3000 // 3600
    assert parkade.balance("prepaid/acme") == 0
    audited(parkade)


@pytest.mark.parametrize("way", ["cancel", "hold", "expire"])
def test_a_shortfall_ends_with_the_workload(way: str) -> None:
    parkade = given_a_short_owner()
    own = parkade.on_reservation("acme", "acme", max_duration_us=900 * SECOND_US)
    parkade.tick(600)
    if way == "cancel":
        cancelled(parkade, own)
    elif way == "hold":
        parkade.do(commands.Hold(by=None, workload=own))
    else:
        parkade.do(commands.EndReservation(by=None, reservation="acme"))
        parkade.tick(3000)
        assert parkade.phase(own) is Phase.EXPIRED
    lasted_s = 3600 if way == "expire" else 600
    assert credited(parkade) == 4 * 2 * MICROS * lasted_s // 3600
    audited(parkade)


def test_an_owner_whose_attempt_leaves_because_of_a_node_is_credited_from_the_clearing_on() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.reserve("acme", 2)
    own = parkade.on_reservation("acme", "acme", nodes=2)
    parkade.start_all()
    parkade.tick(600)
    parkade.fail("a1")
    assert parkade.stop(own).cause == "healed"
    parkade.tick(5)
    parkade.ended(own, signal=9)
    parkade.tick(895)
    parkade.do(commands.RestoreNode(by=None, node="a1"))
    assert parkade.phase(own) is Phase.STARTING
    assert credited(parkade) == 4 * 4 * MICROS * 900 // 3600
    audited(parkade)


def test_a_gang_that_never_fitted_is_credited_nothing_whatever_fails() -> None:
    """384 were once credited for one, while the nodes it asked for were lent."""
    parkade = Parkade(fabrics={"a": 2, "b": 2}, buffer_nodes=0)
    parkade.reserve("acme", 3)
    parkade.lend("acme", 1)
    own = parkade.on_reservation("acme", "acme", nodes=2)
    parkade.start_all()
    gang = parkade.on_reservation("acme", "acme", nodes=2)
    parkade.fail("b1")
    parkade.tick(3000)
    assert parkade.workload(own).attempt is not None
    assert parkade.phase(gang) is Phase.QUEUED
    cancelled(parkade, gang)
    assert credited(parkade) == 0
    audited(parkade)


def test_nodes_that_are_lent_meanwhile_are_not_credited_as_well() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    parkade.reserve("acme", 3)
    parkade.lend("acme", 1)
    parkade.fail("a1")
    gang = parkade.on_reservation("acme", "acme", nodes=3)
    guests = [parkade.bid("lab", 9) for _ in range(2)]
    parkade.clear()
    parkade.start_all()
    before = credited(parkade)
    parkade.tick(900)
    parkade.do(commands.Cancel(by=None, workload=gang, now=True))
    assert credited(parkade) - before == 4 * 2 * MICROS * 900 // 3600
    assert all(parkade.phase(guest) is Phase.RUNNING for guest in guests)
    audited(parkade)


def test_a_long_shortfall_is_credited_with_each_period_from_what_was_paid_for_it() -> None:
    parkade = given_a_short_owner()
    parkade.on_reservation("acme", "acme")
    parkade.tick(3 * 3600)
    assert credited(parkade) == 3 * 4 * 2 * MICROS
    assert parkade.balance("operator") == 3 * 4 * 2 * MICROS
    assert parkade.balance("prepaid/acme") == 4 * 4 * MICROS
    audited(parkade)
