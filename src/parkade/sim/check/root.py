"""The state from which a world is searched."""

from parkade.core.kernel.decide import decide
from parkade.core.state.world import Records, World
from parkade.core.units.refusal import Refusal
from parkade.sim.check.agents import AgentSide
from parkade.sim.check.looking import look_at_state
from parkade.sim.check.scenarios import START_US, Scenario
from parkade.sim.check.state import State
from parkade.sim.check.stepping import apply, take_due


def root_of(scenario: Scenario) -> State:
    """The state after the commands that set the world up."""
    agent = AgentSide(START_US) if scenario.has_agent else None
    state = State(World(Records()), START_US, agent)
    for command in scenario.setup:
        outcome = decide(state.world, command, state.now_us)
        assert not isinstance(outcome, Refusal), f"the setup is refused: {outcome}"
        apply(state, outcome, [])
        take_due(state, [])
    look_at_state(state)
    return state
