"""Named nodes in a seating: what is held, what is empty, and which nodes are chosen first."""

import pytest

from parkade.core.placement.nodes import OpenNode, OpenNodes
from parkade.core.placement.room import Shape

WHOLE = Shape(1, 8, None, any_fabric=False)
HALF = Shape(1, 4, ("ant", 2, ""), any_fabric=False)
OTHER = Shape(1, 4, ("bee", 2, ""), any_fabric=False)


def given_nodes(*free_from: int) -> OpenNodes:
    named = (OpenNode(time, f"n{at}", 0, time, None) for at, time in enumerate(free_from))
    return OpenNodes(named, 1, 8)


def test_nodes_that_are_free_now_come_first() -> None:
    assert given_nodes(5, 0, 3).choose(0, WHOLE, 2, set(), "ant") == ["n1", "n2"]


def test_what_is_held_is_no_room() -> None:
    nodes = given_nodes(0, 0)
    nodes.seat("n1", WHOLE)
    assert nodes.empty(0) == 1
    assert nodes.choose(0, WHOLE, 2, set(), "ant") is None


def test_a_shared_node_is_preferred_to_an_empty_one() -> None:
    nodes = given_nodes(0, 0)
    nodes.seat("n1", HALF)
    assert nodes.choose(0, HALF, 1, set(), "ant") == ["n1"]
    assert nodes.choose(0, OTHER, 1, set(), "ant") == ["n0"]
    assert not nodes.can_seat("n1", WHOLE)


def test_unseating_undoes_seating() -> None:
    nodes = given_nodes(0, 1)
    nodes.seat("n0", HALF)
    nodes.unseat("n0", HALF)
    assert nodes.choose(0, WHOLE, 2, set(), "ant") == ["n0", "n1"]


def test_a_shared_node_is_opened_once_and_then_filled() -> None:
    quarter = Shape(1, 2, ("ant", 2, ""), any_fabric=False)
    nodes = OpenNodes((OpenNode(0, "x", 0, 0, None), OpenNode(9, "y", 0, 5, "lab")), 1, 8)
    for _ in range(2):
        assert nodes.choose(0, quarter, 1, set(), "ant") == ["x"]
        nodes.seat("x", quarter)
    assert nodes.choose(0, WHOLE, 1, set(), "ant") == ["y"]
    assert [nodes.ready_for_us(["x", "y"], org) for org in ("lab", "ant")] == [5, 9]


def test_the_fullest_node_that_suffices_comes_first() -> None:
    nodes = given_nodes(0, 0, 0)
    nodes.seat("n1", HALF)
    nodes.seat("n2", Shape(1, 5, ("ant", 2, ""), any_fabric=False))
    assert nodes.choose(0, Shape(1, 3, ("ant", 2, ""), any_fabric=False), 3, set(), "ant") == [
        "n2",
        "n1",
        "n0",
    ]
    assert nodes.choose(0, HALF, 1, {"n1"}, "ant") == ["n0"]


def test_a_node_is_never_held_beyond_its_gpus() -> None:
    nodes = given_nodes(0)
    nodes.seat("n0", WHOLE)
    with pytest.raises(AssertionError, match="n0 would be held beyond its GPUs"):
        nodes.seat("n0", WHOLE)
