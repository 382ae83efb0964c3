"""What is missing for a sale is said in numbers."""

import pytest

from parkade.core.state import commands
from parkade.core.steps.lacking import short_of_money, short_of_nodes, short_of_nodes_in_all
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from tests import builders
from tests.core.kernel.story import Parkade


@pytest.mark.parametrize(
    ("free", "nodes", "needs", "has"),
    [
        ({"a": 2, "b": 3}, 4, "4 nodes in one fabric", "at most 3 are unsold in one (b): 1 is"),
        ({"a": 0, "b": 0}, 2, "2 nodes in one fabric", "at most 0 are unsold in one: 2 are"),
        ({"a": 1}, 3, "3 nodes in a", "1 is unsold there: 2 are"),
        ({"a": 0}, 1, "1 node in a", "0 are unsold there: 1 is"),
        ({}, 1, "1 node in one fabric", "at most 0 are unsold in one: 1 is"),
    ],
)
def test_nodes_in_one_fabric(free: dict[str, int], nodes: int, needs: str, has: str) -> None:
    world = Parkade(fabrics={"a": 1}).world
    market = world.records.markets["pool"]
    refusal = short_of_nodes(world, market, free, nodes, span="now", does="wait", field="nodes")
    assert refusal.reason is Reason.NO_CAPACITY
    assert refusal.detail == f"it needs {needs} now, and {has} missing; wait"


def test_nodes_of_several_fabrics_and_money() -> None:
    parkade = Parkade(fabrics={"a": 1})
    world, market = parkade.world, parkade.world.records.markets["pool"]
    refusal = short_of_nodes_in_all(world, market, {"a": 1, "b": 2}, 5)
    assert refusal.detail.startswith(
        "nodes that can be sold over the whole window: a 1, b 2. 2 of the 5 are missing; "
    )
    poor = short_of_money(
        world, "lab", "it costs 5.00", cost_micros=5 * MICROS, available_micros=MICROS, by=None
    )
    assert poor.reason is Reason.INSUFFICIENT_FUNDS and poor.detail == (
        "it costs 5.00, and lab can commit 1.00: 4.00 are missing;"
        " deposit it: parkade deposit lab 4.00"
    )


def test_on_demand_is_told_the_nodes_and_the_money_that_are_missing() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    parkade.reserve("acme", 2, hours=4)
    parkade.org("poor", deposit=1)
    parkade.do(builders.create_user("ann", "poor"))
    for nodes, says in (
        (2, " 2 nodes in a for the whole window, and 1 is unsold there: 1 is missing; bid for "),
        (1, "; ask an operator to deposit it: parkade deposit poor "),
    ):
        spec = parkade.spec(on_demand_hours=1, nodes=nodes)
        command = commands.Submit(by="ann", org="poor", market=None, spec=spec, is_held=False)
        assert says in parkade.refused(command).detail
