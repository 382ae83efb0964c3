"""Every planted fault is found in a few stories; a judge that finds none would prove nothing."""

import pytest

from parkade.sim.story import Story, StoryPlan
from tests.sim.faults import FAULTS

SEEDS = range(50, 58)
"""At most so many stories are played for each fault."""

QUICK = frozenset({"charges_use_twice", "seats_half_a_gang", "waits_without_a_reason"})
"""These are tried in every run of the tests, the others in the long one."""


@pytest.mark.slow
@pytest.mark.parametrize("troubles", dict.fromkeys(it for _, it in FAULTS.values()), ids=str)
def test_without_a_fault_the_same_stories_are_sound(troubles: tuple[str, ...]) -> None:
    for seed in SEEDS:
        plan = StoryPlan(seed=seed, events=400, families=troubles)
        assert Story(plan).tell().findings == ()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FAULTS],
)
def test_a_planted_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, troubles = FAULTS[name]
    plant(monkeypatch)
    for seed in SEEDS:
        plan = StoryPlan(seed=seed, events=400, families=troubles)
        if Story(plan).tell().findings:
            return
    pytest.fail(f"{name} was not found in {len(SEEDS)} stories")
