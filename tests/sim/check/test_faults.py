"""Every planted fault is found in at most eight acts, and told as a story."""

import re

import pytest

from parkade.sim.check.search import Bounds, Found, Search
from parkade.sim.check.story import story
from tests.sim.apart import apart
from tests.sim.check.change_faults import IN_CHANGES
from tests.sim.check.faults import (
    FAULTS,
    IN_ARRAYS,
    IN_ELASTIC_WORK,
    IN_THE_PROTOCOL,
    NEVER_AT_REST,
    Fault,
)
from tests.sim.check.job_faults import IN_JOBS
from tests.sim.check.linked_faults import IN_LINKED_MARKETS
from tests.sim.check.list_faults import IN_LISTS
from tests.sim.check.live_faults import IN_LIVE_WORK
from tests.sim.check.span_faults import IN_SPANS

MOST_ACTS = 8
SOUND = (
    *FAULTS,
    *IN_ARRAYS,
    *IN_CHANGES,
    *IN_ELASTIC_WORK,
    *IN_JOBS,
    *IN_LINKED_MARKETS,
    *IN_LISTS,
    *IN_LIVE_WORK,
    *IN_SPANS,
    *NEVER_AT_REST,
)


def planted(fault: Fault, bounds: Bounds) -> tuple[Found, list[str]]:
    """What a search with the fault finds, and its story."""

    def search() -> tuple[Found, list[str]]:
        with pytest.MonkeyPatch.context() as patch:
            fault.plant(patch)
            found = Search(fault.scenario, bounds).run()
            return found, story(fault.scenario, found)

    return apart(search)


@pytest.mark.parametrize(
    "fault",
    [
        *FAULTS,
        *IN_ARRAYS,
        *IN_CHANGES,
        *IN_ELASTIC_WORK,
        *IN_JOBS,
        *IN_LINKED_MARKETS,
        *IN_LISTS,
        *IN_LIVE_WORK,
        *IN_SPANS,
        *IN_THE_PROTOCOL,
    ],
    ids=lambda fault: fault.name.replace(" ", "_"),
)
def test_a_planted_fault_is_found_and_told(fault: Fault) -> None:
    found, told = planted(fault, Bounds(depth=MOST_ACTS, rest_depth=None))
    assert found.invariant in fault.invariants, found.says
    assert 0 < len(found.path) <= MOST_ACTS
    assert told[-1] == f"Invariant {found.invariant} is broken: {found.says}"
    numbered = [line for line in told if re.match(r" {0,2}\d+\. ", line)]
    assert len(numbered) == len(found.path)


@pytest.mark.parametrize("fault", NEVER_AT_REST, ids=lambda fault: fault.name.replace(" ", "_"))
def test_a_world_that_does_not_come_to_rest_is_found(fault: Fault) -> None:
    found, told = planted(fault, Bounds(depth=MOST_ACTS))
    assert found.is_at_rest
    assert found.invariant in fault.invariants, found.says
    assert "     Nothing arrives any more, and the machines obey:" in told


@pytest.mark.parametrize("name", sorted({fault.scenario.name for fault in SOUND}))
def test_without_its_fault_its_world_is_sound(name: str) -> None:
    scenario = next(it.scenario for it in SOUND if it.scenario.name == name)
    found = Search(scenario, Bounds(depth=5)).run()
    assert found.invariant is None, "\n".join(story(scenario, found))
