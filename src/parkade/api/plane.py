"""The control plane as the API sees it: commands in, committed state out.

A protocol, so that tests may put something small in its place; `control.plane.Plane` fits it.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol, TypeVar

from parkade.control.answers import Decided, Health, Idempotency, LogRequest
from parkade.core.clearing.plan import Plan
from parkade.core.state.commands import AnyCommand, Submit
from parkade.core.state.events import AnyEvent
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal
from parkade.ports import DesiredState, Observation, StatedTransfer

T = TypeVar("T")


class Plane(Protocol):
    """Every method answers from, or after, what is committed."""

    async def execute(
        self, command: AnyCommand, *, idempotency: Idempotency | None = None
    ) -> Decided | Refusal:
        """Returns after the batch is committed; a repeated request gets the stored outcome."""
        ...

    async def read(self, view: Callable[[World, int], T]) -> T:
        """What a pure function makes of the committed world and the present instant."""
        ...

    async def rendered(self, plan: Plan) -> str | None:
        """The exact command of a planned attempt, where its engine is at hand."""
        ...

    async def plan(self, command: Submit) -> Plan | Refusal:
        """What the next clearing would do with it."""
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

    def logs(self, attempt: str, rank: int, *, offset: int, follow: bool) -> AsyncIterator[bytes]:
        """The output of a rank, relayed from its agent."""
        ...

    async def log_requests(self, pool: str, *, wait_s: float) -> Sequence[LogRequest]:
        """Output that somebody waits for."""
        ...

    async def log_chunk(self, pool: str, request: str, chunk: bytes, is_last: bool) -> bool:
        """A part of it; false where nobody waits for more."""
        ...
