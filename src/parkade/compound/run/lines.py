"""The lines of a journal: written for ever, so fields and kinds of lines are only ever added.

A journal is JSON lines. The first is the header of version 1. Before the first line of a kind that
version 2 added stands a header of version 2, at which an older Parkade stops in words. Then, in the
order in which things ended:

- `call`: a completion, the cache entry and the bill of one call;
- `shared`: a question was given a call that another question had made (version 2);
- `failed`: a call that gave none, with what the server may bill for it;
- `verdict`: what a verifier said about a candidate;
- `promise`: from here on, so much may be in flight or not durable (`budget` says why).
"""

from typing import TypeAlias

import msgspec

VERSION = 1
#: Of journals with `shared` lines.
SHARING = 2
FORMAT = "parkade compound journal"
#: Left out of the line; the very object, since the encoder compares defaults by identity.
NO_MESSAGE = msgspec.Raw()


class Header(msgspec.Struct, frozen=True, tag_field="is", tag="journal"):
    """The first line, and the one before the first of a later version's lines."""

    format: str
    version: int


class _Line(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="is", omit_defaults=True
):
    """Base of the lines."""


class CallLine(_Line, frozen=True, kw_only=True, gc=False, tag="call"):
    """A finished call."""

    key: str
    #: Question, node of the network and sample for which it was made; later calls may share it.
    question: str
    node: int
    model: str
    sample: int
    input: int
    output: int
    #: Whole micro-units.
    cost: int
    us: int
    finish: str
    text: str
    message: msgspec.Raw = NO_MESSAGE
    #: Of its prompt, where another sample of the same request paid for it; not in `cost`.
    shared: int = 0
    #: Key of the call whose candidate it judges or improves; "": of none, or not written down.
    of: str = ""
    #: The server said no usage that can be: `input`, `output` and `cost` are the most it may be.
    most: bool = False


class SharedLine(_Line, frozen=True, kw_only=True, gc=False, tag="shared"):
    """A question was given the call of this key, which another question had made and paid for."""

    key: str
    question: str
    node: int
    #: As in CallLine.
    of: str = ""


class FailedLine(_Line, frozen=True, kw_only=True, gc=False, tag="failed"):
    """A call without a completion. `cost`, `tokens` and `calls` stay counted as doubtful."""

    key: str
    question: str
    node: int
    model: str
    why: str
    cost: int
    tokens: int
    calls: int


class VerdictLine(_Line, frozen=True, kw_only=True, gc=False, tag="verdict"):
    """A verdict; `of` is the key of the call that made the candidate, "" for a function's.

    A plain function's verdict has no key: it is told, and given anew when it is needed again.
    """

    key: str
    question: str
    node: int
    of: str
    verifier: str
    accepted: bool
    us: int
    score: float | None = None
    reason: str = ""
    #: Micro-units of a model verifier's votes; they are on the bill as calls.
    cost: int = 0


class PromiseLine(_Line, frozen=True, kw_only=True, gc=False, tag="promise"):
    """The most that is in flight from here on and not in any line yet.

    The first three are durable before calls start that need them, and hold after a crash of the
    machine. `now` is written and not made durable, so it counts only while the same `boot` lasts.
    """

    cost: int
    tokens: int
    calls: int
    #: Money, tokens and calls; much nearer to what is in flight.
    now: tuple[int, int, int] | None = None
    #: The kernel's name for the time since the machine started.
    boot: str = ""


Line: TypeAlias = Header | CallLine | SharedLine | FailedLine | VerdictLine | PromiseLine


class CallHead(msgspec.Struct, frozen=True, gc=False, tag_field="is", tag="call"):
    """What resuming reads of a call."""

    key: str
    input: int
    output: int
    cost: int


class VerdictHead(msgspec.Struct, frozen=True, gc=False, tag_field="is", tag="verdict"):
    """What resuming reads of a verdict."""

    key: str


class SharedHead(msgspec.Struct, frozen=True, gc=False, tag_field="is", tag="shared"):
    """Resuming reads nothing of it."""


Head: TypeAlias = Header | CallHead | SharedHead | FailedLine | VerdictHead | PromiseLine
