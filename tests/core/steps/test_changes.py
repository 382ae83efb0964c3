"""Steps of the life table are taken, and all others stop the process."""

import itertools

import pytest

from parkade.core.steps.changes import step
from parkade.core.workloads.life import Phase, is_allowed
from tests.core.records import workload, world


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
