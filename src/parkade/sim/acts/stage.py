"""What an act may see and do: the world, the simulated doors, and requests as people make them."""

from collections.abc import Callable
from typing import Protocol

from parkade.core.state import commands
from parkade.core.state.world import World
from parkade.sim.clocks import SimulatedClock
from parkade.sim.fleet import Fleet
from parkade.sim.loop import SimulatedLoop
from parkade.sim.pool import SimulatedPool
from parkade.sim.server import Server
from parkade.sim.store import Disk

Then = Callable[[str], commands.AnyCommand]


class Stage(Protocol):
    """One story as its acts see it."""

    fleet: Fleet
    loop: SimulatedLoop
    clock: SimulatedClock
    server: Server
    pools: tuple[SimulatedPool, ...]
    backup: Disk | None
    has_other_time: bool
    """Whether the wall clock was ever set."""

    @property
    def world(self) -> World | None:
        """As of the last event; None before the first."""
        ...

    def has(self, family: str) -> bool:
        """Whether this story has a family of faults."""
        ...

    def present_us(self) -> int:
        """What people take for now."""
        ...

    def pool_of(self, node: str) -> SimulatedPool:
        """The pool of a node."""
        ...

    def ask(
        self, command: commands.AnyCommand, *, then: Then | None = None, after_s: float = 0
    ) -> None:
        """A request, repeated under its key until it is answered. `then`: of the workload that it
        made, so long after the answer."""
        ...

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Something that follows by itself."""
        ...

    def disturb(self, span_us: int) -> None:
        """Promises to owners are not measured strictly for so long, and a while after."""
        ...

    def restore(self, *, accepts: bool) -> None:
        """The last backup takes the journal's place; `accepts`: agents shall obey it."""
        ...
