"""A step of the search is what the production core does."""

import random

import pytest

from parkade.core.kernel.decide import decide
from parkade.core.state import commands
from parkade.core.state.codec import encode_snapshot
from parkade.core.units.refusal import Refusal
from parkade.sim.check.acts import acts
from parkade.sim.check.root import root_of
from parkade.sim.check.scenarios import MARKET
from parkade.sim.check.small_worlds import SCENARIOS
from parkade.sim.check.stepping import Stepper

CLEARING = commands.RunClearing(by=None, market=MARKET)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_remembered_clearing_is_the_one_that_the_core_decides(name: str) -> None:
    scenario, stepper, chance = SCENARIOS[name](), Stepper(), random.Random(5)
    clearings = 0
    for _ in range(12):
        state = root_of(scenario)
        for _ in range(12):
            decided = decide(state.world, CLEARING, state.now_us)
            assert not isinstance(decided, Refusal)
            for _ in range(2):
                assert stepper.clearing(state, CLEARING) == decided
            clearings += bool(decided)
            made = stepper.step(state, chance.choice(acts(state, scenario)))
            state = state if made is None else made[0]
    assert clearings > 20


def test_a_step_changes_only_its_branch() -> None:
    scenario, stepper = SCENARIOS["owners"](), Stepper()
    state = root_of(scenario)
    before = encode_snapshot(state.world)
    followed = [stepper.step(state, act) for act in acts(state, scenario)]
    assert sum(made is not None for made in followed) > 10
    assert encode_snapshot(state.world) == before
