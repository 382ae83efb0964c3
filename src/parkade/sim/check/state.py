"""A state of the search: a world, the present, and (where it is searched) what agents know."""

from parkade.core.state.world import World


class State:
    """Mutable; a branch is a copy. `now_us` is never before the world's last instant."""

    __slots__ = ("now_us", "world")

    def __init__(self, world: World, now_us: int) -> None:
        self.world = world
        self.now_us = now_us

    def copy(self) -> "State":
        """A branch that shares the frozen records."""
        return State(self.world.copy(), self.now_us)
