"""Racks, switches and drivers: what fails for several at once is not repaired node by node."""

import pytest

from parkade.core.healing.guards import HoldReason
from parkade.core.healing.incident import Grade, RepairKind
from parkade.core.healing.symptom import Source
from parkade.core.healing.topology import Surroundings
from parkade.core.repairing.lemons import lemons
from parkade.core.state import commands, events
from parkade.core.state.codec import encode_snapshot
from parkade.core.units.time import DAY_US, HOUR_US, SECOND_US
from tests import builders
from tests.core.repairing.sick import WHOLE, Sick

BOTH = (Source.KERNEL_LOG, Source.NVML)


def fleet(**shared: str) -> Sick:
    """Twelve fabrics of four nodes; the first node of each shares something."""
    it = Sick(fabrics={f"f{n:02}x": 4 for n in range(12)}, buffer_nodes=0, limited=True)
    it.do(commands.SetAutomation(by=None, reason="t", fabric_share=WHOLE, fleet_share=WHOLE))
    told = tuple(Surroundings(node=f"f{n:02}x1", **shared) for n in range(12))
    it.do(commands.ReportSurroundings(by=None, pool="pool", nodes=told))
    return it


def held(it: Sick, node: str) -> HoldReason | None:
    """What holds its incident."""
    incident = it.world.open_incident(node)
    assert incident is not None
    return incident.held


@pytest.mark.parametrize("kind", ["rack", "switch", "driver"])
def test_nodes_of_several_fabrics_that_share_something_suspect_it(kind: str) -> None:
    it = fleet(**{kind: "r1"})
    for number in range(3):
        it.verdict(f"f{number:02}x1", sources=BOTH)
    assert held(it, "f00x1") is None and held(it, "f01x1") is None
    assert held(it, "f02x1") is HoldReason.PARENT_SUSPECTED
    story = it.world.open_incident("f02x1")
    assert story is not None and f"({kind} r1)" in story.lines[0].says
    it.verdict("f03x2", sources=BOTH)
    assert held(it, "f03x2") is None, "it stands elsewhere"
    assert it.replayed() == encode_snapshot(it.world)


def test_of_a_driver_only_the_same_fault_counts() -> None:
    it = fleet(driver="570.1")
    for number in range(4):
        it.verdict(f"f{number:02}x1", signal=f"xid/{number}", sources=BOTH)
    assert all(held(it, f"f{number:02}x1") is None for number in range(4))


def test_what_another_pool_calls_by_the_same_name_is_another_rack() -> None:
    it = fleet(rack="r1")
    it.do(builders.open_pool("second", {"g": 6}, market="pool", opens=None))
    liar = tuple(Surroundings(node=name, rack="r1") for name in ("g1", "g2", "f00x1"))
    it.do(commands.ReportSurroundings(by=None, pool="second", nodes=liar))
    known = it.world.records.surroundings
    assert known["f00x1"].rack == "r1" and set(known) >= {"g1", "g2"}
    told = [each for each in it.journal if isinstance(each, events.SurroundingsKnown)]
    assert [each.node for each in told[-1].nodes] == ["g1", "g2"], "it speaks for its own"
    for number in range(2):
        it.verdict(f"f{number:02}x1", sources=BOTH)
    assert held(it, "f01x1") is None


def test_what_is_told_twice_is_no_event_and_a_removed_node_is_forgotten() -> None:
    it = fleet(rack="r1")
    before = len(it.journal)
    same = tuple(it.world.records.surroundings.values())
    it.do(commands.ReportSurroundings(by=None, pool="pool", nodes=same))
    assert len(it.journal) == before
    it.do(commands.DrainNode(by=None, node="f00x1", reason="sold"))
    it.do(commands.RemoveNode(by=None, node="f00x1"))
    assert "f00x1" not in it.world.records.surroundings


def test_a_node_that_fails_twice_in_two_weeks_is_a_lemon_with_a_long_validation() -> None:
    it = Sick(fabrics={"a": 4}, buffer_nodes=0)
    it.verdict("a1", "v1")
    it.tick(60)
    it.verdict("a1", "v2")
    it.healed("a1")
    assert lemons(it.world, it.now_us) == {}, "one fault, seen twice"
    it.tick(10 * DAY_US / SECOND_US)
    it.verdict("a1", "v3")
    assert it.repaired("a1") is RepairKind.REBOOT
    assert it.order("a1").grade is Grade.LONG
    assert list(lemons(it.world, it.now_us)) == ["a1"]
    it.healed("a1")
    it.tick((14 * DAY_US + HOUR_US) / SECOND_US)
    assert lemons(it.world, it.now_us) == {}
