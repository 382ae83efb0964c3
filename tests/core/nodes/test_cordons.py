"""Pools, nodes, cordons: which user may close what, and what follows for the holders."""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.state import commands
from parkade.core.state.people import Role
from parkade.core.units.fraction import Fraction
from parkade.core.workloads.life import Phase
from tests import builders
from tests.core.kernel.story import TERMS, Parkade


def given_two_operators() -> Parkade:
    parkade = Parkade()
    parkade.org("house")
    for name in ("ann", "bob"):
        parkade.do(
            commands.CreateUser(by=None, user=name, org="house", role=Role.OPERATOR, unix_name=None)
        )
    return parkade


def test_only_the_holder_lifts_a_cordon_and_the_servers_never_lifts_a_persons() -> None:
    parkade = given_two_operators()
    parkade.do(commands.CordonNode(by="ann", node="a1", reason="fan"))
    for other in ("bob", None):
        refusal = parkade.refused(commands.UncordonNode(by=other, node="a1"))
        assert refusal.reason == "cordoned_by_another"
        assert "ann" in refusal.detail
    parkade.do(commands.CordonNode(by="bob", node="a1", reason="disk"))
    parkade.do(commands.UncordonNode(by="ann", node="a1"))
    assert not parkade.world.records.nodes["a1"].is_open
    parkade.do(commands.UncordonNode(by="bob", node="a1"))
    assert parkade.world.records.nodes["a1"].is_open


def test_a_cordoned_node_takes_no_newcomer_and_keeps_its_holders() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    there = parkade.bid("lab", 9)
    parkade.clear()
    parkade.started(there)
    (node,) = parkade.nodes_of(there)
    parkade.do(commands.CordonNode(by=None, node=node, reason="look"))
    for _ in range(2):
        parkade.bid("rich", 90)
    parkade.clear()
    assert parkade.phase(there) is Phase.RUNNING
    parkade.ended(there)
    parkade.clear()
    assert not parkade.world.held_on[node] and not parkade.world.promised_on[node]


def test_a_node_is_not_restored_while_something_may_still_run_there() -> None:
    parkade = Parkade()
    job = parkade.bid("lab", 9)
    parkade.clear()
    parkade.started(job)
    (node,) = parkade.nodes_of(job)
    parkade.fail(node)
    assert parkade.refused(commands.RestoreNode(by=None, node=node)).reason == "busy"
    parkade.ended(job, signal=9)
    parkade.do(commands.RestoreNode(by=None, node=node))
    assert parkade.world.records.nodes[node].is_open


def pool(**changes: Any) -> commands.OpenPool:
    return builders.open_pool("other", gpus=2, **{"fabrics": {"n": 2}, "terms": TERMS, **changes})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"fabrics": (("a", ("n1", "n1")),)}, "fabrics"),
        ({"fabrics": (("a", ()),)}, "fabrics"),
        ({"fabrics": (("A!", ("n1",)),)}, "fabrics"),
        ({"terms": replace(TERMS, fee=Fraction(numerator=7, denominator=7))}, "terms.fee"),
        ({"terms": replace(TERMS, notice_us=-1)}, "terms.notice_us"),
        ({"terms": replace(TERMS, clearing_interval_us=0)}, "terms.clearing_interval_us"),
        ({"terms": replace(TERMS, public_floor_micros=10**13)}, "terms.public_floor_micros"),
    ],
)
def test_a_pool_that_cannot_be_is_refused_with_its_place(
    changes: dict[str, object], field: str
) -> None:
    parkade = Parkade()
    parkade.world.records.markets.clear()
    refusal = parkade.refused(pool(**changes))
    assert (refusal.reason, refusal.field) == ("invalid", field)


def test_repeated_early_preemption_backs_off_longer_each_time() -> None:
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0, public_floor_micros=0)
    poor = parkade.bid("poor", 1)
    waits = []
    for round_ in range(4):
        parkade.pass_time(3000)
        parkade.start_all()
        rich = parkade.bid("rich", 5 + round_)
        parkade.clear()
        parkade.ended(poor, code=85)
        waits.append(parkade.workload(poor).not_before_us - parkade.now_us)
        parkade.start_all()
        parkade.ended(rich)
        assert parkade.workload(poor).failures == 0
    assert waits[1] > 0
    assert waits[2] == 2 * waits[1] and waits[3] == 2 * waits[2]
