"""Which seats an owner gets and keeps: clean ones first, and what it was promised as long as the
nodes stay open."""

from parkade.core.state import commands
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Phase
from tests.core.kernel.story import Parkade

TURNAROUND_S = 600


def parkade_just_left(*, keep: int) -> Parkade:
    """Three nodes; acme reserved one of them, and a guest has just left a1."""
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0, turnaround_us=TURNAROUND_S * SECOND_US)
    parkade.reserve("acme", 1)
    parkade.lend("acme", 5)
    guest = parkade.bid("lab", 9)
    parkade.clear()
    assert parkade.nodes_of(guest) == ("a1",)
    parkade.started(guest)
    parkade.ended(guest)
    parkade.lend("acme", 5, keep=keep)
    parkade.tick(1)
    return parkade


def test_an_owner_takes_a_clean_node_before_one_that_needs_turnaround() -> None:
    for keep in (0, 1):
        parkade = parkade_just_left(keep=keep)
        claim = parkade.claim("acme", 1)
        parkade.tick(1)
        assert parkade.world.records.claims[claim].seated_us == parkade.now_us - SECOND_US


def test_the_org_that_was_there_last_needs_no_turnaround() -> None:
    parkade = parkade_just_left(keep=0)
    again = parkade.bid("lab", 9, nodes=3)
    parkade.clear()
    assert parkade.phase(again) is Phase.STARTING


def test_a_guest_leaves_clean_nodes_to_the_owner_that_keeps_one() -> None:
    parkade = parkade_just_left(keep=1)
    parkade.bid("other", 9, nodes=2)
    parkade.clear()
    claim = parkade.claim("acme", 1)
    parkade.tick(1)
    assert parkade.world.records.claims[claim].seated_us == parkade.now_us - SECOND_US


def test_a_wait_for_turnaround_alone_is_counted() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0, turnaround_us=TURNAROUND_S * SECOND_US)
    parkade.reserve("acme", 1)
    parkade.lend("acme", 5)
    guest = parkade.bid("lab", 9)
    parkade.clear()
    parkade.started(guest)
    parkade.ended(guest)
    parkade.tick(100)
    parkade.claim("acme", 1)
    parkade.tick(TURNAROUND_S)
    waits = parkade.world.records.reservations["acme"].waits
    assert (waits.times, waits.for_one) == (1, 1)
    assert waits.total_us == waits.longest_us == (TURNAROUND_S - 100) * SECOND_US


def test_a_promise_keeps_its_other_seats_when_one_node_closes() -> None:
    for is_claim in (True, False):
        parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0)
        parkade.reserve("acme", 2)
        parkade.lend("acme", 5)
        guests = [parkade.bid(f"org-{number}", 9 + number) for number in range(4)]
        parkade.clear()
        parkade.start_all()
        if is_claim:
            own = parkade.claim("acme", 2)
        else:
            own = parkade.on_reservation("acme", "acme", nodes=2)
        before = promised(parkade, own)
        closing, other = sorted(before)
        for guest in guests:
            if parkade.nodes_of(guest)[0] in before:
                parkade.do(commands.Cancel(by=None, workload=guest, now=False))
            else:
                parkade.ended(guest)
        parkade.do(commands.CordonNode(by=None, node=closing, reason="look"))
        parkade.clear()
        after = promised(parkade, own)
        assert len(after) == 2 and other in after and closing not in after


def promised(parkade: Parkade, name: str) -> set[str]:
    """The nodes that a claim or workload is promised."""
    claim = parkade.world.records.claims.get(name)
    return set(parkade.nodes_of(name)) if claim is None else {it.node for it in claim.seats}


def test_a_window_is_sold_where_no_owner_stands_in_the_way() -> None:
    """The claim stands in c, beyond its shape in b, because a guest holds b. By the calendar c is
    the tightest for the window, and a has room as well."""
    pool = Parkade(fabrics={"a": 5, "b": 3, "c": 4}, buffer_nodes=0)
    for org in ("guest", "acme", "birch"):
        pool.org(org)
    guest = pool.bid("guest", 9, nodes=2, any_fabric=True)
    pool.clear()
    pool.start_all()
    reservation = pool.reserve("acme", 3, hours=1)
    claim = pool.claim(reservation, 2)
    pool.run(60)
    before = (pool.nodes_of(guest), pool.world.records.claims[claim].seats)
    window = pool.on_demand("birch", nodes=3, hours=2)
    assert {node[0] for node in pool.nodes_of(window)} == {"a"}
    assert (pool.nodes_of(guest), pool.world.records.claims[claim].seats) == before
