"""Named nodes in a seating: what is held, what must stay empty, and who waits least."""

from parkade.core.placement.nodes import NamedNode, Nodes
from parkade.core.placement.room import Shape

WHOLE = Shape(1, 8, None, any_fabric=False)
HALF = Shape(1, 4, ("ant", 2, ""), any_fabric=False)
OTHER = Shape(1, 4, ("bee", 2, ""), any_fabric=False)


def given_nodes(*free_from: int) -> Nodes:
    named = (NamedNode(time, f"n{at}", 0) for at, time in enumerate(free_from))
    return Nodes(named, 1, 8)


def test_nodes_that_are_free_now_come_first() -> None:
    assert given_nodes(5, 0, 3).best(0, WHOLE, 2, set()) == ["n1", "n2"]


def test_what_is_held_is_no_room() -> None:
    nodes = given_nodes(0, 0)
    nodes.hold("n1", WHOLE)
    assert nodes.room(0) == 1
    assert nodes.best(0, WHOLE, 2, set()) is None


def test_a_shared_node_is_preferred_to_an_empty_one() -> None:
    nodes = given_nodes(0, 0)
    nodes.hold("n1", HALF)
    assert nodes.best(0, HALF, 1, set()) == ["n1"]
    assert nodes.best(0, OTHER, 1, set()) == ["n0"]
    assert not nodes.can_hold("n1", WHOLE)


def test_leaving_undoes_holding() -> None:
    nodes = given_nodes(0, 1)
    nodes.hold("n0", HALF)
    nodes.leave("n0", HALF)
    assert nodes.best(0, WHOLE, 2, set()) == ["n0", "n1"]
