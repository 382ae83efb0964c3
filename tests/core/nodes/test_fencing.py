"""Pools of engines that also take jobs of others: what is sold before and behind a fence."""

import pytest
from msgspec.structs import replace

from parkade.core.fleet.node import OTHERS
from parkade.core.fleet.pool import Fence, TakenNode
from parkade.core.state import commands, events
from parkade.core.workloads.spec import Capacity, CapacityKind, Moves
from tests.core.kernel.story import Parkade


def a_slurm_pool() -> Parkade:
    return Parkade(fabrics={"a": 3}, engine="slurm", buffer_nodes=0)


def fence(parkade: Parkade) -> Fence:
    return parkade.world.records.pools["pool"].fence


def reserve(org: str) -> commands.Reserve:
    return commands.Reserve(
        by=None, org=org, market=None, name=None, nodes=1, start_us=None, end_us=None
    )


def on_demand(parkade: Parkade) -> commands.Submit:
    spec = parkade.spec(on_demand_hours=1)
    assert spec.capacity == Capacity(kind=CapacityKind.ON_DEMAND)
    return commands.Submit(by=None, org="acme", market=None, spec=spec, is_held=False)


def test_an_unfenced_pool_sells_spot_only_and_says_what_to_do() -> None:
    parkade = a_slurm_pool()
    parkade.org("acme")
    assert fence(parkade) is Fence.NONE
    for sold in (reserve("acme"), on_demand(parkade)):
        refusal = parkade.refused(sold)
        assert refusal.reason == "unfenced"
        assert "parkade pool fence pool" in refusal.detail
    bid = parkade.bid("lab", 9)
    parkade.run(60)
    assert parkade.workload(bid).attempt is not None


def cheaper(parkade: Parkade) -> commands.Submit:
    """A bid that may be moved to seats of a lower floor, which are promised to it."""
    spec = replace(parkade.spec(limit=9), moves=Moves.CHEAPER)
    return commands.Submit(by=None, org="lab", market=None, spec=spec, is_held=False)


def test_moves_for_a_lower_floor_are_promised_behind_a_fence_alone() -> None:
    parkade = a_slurm_pool()
    parkade.org("lab")
    refusal = parkade.refused(cheaper(parkade))
    assert (refusal.reason, refusal.field) == ("unfenced", "moves")
    assert "moves: needed" in refusal.detail and "parkade pool fence pool" in refusal.detail
    parkade.do(commands.SetFence(by=None, pool="pool", is_on=True))
    parkade.do(commands.ReportFence(by=None, pool="pool", stands=True))
    parkade.do(cheaper(parkade))
    off = commands.SetFence(by=None, pool="pool", is_on=False)
    assert "w1" in parkade.refused(off).detail


def test_a_fence_counts_from_when_the_agent_says_that_it_stands() -> None:
    parkade = a_slurm_pool()
    parkade.org("acme")
    parkade.do(commands.SetFence(by=None, pool="pool", is_on=True))
    assert "not said yet" in parkade.refused(reserve("acme")).detail
    parkade.do(commands.ReportFence(by=None, pool="pool", stands=True))
    parkade.do(reserve("acme"))
    parkade.do(on_demand(parkade))


def test_a_fence_that_fell_keeps_what_was_sold_and_sells_nothing_more() -> None:
    parkade = a_slurm_pool()
    parkade.do(commands.SetFence(by=None, pool="pool", is_on=True))
    parkade.do(commands.ReportFence(by=None, pool="pool", stands=True))
    parkade.reserve("acme", 1)
    parkade.do(commands.ReportFence(by=None, pool="pool", stands=False))
    assert fence(parkade) is Fence.ASKED and "acme" in parkade.world.records.reservations
    assert parkade.refused(reserve("acme")).reason == "unfenced"


def test_a_fence_is_given_up_only_once_nothing_needs_it() -> None:
    parkade = a_slurm_pool()
    parkade.do(commands.SetFence(by=None, pool="pool", is_on=True))
    parkade.do(commands.ReportFence(by=None, pool="pool", stands=True))
    parkade.reserve("acme", 1, hours=2)
    off = commands.SetFence(by=None, pool="pool", is_on=False)
    assert "acme" in parkade.refused(off).detail
    parkade.run(3 * 3600)
    parkade.do(off)
    assert fence(parkade) is Fence.NONE


def test_what_an_agent_says_of_a_fence_that_no_operator_asked_for_changes_nothing() -> None:
    for parkade in (a_slurm_pool(), Parkade()):
        before = fence(parkade)
        parkade.do(commands.ReportFence(by=None, pool="pool", stands=True))
        assert fence(parkade) is before
    refusal = Parkade().refused(commands.SetFence(by=None, pool="pool", is_on=True))
    assert refusal.reason == "conflict" and "needs no fence" in refusal.detail


@pytest.mark.parametrize("persons", [False, True])
def test_a_taken_node_takes_no_newcomer_until_it_is_free(persons: bool) -> None:
    parkade = a_slurm_pool()
    if persons:
        parkade.do(commands.CordonNode(by=None, node="a1", reason="fan"))
    taken = TakenNode(node="a1", job="job 5 of bob")
    said = commands.ReportTakenNodes(by=None, pool="pool", nodes=(taken,))
    (closed,) = parkade.do(said)
    assert isinstance(closed, events.NodeCordoned) and closed.cordon.holder == OTHERS
    assert parkade.do(said) == ()
    bid = parkade.bid("lab", 9, nodes=3)
    parkade.run(60)
    assert parkade.workload(bid).attempt is None
    parkade.do(commands.ReportTakenNodes(by=None, pool="pool", nodes=()))
    left = [it.holder for it in parkade.world.records.nodes["a1"].cordons]
    assert left == (["server"] if persons else [])
