"""What each fabric's buffer holds, lacks and lends."""

import pytest

from parkade.core.repairing.buffer_use import buffers
from tests.core.repairing.sick import Sick


@pytest.mark.parametrize(
    ("sick", "lent", "short"),
    [(0, 2, 0), (1, 1, 0), (2, 0, 0), (3, 0, 1)],
)
def test_what_is_down_is_taken_from_what_is_lent_and_then_it_is_short(
    sick: int, lent: int, short: int
) -> None:
    it = Sick(fabrics={"a": 8}, buffer_nodes=2)
    for _ in range(3):
        it.bid("lab", 9)
    it.run(60)
    idle = [node for node in it.world.records.nodes if not it.world.held_on[node]]
    for node in idle[:sick]:
        it.verdict(node)
    (use,) = buffers(it.world)
    assert (use.nodes, use.held, use.down) == (8, 2, sick)
    assert (use.lent, use.short, use.spot) == (lent, short, 3)


def test_a_market_that_has_lost_its_last_node_has_an_empty_buffer() -> None:
    it = Sick(fabrics={"a": 1})
    it.world.sizes.clear()
    (use,) = buffers(it.world)
    assert (use.nodes, use.held, use.short) == (0, 0, 0)
