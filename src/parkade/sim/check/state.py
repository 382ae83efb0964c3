"""A state of the search: a world, the present, and (where it is searched) the agent's side."""

from parkade.core.state.world import World
from parkade.sim.check.agents import AgentSide


class State:
    """Mutable; a branch is a copy. `now_us` is never before the world's last instant; `agent` is
    None where what is seen is reported at once."""

    __slots__ = ("agent", "now_us", "world")

    def __init__(self, world: World, now_us: int, agent: AgentSide | None = None) -> None:
        self.world = world
        self.now_us = now_us
        self.agent = agent

    def copy(self) -> "State":
        """A branch that shares the frozen records."""
        agent = None if self.agent is None else self.agent.copy()
        return State(self.world.copy(), self.now_us, agent)
