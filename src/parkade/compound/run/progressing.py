"""A question that has begun, what it has used, and what an engine has done in all."""

import asyncio

import msgspec

from parkade.compound.run.lane import Flight
from parkade.compound.run.machine import Machine
from parkade.compound.run.reasons import Reasons
from parkade.compound.values import Completion


class RunStopped(Exception):
    """A model answers no call (a dead server); the message says which, and what to do."""


class ModelDenied(RunStopped):
    """A model refuses every call: its key is wrong, or it is unknown; the message says which."""


class ServerFailed(RunStopped):
    """The model server that a network starts does not come up; the message says why, with its last
    lines."""

    def __init__(self, why: str, last_lines: tuple[str, ...] = ()) -> None:
        shown = "".join(f"\n  {line}" for line in last_lines)
        super().__init__(f"{why}; its last lines:{shown}" if last_lines else why)
        #: The same for servers that fail in the same way.
        self.why = why
        self.last_lines = last_lines


class VerifierBroken(RunStopped):
    """The first verdicts of a verifier all failed; the message says why."""

    def __init__(self, verifier: str, what: str) -> None:
        super().__init__(f"verifier {verifier!r} {what}")
        self.verifier = verifier


class Progressing:
    """A question that has begun, and what it has used."""

    __slots__ = (
        "began",
        "cached",
        "calls",
        "cost_micros",
        "flights",
        "input",
        "machine",
        "output",
        "tasks",
    )

    def __init__(self, machine: Machine, began: float) -> None:
        self.machine = machine
        self.began = began
        self.flights: dict[int, Flight] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.calls = 0
        #: Calls that the journal answered, or another question's.
        self.cached = 0
        self.cost_micros = 0
        self.input = 0
        self.output = 0


class Counts(msgspec.Struct):
    """What the engine has done so far; read it while it runs."""

    questions: int = 0
    calls: int = 0
    cached: int = 0
    retries: int = 0
    failed: int = 0
    cancelled: int = 0
    verdicts: int = 0
    accepted: int = 0
    #: Verdicts that a verifier failed to give.
    broken_verdicts: int = 0
    broken: Reasons = msgspec.field(default_factory=Reasons)
    is_budget_spent: bool = False
    #: Answers that `max_tokens` cut, that a filter stopped, and that hold no text.
    cut_answers: int = 0
    filtered: int = 0
    empty: int = 0
    #: Answers of whose usage their server said nothing that can be.
    without_usage: int = 0
    #: Until when servers asked to be left alone, on the monotonic clock, by model.
    asked_until_us: dict[str, int] = {}
    #: Calls that an answer file of a batch is to bring, and why lines of such a file held none.
    waiting: int = 0
    failed_lines: Reasons = msgspec.field(default_factory=Reasons)

    def note_finish(self, completion: Completion) -> None:
        """Count an answer that is not whole, or of which its server does not say enough."""
        self.without_usage += completion.is_usage_missing
        if completion.finish == "length":
            self.cut_answers += 1
        elif completion.finish == "content_filter":
            self.filtered += 1
        elif not completion.text:
            self.empty += 1
