"""What the API answers of the workloads of a story is what its client reads."""

import pytest

from parkade.api.views import workloads
from parkade.sim.story import Story, StoryPlan
from parkade.wire.spec import WorkloadSpec
from parkade.wire.workloads import Workload


@pytest.mark.parametrize("seed", range(1, 7))
def test_every_spec_that_is_shown_is_one_that_may_be_written(seed: int) -> None:
    """Also after a bid was changed, an array opened, or a deadline made it on-demand."""
    story = Story(StoryPlan(seed=seed, events=300))
    assert not story.tell().findings
    world = story.world
    assert world is not None and world.records.workloads
    for workload in world.records.workloads.values():
        known = workloads.known(world, workload, world.records.now_us)
        answer = workloads.workload(known).model_dump_json()
        read = Workload.model_validate_json(answer)
        assert read.model_dump_json() == answer
        WorkloadSpec.model_validate_json(read.spec.model_dump_json())
