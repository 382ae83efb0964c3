"""Every planted fault is found in at most eight acts, and told as a story."""

import pytest

from parkade.sim.check.search import Bounds, Search
from parkade.sim.check.story import story
from tests.sim.check.faults import FAULTS, Fault

MOST_ACTS = 8


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "_"))
def test_a_planted_fault_is_found_and_told(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    fault.plant(monkeypatch)
    found = Search(fault.scenario, Bounds(depth=MOST_ACTS)).run()
    assert found.invariant in fault.invariants, found.says
    assert 0 < len(found.path) <= MOST_ACTS
    told = story(fault.scenario, found)
    assert told[-1] == f"Invariant {found.invariant} is broken: {found.says}"
    numbered = [line for line in told if line.lstrip()[:2].rstrip(".").isdigit()]
    assert len(numbered) == len(found.path)


@pytest.mark.parametrize("name", sorted({fault.scenario.name for fault in FAULTS}))
def test_without_its_fault_its_world_is_sound(name: str) -> None:
    scenario = next(it.scenario for it in FAULTS if it.scenario.name == name)
    found = Search(scenario, Bounds(depth=5)).run()
    assert found.invariant is None, "\n".join(story(scenario, found))
