"""Gangs whose ranks share nodes, from the submission to the last charge."""

from msgspec.structs import replace

from parkade.core.fleet.seat import Seat
from parkade.core.state import commands
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from parkade.core.workloads.life import Phase
from parkade.core.workloads.spec import Capacity, CapacityKind
from tests.core.kernel.story import Parkade

HALF_HOUR_S = 1800


def given_parkade(nodes: int = 2) -> Parkade:
    """Nodes of 8 GPUs in one fabric, at 8 per GPU-hour, without buffer or notice to wait for."""
    return Parkade(fabrics={"a": nodes}, gpus=8, buffer_nodes=0)


def test_a_gang_of_four_ranks_with_two_gpus_runs_on_one_node_and_pays_for_eight_gpus() -> None:
    parkade = given_parkade()
    gang = parkade.bid("lab", 9, nodes=4, gpus=2, spread=False)
    before = parkade.balance("org/lab")
    parkade.clear()
    assert parkade.attempt(gang).seats == (Seat(node="a1", gpus=2),) * 4
    assert parkade.world.held_on["a1"] == {gang: 8}
    parkade.started(gang)
    parkade.tick(HALF_HOUR_S)
    parkade.ended(gang)
    assert before - parkade.balance("org/lab") == 8 * 4 * MICROS
    assert parkade.world.held_on["a1"] == {}


def test_a_gang_that_was_submitted_before_ranks_shared_nodes_stays_spread() -> None:
    parkade = given_parkade()
    gang = parkade.bid("lab", 9, nodes=2, gpus=2)
    parkade.clear()
    assert parkade.nodes_of(gang) == ("a1", "a2")


def test_a_gang_takes_gaps_of_its_org_and_the_journal_says_so_again() -> None:
    parkade = given_parkade()
    first = parkade.bid("lab", 9, nodes=3, gpus=2, spread=False)
    parkade.clear()
    second = parkade.bid("lab", 9, nodes=3, gpus=2, spread=False)
    parkade.clear()
    assert parkade.nodes_of(first) == ("a1", "a1", "a1")
    assert parkade.nodes_of(second) == ("a1", "a2", "a2")
    parkade.replayed()


def test_a_promise_waits_until_all_ranks_of_a_node_have_room() -> None:
    parkade = given_parkade(nodes=1)
    room = parkade.reserve("acme", 1)
    parkade.lend(room, 1)
    guest = parkade.bid("lab", 9, nodes=2, gpus=2, spread=False)
    parkade.clear()
    parkade.started(guest)
    own = parkade.on_reservation("acme", room, nodes=4, gpus=2, spread=False)
    parkade.clear()
    assert parkade.phase(own) is Phase.PLACED
    assert parkade.phase(guest) is Phase.PREEMPTING
    parkade.ended(guest, code=85)
    parkade.run(600)
    assert parkade.nodes_of(own) == ("a1",) * 4


def test_a_lost_node_takes_all_its_ranks_and_they_go_on_together() -> None:
    parkade = given_parkade(nodes=3)
    gang = parkade.bid("lab", 9, nodes=4, gpus=4, spread=False)
    parkade.clear()
    parkade.started(gang)
    assert parkade.nodes_of(gang) == ("a1", "a1", "a2", "a2")
    parkade.fail("a1")
    parkade.run(600)
    assert parkade.nodes_of(gang) == ("a3", "a3", "a2", "a2")


def test_an_on_demand_window_is_sold_for_the_nodes_that_its_ranks_open() -> None:
    parkade = given_parkade(nodes=2)
    parkade.on_demand("lab", nodes=8, gpus=1, spread=False)
    parkade.on_demand("lab", nodes=8, gpus=1, spread=False)
    assert _refused(parkade, nodes=1, gpus=1) is Reason.NO_CAPACITY


def test_a_gang_that_only_fits_where_its_ranks_share_nodes_is_too_large_when_spread() -> None:
    parkade = given_parkade(nodes=2)
    assert _refused(parkade, nodes=3, gpus=4) is Reason.TOO_LARGE
    parkade.on_demand("lab", nodes=3, gpus=4, spread=False)


def _refused(parkade: Parkade, *, nodes: int, gpus: int) -> Reason:
    spec = parkade.spec(on_demand_hours=1, nodes=nodes, gpus=gpus)
    spec = replace(spec, capacity=Capacity(kind=CapacityKind.ON_DEMAND))
    command = commands.Submit(by=None, org="lab", market=None, spec=spec, is_held=False)
    if "lab" not in parkade.world.records.orgs:
        parkade.org("lab")
    return parkade.refused(command).reason
