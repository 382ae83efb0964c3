"""Every planted fault is found in a few stories; a judge that finds none would prove nothing."""

import pytest

from parkade.sim.story import Story, StoryPlan
from tests.sim.apart import apart
from tests.sim.array_faults import ARRAY_FAULTS
from tests.sim.elastic_faults import ELASTIC_FAULTS
from tests.sim.faults import FAULTS
from tests.sim.list_faults import LIST_FAULTS
from tests.sim.mars_faults import MARS_FAULTS
from tests.sim.slurm_faults import SLURM_FAULTS

ALL_FAULTS = FAULTS | ELASTIC_FAULTS | ARRAY_FAULTS | LIST_FAULTS | MARS_FAULTS | SLURM_FAULTS
SEEDS = range(50, 58)
"""At most so many stories are played for each fault."""

QUICK = frozenset(
    {
        *("charges_use_twice", "seats_half_a_gang", "waits_without_a_reason"),
        *("notes_a_fatal_fault_only", "suspects_no_parent"),
        *("pays_the_last_node_twice", "opens_one_member_too_many"),
        *("leaves_work_out_of_the_fence", "waits_no_longer_each_time"),
        "buys_though_it_won",
    }
)
"""These are tried in every run of the tests, the others in the long one."""


def plan_of(seed: int, troubles: tuple[str, ...]) -> StoryPlan:
    """Nodes fall sick, are repaired and return in longer stories than others need."""
    return StoryPlan(seed=seed, events=1000 if "mars" in troubles else 400, families=troubles)


@pytest.mark.slow
@pytest.mark.parametrize("troubles", dict.fromkeys(it for _, it in ALL_FAULTS.values()), ids=str)
def test_without_a_fault_the_same_stories_are_sound(troubles: tuple[str, ...]) -> None:
    for seed in SEEDS:
        assert Story(plan_of(seed, troubles)).tell().findings == ()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ALL_FAULTS],
)
def test_a_planted_fault_is_found(name: str) -> None:
    plant, troubles = ALL_FAULTS[name]

    def is_found() -> bool:
        with pytest.MonkeyPatch.context() as patch:
            plant(patch)
            return any(Story(plan_of(seed, troubles)).tell().findings for seed in SEEDS)

    assert apart(is_found), f"{name} was not found in {len(SEEDS)} stories"
