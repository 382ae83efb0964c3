"""Steps of the life table are taken, and all others stop the process."""

import itertools

import pytest

from parkade.core.steps.changes import step, vacate
from parkade.core.workloads.life import Phase, is_allowed
from tests.core.records import node, seats, workload, world


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Phase, Phase)))
def test_a_workload_takes_only_steps_of_its_table(before: Phase, after: Phase) -> None:
    here = world(workload())
    was, becomes = workload(phase=before), workload(phase=after)
    if is_allowed(before, after):
        step(here, was, becomes)
        assert here.records.workloads["w1"].phase is after
    else:
        with pytest.raises(AssertionError, match=f"w1: {before} > {after}"):
            step(here, was, becomes)
        assert here.records.workloads["w1"].phase is Phase.QUEUED


def test_turnaround_counts_from_the_last_end_in_whatever_order_the_ends_are_reported() -> None:
    """Of two that shared a node the one reported last had left first, and it was taken for that."""
    made = world(nodes=[node("a1", last_org="lab")])
    for at_us in (70, 66):
        vacate(made, seats(a1=1), at_us)
    assert made.records.nodes["a1"].vacated_us == 70
