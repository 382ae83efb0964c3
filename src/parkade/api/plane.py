"""The control plane as the API sees it: commands in, committed state out.

A protocol, so that tests may put something small in its place; `control.plane.Plane` fits it.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol, TypeVar

from parkade.control.answers import Decided, Health, Planned
from parkade.control.cycle import Asked
from parkade.control.viewers import Viewer
from parkade.core.clearing.plan import Plan
from parkade.core.state.commands import Submit
from parkade.core.state.events import AnyEvent
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal
from parkade.ports import DesiredState, LogRequest, Observation, StatedTransfer

T = TypeVar("T")


class Plane(Protocol):
    """Every method answers from, or after, what is committed.

    `viewer`, `present_us`, `has_pool`, `health`, `events` and `desired` never wait for the writer.
    """

    def viewer(self, digest: str) -> Viewer | None:
        """The user of a token that is not revoked, by the token's digest."""
        ...

    def present_us(self) -> int:
        """The writer's present."""
        ...

    def has_pool(self, pool: str) -> bool:
        """Whether there is such a pool."""
        ...

    async def ask(self, asked: Asked) -> Decided | Refusal:
        """Returns after the batch is committed; a repeated request gets the stored outcome."""
        ...

    async def read(self, view: Callable[[World, int], T]) -> T:
        """What a pure function makes of the committed world and the present instant."""
        ...

    def plan(self, world: World, command: Submit, now_us: int) -> tuple[Plan, Planned] | Refusal:
        """A view: what the next clearing would do with it, and what would be launched."""
        ...

    def unsupported(self, world: World, command: Submit) -> Refusal | None:
        """A view: the refusal of a spec that no engine of the market can carry out."""
        ...

    async def rendered(self, planned: Planned) -> str | None:
        """The exact command of a planned attempt, where its engine is at hand."""
        ...

    async def statement(
        self, account: str, *, from_us: int | None, to_us: int | None
    ) -> Sequence[StatedTransfer]:
        """The transfers of an account in [from_us, to_us)."""
        ...

    def events(self, *, after: int) -> AsyncIterator[tuple[int, AnyEvent]]:
        """Committed events, in order, then as they come."""
        ...

    def health(self) -> Health:
        """How the writer is doing."""
        ...

    async def desired(
        self, pool: str, *, after: tuple[int, int] | None, wait_s: float
    ) -> DesiredState | None:
        """The pool's desired state once it is newer than `after`; None if it is not in time."""
        ...

    async def observe(self, pool: str, observation: Observation) -> None:
        """An agent's observation."""
        ...

    def logs(
        self, pool: str, attempt: str, rank: int, *, offset: int, follow: bool
    ) -> AsyncIterator[bytes]:
        """The output of a rank, relayed from its agent."""
        ...

    async def log_requests(self, pool: str, *, wait_s: float) -> Sequence[LogRequest]:
        """Output that somebody waits for."""
        ...

    async def log_chunk(self, pool: str, request: str, chunk: bytes, is_last: bool) -> bool:
        """A part of it; false where nobody waits for more."""
        ...
