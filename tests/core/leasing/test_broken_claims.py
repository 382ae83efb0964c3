"""A claim of several nodes of which some break: it keeps the well ones and is made whole."""

from parkade.core.reservations.reservation import Claim
from parkade.core.state import commands, events
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Cause
from parkade.core.workloads.moves import ForClaim
from tests.core.kernel.story import Parkade


def claim_of(parkade: Parkade, name: str) -> Claim:
    return parkade.world.records.claims[name]


def nodes_of(parkade: Parkade, name: str) -> list[str]:
    return [seat.node for seat in claim_of(parkade, name).seats]


def promised_to(parkade: Parkade, name: str) -> list[str]:
    return [it.seat.node for it in claim_of(parkade, name).replacements]


def with_claim(nodes: int, **terms: int) -> tuple[Parkade, str]:
    """A fabric of these nodes, all reserved and claimed by acme, and handed over."""
    parkade = Parkade(fabrics={"a": nodes}, buffer_nodes=0, **terms)
    parkade.reserve("acme", nodes)
    claim = parkade.claim("acme", nodes)
    parkade.tick(1)
    assert claim_of(parkade, claim).seated_us is not None
    return parkade, claim


def test_a_claim_keeps_its_well_nodes_when_one_breaks_and_no_other_is_free() -> None:
    parkade, claim = with_claim(3)
    seated_us = claim_of(parkade, claim).seated_us
    parkade.fail("a2")
    parkade.tick(1)
    assert nodes_of(parkade, claim) == ["a1", "a3"]
    assert claim_of(parkade, claim).seated_us == seated_us
    assert claim_of(parkade, claim).why == "no_room"


def test_a_short_claim_is_credited_for_the_node_that_it_misses_until_it_has_one() -> None:
    parkade, claim = with_claim(3)
    before = parkade.balance("org/acme")
    parkade.fail("a2")
    parkade.tick()
    parkade.run(1800)
    parkade.do(commands.RestoreNode(by=None, node="a2"))
    parkade.tick(1)
    assert nodes_of(parkade, claim) == ["a1", "a3", "a2"]
    # Two GPUs at the reservation's rate, for half an hour.
    rate = parkade.world.records.reservations["acme"].rate_micros
    assert parkade.balance("org/acme") - before == rate * 2 // 2
    assert claim_of(parkade, claim).short_us is None


def test_a_guest_leaves_a_short_claim_its_node_with_the_heal_notice() -> None:
    parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0, notice_us=120 * SECOND_US)
    parkade.reserve("acme", 3)
    parkade.lend("acme", 5)
    guest = parkade.bid("lab", 9)
    parkade.clear()
    parkade.start_all()
    claim = parkade.claim("acme", 3)
    parkade.tick(1)
    kept = nodes_of(parkade, claim)
    assert claim_of(parkade, claim).seated_us is not None
    parkade.fail(kept[1])
    parkade.tick()
    assert nodes_of(parkade, claim) == [kept[0], kept[2]]
    assert promised_to(parkade, claim) == list(parkade.nodes_of(guest))
    assert parkade.stop(guest).cause is Cause.RECLAIMED
    terms = parkade.world.records.markets["pool"].terms
    assert parkade.stop(guest).deadline_us == parkade.now_us + terms.heal_notice_us
    parkade.run(300)
    assert len(nodes_of(parkade, claim)) == 3 and not promised_to(parkade, claim)
    assert claim_of(parkade, claim).why == ""


def test_missing_nodes_come_one_by_one() -> None:
    parkade = Parkade(fabrics={"a": 5}, buffer_nodes=0)
    parkade.reserve("acme", 3)
    claim = parkade.claim("acme", 3)
    parkade.lend("acme", 5)
    parkade.tick(1)
    first, second, third = nodes_of(parkade, claim)
    guest = parkade.bid("lab", 9)
    parkade.clear()
    parkade.start_all()
    parkade.fail(first)
    parkade.fail(second)
    parkade.tick(1)
    assert nodes_of(parkade, claim)[0] == third
    assert len(nodes_of(parkade, claim)) == 2, "the free one came at once"
    assert promised_to(parkade, claim) == list(parkade.nodes_of(guest))


def test_a_short_claim_is_made_whole_before_newer_demand_of_its_reservation() -> None:
    parkade, claim = with_claim(2)
    parkade.fail("a1")
    parkade.tick()
    job = parkade.on_reservation("acme", "acme", nodes=1)
    parkade.tick()
    parkade.do(commands.RestoreNode(by=None, node="a1"))
    parkade.tick(1)
    assert sorted(nodes_of(parkade, claim)) == ["a1", "a2"]
    assert parkade.nodes_of(job) == ()


def test_a_claim_that_was_not_handed_over_is_whole_or_nothing() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.reserve("acme", 2)
    parkade.lend("acme", 5)
    parkade.bid("lab", 9)
    parkade.clear()
    parkade.start_all()
    claim = parkade.claim("acme", 2)
    parkade.tick()
    assert len(nodes_of(parkade, claim)) == 2
    parkade.fail("a2")
    parkade.tick()
    assert nodes_of(parkade, claim) == [] and claim_of(parkade, claim).why == "no_room"


def test_a_claim_of_which_all_nodes_break_waits_as_a_new_one() -> None:
    parkade, claim = with_claim(2)
    parkade.fail("a1")
    parkade.fail("a2")
    parkade.tick()
    assert nodes_of(parkade, claim) == [] and claim_of(parkade, claim).seated_us is None
    assert parkade.world.held_on["a1"] == {}


def test_a_node_that_is_promised_in_place_of_a_broken_one_breaks_too() -> None:
    parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0)
    parkade.reserve("acme", 2)
    parkade.lend("acme", 5)
    guests = [parkade.bid(f"lab-{number}", 9 + number) for number in range(2)]
    parkade.clear()
    parkade.start_all()
    claim = parkade.claim("acme", 2)
    parkade.tick(1)
    parkade.fail(nodes_of(parkade, claim)[0])
    parkade.tick()
    (first,) = promised_to(parkade, claim)
    parkade.fail(first)
    parkade.tick()
    (second,) = promised_to(parkade, claim)
    assert second != first and second in {parkade.nodes_of(it)[0] for it in guests}
    assert len(nodes_of(parkade, claim)) == 1


def test_an_unclaim_gives_back_what_is_held_and_what_is_promised() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    parkade.reserve("acme", 2)
    parkade.lend("acme", 5)
    parkade.bid("lab", 9)
    parkade.clear()
    parkade.start_all()
    claim = parkade.claim("acme", 2)
    parkade.tick(1)
    parkade.fail(nodes_of(parkade, claim)[0])
    parkade.tick()
    assert promised_to(parkade, claim)
    parkade.do(commands.Unclaim(by=None, claim=claim))
    for index in (parkade.world.promised_on, parkade.world.held_on):
        assert all(claim not in holders for holders in index.values())


def test_a_claim_beyond_its_own_fabrics_gives_up_only_the_nodes_that_a_right_needs() -> None:
    parkade = Parkade(fabrics={"a": 2, "b": 3}, buffer_nodes=0)
    parkade.reserve("acme", 2)
    parkade.reserve("birch", 3)
    parkade.lend("birch", 5)
    parkade.fail("a1")
    parkade.fail("a2")
    claim = parkade.claim("acme", 2)
    parkade.tick(1)
    assert nodes_of(parkade, claim) == ["b1", "b2"]
    seated_us = claim_of(parkade, claim).seated_us
    parkade.do(commands.RestoreNode(by=None, node="a1"))
    right = parkade.claim("birch", 2)
    parkade.tick(1)
    assert len(nodes_of(parkade, right)) == 2
    kept, given = nodes_of(parkade, claim)
    assert kept in ("b1", "b2") and given == "a1"
    assert claim_of(parkade, claim).seated_us == seated_us
    (changed,) = [
        it for event in parkade.journal if isinstance(event, events.Cleared) for it in event.claims
    ]
    assert changed.moved == ForClaim(claim=right, org="birch")


def test_a_claim_that_is_made_whole_in_another_fabric_stands_while_its_agent_is_silent() -> None:
    """It stood beyond its own fabric and was given a node at home for one that broke."""
    parkade = Parkade(fabrics={"a": 3, "b": 3}, buffer_nodes=0)
    parkade.reserve("acme", 3)
    assert parkade.world.records.reservations["acme"].shape == (("a", 3),)
    for node in ("a1", "a2", "a3"):
        parkade.fail(node)
    claim = parkade.claim("acme", 3)
    parkade.tick(1)
    assert nodes_of(parkade, claim) == ["b1", "b2", "b3"]
    parkade.do(commands.RestoreNode(by=None, node="a1"))
    parkade.fail("b2")
    parkade.tick(1)
    divided = nodes_of(parkade, claim)
    assert divided == ["b1", "b3", "a1"]
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=False))
    parkade.clear()
    assert nodes_of(parkade, claim) == divided
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=True))
    parkade.clear()
    assert nodes_of(parkade, claim) == divided


def test_the_journal_of_a_short_claim_replays_to_the_same_world() -> None:
    parkade, claim = with_claim(3)
    parkade.fail("a2")
    parkade.tick(1)
    parkade.do(commands.RestoreNode(by=None, node="a2"))
    parkade.tick(1)
    assert len(nodes_of(parkade, claim)) == 3
    kept = [
        it for event in parkade.journal if isinstance(event, events.Cleared) for it in event.claims
    ]
    assert [len(it.seats) for it in kept] == [2, 2]
    assert parkade.replayed()
