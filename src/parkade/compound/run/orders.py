"""What a machine and its engine say to each other, and what frames hear.

Orders go out (`Ask`, `Check`, `Apply`, `Drop`, `Judged`), events come in (`Finished`), and between
frames go `Came`, `Over` and `Pulled`. `machine` has the theory.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from parkade.compound.models.protocol import Failure
from parkade.compound.run.given import Use
from parkade.compound.values import Call, Candidate, Verdict

MAX_ITEMS = 10_000


class Item(msgspec.Struct, frozen=True, gc=False):
    """A candidate on its way, with the last verdict on it."""

    candidate: Candidate
    verdict: Verdict | None = None
    #: Of a rank, where no verdict carries it: a score says nothing about acceptance.
    score: float | None = None


class Ask(msgspec.Struct, frozen=True, gc=False):
    """Make this call."""

    ticket: int
    call: Call
    node: int
    #: Key of the call whose candidate it is about; "" if it is about no single one.
    of: str


class Check(msgspec.Struct, frozen=True, gc=False):
    """Have this candidate verified by a Verifier or a function."""

    ticket: int
    verifier: Any
    candidate: Candidate
    node: int


class Apply(msgspec.Struct, frozen=True, gc=False):
    """Call this function; `use` says what it must give."""

    ticket: int
    use: Use
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    node: int


class Drop(msgspec.Struct, frozen=True, gc=False):
    """This ticket is not needed any more: cancel what runs for it."""

    ticket: int


class Judged(msgspec.Struct, frozen=True, gc=False):
    """A model verifier is done with a candidate: write down what it said. It has no ticket."""

    #: The model verifier, as the summary names it, and a digest of what it asks.
    verifier: str
    version: str
    candidate: Candidate
    node: int
    verdict: Verdict
    #: Of all its votes: micro-units, and the time of the slowest.
    cost_micros: int
    us: int
    #: Whether no vote is lacking; a verdict of fewer is not kept.
    is_complete: bool
    #: Why there is no verdict; None if there is one.
    broken: str | None = None


Order: TypeAlias = Ask | Check | Apply | Drop | Judged


class Finished(msgspec.Struct, frozen=True, gc=False):
    """What came of an order."""

    ticket: int
    value: Any


class Came(msgspec.Struct, frozen=True, gc=False):
    """A source gave a candidate."""

    source: Any
    item: Item


class Over(msgspec.Struct, frozen=True, gc=False):
    """A source has no more candidates."""

    source: Any


class Pulled(msgspec.Struct, frozen=True, gc=False):
    """One more candidate of this frame is wanted."""


PULLED = Pulled()
#: The first event of a frame: its generator runs to its first yield and does not see it.
START = Pulled()
Event: TypeAlias = Finished | Came | Over | Pulled


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a network made of a question."""

    #: In the order in which they came; the first is the answer. At most MAX_ITEMS.
    items: tuple[Item, ...]
    #: How many candidates came in all.
    count: int
    #: The first few; a call that failed although others served.
    failures: tuple[Failure, ...]
    #: The money, token or call budget kept the network from finishing.
    is_cut_short: bool
    #: A later run brings an answer that it may depend on: until then it is none.
    is_waiting: bool
    #: How operators chose, and where a reply could not be read; the first few.
    notes: tuple[str, ...] = ()
