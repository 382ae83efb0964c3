"""What has not begun leaves a node that others took, at once and free; what runs there stays."""

import pytest

from parkade.core.clearing.urgency import urgent_markets
from parkade.core.fleet.pool import TakenNode
from parkade.core.state import commands
from parkade.core.state.codec import encode_snapshot
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.moves import Healed
from tests.core.kernel.story import Parkade
from tests.core.kernel.test_unstarted import give_up, gone, paid


def given(nodes: int = 3) -> Parkade:
    return Parkade(fabrics={"a": nodes}, engine="slurm", buffer_nodes=0)


def take(parkade: Parkade, *nodes: str) -> None:
    """Jobs of others hold these nodes, and no other."""
    taken = tuple(TakenNode(node=node, job="job 5 of bob") for node in nodes)
    parkade.do(commands.ReportTakenNodes(by=None, pool="pool", nodes=taken))


def seated(parkade: Parkade, org: str = "lab", limit: float = 9, *, nodes: int = 1) -> str:
    """A bid that was launched and has no process yet."""
    name = parkade.bid(org, limit, nodes=nodes)
    parkade.clear()
    assert parkade.phase(name) is Phase.STARTING
    return name


def test_what_has_not_begun_gets_other_seats_as_soon_as_its_node_is_taken() -> None:
    parkade = given()
    guest = seated(parkade)
    (node,) = parkade.nodes_of(guest)
    take(parkade, node)
    assert parkade.stop(guest).cause is Cause.HEALED, "without waiting for the next interval"
    assert parkade.workload(guest).moved == Healed()
    assert parkade.nodes_of(guest) != (node,)
    gone(parkade, guest)
    parkade.tick(1)
    assert parkade.phase(guest) is Phase.STARTING, "it waits for no back-off"
    parkade.started(guest)
    assert parkade.nodes_of(guest) != (node,)
    assert parkade.workload(guest).failures == 0
    assert paid(parkade) == 0
    assert parkade.replayed() == encode_snapshot(parkade.world)


def test_it_costs_nothing_however_often() -> None:
    """Beyond the start grace of the attempt that its org ends."""
    parkade = given()
    guest = seated(parkade)
    for _ in range(3):
        parkade.tick(60)
        take(parkade, *(seat.node for seat in parkade.attempt(guest).seats))
        gone(parkade, guest)
        parkade.tick(1)
        assert paid(parkade) == 0
    give_up(parkade, guest)
    assert paid(parkade) < 9 * 2 * 1_000_000 // 60, "a second of the last attempt"


def test_what_runs_on_a_taken_node_stays() -> None:
    parkade = given()
    guest = seated(parkade)
    parkade.started(guest)
    take(parkade, *parkade.nodes_of(guest))
    parkade.run(600)
    assert parkade.attempt(guest).stop is None and parkade.phase(guest) is Phase.RUNNING


def test_a_gang_keeps_its_other_nodes_and_leaves_the_taken_one() -> None:
    parkade = given()
    gang = seated(parkade, nodes=2)
    taken, other = parkade.nodes_of(gang)
    take(parkade, taken)
    assert parkade.stop(gang).cause is Cause.HEALED
    assert other in parkade.nodes_of(gang) and taken not in parkade.nodes_of(gang)


def test_without_free_room_it_waits_where_it_is_and_sends_nobody_away() -> None:
    parkade = given(nodes=2)
    guest, other = seated(parkade, limit=12), seated(parkade, "acme", 9)
    parkade.started(other)
    take(parkade, *parkade.nodes_of(guest))
    parkade.tick(30)
    parkade.clear()
    assert parkade.attempt(guest).stop is None and parkade.attempt(other).stop is None
    parkade.ended(other)
    parkade.tick(1)
    assert parkade.stop(guest).cause is Cause.HEALED


@pytest.mark.parametrize("is_seated", [True, False])
def test_a_clearing_follows_at_once_only_where_something_has_its_seats(is_seated: bool) -> None:
    parkade = given()
    if is_seated:
        seated(parkade)
    said = commands.ReportTakenNodes(
        by=None, pool="pool", nodes=(TakenNode(node="a1", job="job 5 of bob"),)
    )
    made = parkade.do(said)
    assert bool(urgent_markets(parkade.world, made)) is is_seated
