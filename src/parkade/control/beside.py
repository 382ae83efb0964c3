"""A long clearing is decided beside the writer's turns, so that a submission need not wait for it.

Theory of operation. The clearing is decided in a copy of the world. Meanwhile the writer's turns
take views, and of each org's commands those at the head of its queue that may *go beside*:
submissions that wait for a clearing and do nothing else. Each is decided and evolved in the world
itself and committed before it is answered, as ever. Whatever may touch what the clearing sees waits
for its end: seats, bids, money, nodes, time. So the clearing's events fit the world when they are
evolved there, behind the submissions.

The present stands still meanwhile, as in any turn: the submissions and the clearing share an
instant. So the journal says which clearing saw what: it was decided at some place of its instant,
and between that place and its events are submissions alone (`sim.whatif.one_clearing` tries these
places). The next clearing sees the submissions. Decision record 273.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from parkade.control.cycle import Asked
from parkade.core.state.commands import RunClearing, Submit
from parkade.core.state.events import AnyEvent
from parkade.core.units.refusal import Refusal
from parkade.core.workloads.spec import CapacityKind

Decision = tuple[AnyEvent, ...] | Refusal
Decide = Callable[[], Decision]


class NoDecision(Exception):
    """What decided beside ended without one; nothing says that the decision itself is wrong."""


class Deciding(Protocol):
    """A decision under way."""

    def is_done(self) -> bool:
        """Without waiting."""
        ...

    def result(self) -> Decision:
        """Once it is done. NoDecision; DecisionFailed."""
        ...

    def give_up(self) -> None:
        """The result is not wanted any more."""
        ...


class DecisionFailed(Exception):
    """The decision raised; the text has its traceback."""


BeginBeside = Callable[[Decide, Callable[[], None]], Deciding | None]
"""Begins a decision on the world as it is now, whatever becomes of that later; the second argument
is called, from any thread, when it is done. None where it cannot be decided beside now."""


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """A clearing under way: of which markets, and since when on the steady clock."""

    clearing: RunClearing
    group: tuple[str, ...]
    started_us: int
    deciding: Deciding


def may_go_beside(asked: Asked) -> bool:
    """Whether it is a submission that a clearing under way cannot be about, and that is about
    nothing but itself."""
    command = asked.command
    if not isinstance(command, Submit):
        return False
    spec = command.spec
    is_single = not spec.entries and not spec.choices and spec.array is None
    waits_for_nothing = not spec.after and spec.deadline is None
    return spec.capacity.kind is CapacityKind.SPOT and is_single and waits_for_nothing
