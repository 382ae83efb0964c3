"""Whether spot work of several orgs shares a node, and when its GPUs are clean."""

from parkade.core.fleet.node import SEVERAL_ORGS
from parkade.core.state import commands
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Phase
from tests.core.kernel.story import Parkade

TURNAROUND_S = 30


def given_parkade(*, shared_nodes: bool, nodes: int = 2) -> Parkade:
    return Parkade(
        fabrics={"a": nodes},
        gpus=8,
        buffer_nodes=0,
        turnaround_us=TURNAROUND_S * SECOND_US,
        shared_nodes=shared_nodes,
    )


def running(parkade: Parkade, org: str, gpus: int = 2) -> str:
    name = parkade.bid(org, 9, gpus=gpus)
    parkade.clear()
    parkade.started(name)
    return name


def test_two_orgs_never_share_a_node_unless_the_market_lets_them() -> None:
    parkade = given_parkade(shared_nodes=False)
    jobs = [running(parkade, org) for org in ("ant", "ant", "bee")]
    assert [parkade.nodes_of(it) for it in jobs] == [("a1",), ("a1",), ("a2",)]
    third = parkade.bid("cat", 50, gpus=2)
    parkade.clear()
    assert parkade.phase(third) is Phase.PLACED, "it outbids a node, and shares none"


def test_spot_of_several_orgs_shares_a_node_where_the_market_says_so() -> None:
    parkade = given_parkade(shared_nodes=True)
    jobs = [running(parkade, org) for org in ("ant", "bee", "cat")]
    assert [parkade.nodes_of(it) for it in jobs] == [("a1",)] * 3
    assert parkade.world.records.nodes["a1"].last_org == SEVERAL_ORGS
    parkade.replayed()


def test_owners_and_on_demand_share_no_node_with_another_org_even_there() -> None:
    parkade = given_parkade(shared_nodes=True, nodes=3)
    guest = running(parkade, "ant")
    window = parkade.on_demand("bee", gpus=2)
    other = parkade.on_demand("cat", gpus=2)
    parkade.clear()
    assert len({parkade.nodes_of(it) for it in (guest, window, other)}) == 3


def test_on_demand_waits_there_until_a_guest_is_gone_and_the_node_is_turned_around() -> None:
    parkade = given_parkade(shared_nodes=True, nodes=1)
    guest = running(parkade, "ant")
    window = parkade.on_demand("bee", gpus=2)
    parkade.clear()
    assert (parkade.phase(window), parkade.phase(guest)) == (Phase.PLACED, Phase.PREEMPTING)
    parkade.stop_all()
    parkade.tick()
    assert parkade.phase(window) is Phase.PLACED
    parkade.tick(TURNAROUND_S)
    assert parkade.phase(window) is Phase.STARTING


def test_gpus_that_one_of_several_orgs_left_are_clean_for_no_other_before_the_turnaround() -> None:
    parkade = given_parkade(shared_nodes=True, nodes=1)
    ant, bee = running(parkade, "ant", gpus=4), running(parkade, "bee", gpus=4)
    parkade.ended(ant)
    for org in ("bee", "ant"):
        again = parkade.bid(org, 9, gpus=4)
        parkade.clear()
        assert parkade.phase(again) is Phase.PLACED
        parkade.do(commands.Cancel(by=None, workload=again, now=False))
    last = parkade.bid("cat", 9, gpus=4)
    parkade.clear()
    parkade.run(TURNAROUND_S - 1, obey=False)
    assert parkade.phase(last) is Phase.PLACED
    parkade.run(2, obey=False)
    assert parkade.phase(last) in (Phase.STARTING, Phase.RUNNING)
    assert parkade.phase(bee) is Phase.RUNNING


def test_a_node_is_one_orgs_again_once_it_was_empty() -> None:
    parkade = given_parkade(shared_nodes=True, nodes=1)
    for name in (running(parkade, "ant"), running(parkade, "bee")):
        parkade.ended(name)
    parkade.run(TURNAROUND_S + 1)
    running(parkade, "cat")
    assert parkade.world.records.nodes["a1"].last_org == "cat"


def test_work_of_several_orgs_is_parted_when_the_market_ends_the_sharing() -> None:
    parkade = given_parkade(shared_nodes=True)
    jobs = [running(parkade, org) for org in ("ant", "bee")]
    assert parkade.nodes_of(jobs[0]) == parkade.nodes_of(jobs[1])
    change = commands.TermsChange(shared_nodes=False)
    market = next(iter(parkade.world.records.markets))
    parkade.do(commands.ChangeTerms(by=None, market=market, change=change, from_us=None))
    parkade.clear()
    parkade.run(600)
    assert {parkade.nodes_of(it) for it in jobs} == {("a1",), ("a2",)}
