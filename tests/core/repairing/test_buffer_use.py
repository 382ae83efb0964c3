"""What each fabric's buffer holds, lacks and lends."""

import pytest

from parkade.core.billing.charges import transfers_of
from parkade.core.repairing.buffer_use import buffers
from parkade.core.state import events
from parkade.core.state.codec import encode_snapshot
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


def test_what_lent_nodes_earned_is_their_part_of_what_spot_paid_and_outlives_a_restart() -> None:
    it = Sick(fabrics={"a": 8}, buffer_nodes=2)
    names = [it.bid("lab", 9) for _ in range(3)]
    it.run(60)
    for name in names:
        it.started(name)
    it.run(2 * 3600)
    posted = [it for it in it.journal if isinstance(it, events.UsePosted)]
    paid = [sum(t.micros for t in transfers_of(it) if t.kind.is_paid_by_user) for it in posted]
    assert sum(paid) > 0
    assert [it.buffer_micros for it in posted] == [micros * 2 // 3 for micros in paid]
    assert it.world.records.buffer_earned == {"pool": sum(it.buffer_micros for it in posted)}
    assert it.replayed() == encode_snapshot(it.world)


def test_on_demand_work_earns_nothing_for_a_buffer() -> None:
    it = Sick(fabrics={"a": 8}, buffer_nodes=2)
    name = it.on_demand("lab", hours=3)
    it.run(60)
    it.started(name)
    it.run(2 * 3600)
    assert any(isinstance(each, events.UsePosted) for each in it.journal)
    assert it.world.records.buffer_earned == {}
