"""What a run leaves for each question: one line of `results.jsonl`, and which are done already.

A line names the digests of its question and its network. A resumed run skips a question whose line
has the same two; a changed question, template or network is run again, and the journal answers what
has not changed. Of a question's lines the last of the network that ran last counts. A torn last
line is cut off.
"""

import os
from pathlib import Path

import msgspec

from parkade.compound.run.index import AddressSet, address_of
from parkade.compound.run.scanning import BATCH_BYTES, DamagedLine, LineBatch, batches
from parkade.core.units.money import format_amount

VERSION = 1
#: What the id of a question begins with that a client of a served network asked.
SERVED = "chatcmpl-"

_encoder = msgspec.json.Encoder()


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to one question; money in micro-units, time in microseconds."""

    v: int
    id: str
    #: None where the network abstained or everything failed.
    answer: str | None
    #: None where nothing verified it.
    accepted: bool | None
    calls: int
    cached: int
    cost: int
    input: int
    output: int
    us: int
    question: str
    network: str
    score: float | None = None
    model: str = ""
    #: The content address of the call that made the answer.
    key: str = ""
    #: All candidates that the network gave, where they are more than one.
    candidates: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    #: How its operators chose: the tally of a vote, a tie, replies that name no candidate.
    notes: tuple[str, ...] = ()
    #: How the call that made the answer ended, such as "length"; and the model's words where it
    #: refused.
    finish: str = "stop"
    refusal: str = ""

    @property
    def has_failed(self) -> bool:
        """Whether it has no answer because calls, a verifier, a function or a template failed."""
        return self.answer is None and bool(self.failures)

    def __repr__(self) -> str:
        """What a reader wants to know first."""
        parts = [f"id={self.id!r}", f"answer={self.answer!r}", f"accepted={self.accepted}"]
        parts += [f"score={self.score}"] if self.score is not None else []
        parts += [f"calls={self.calls}", f"cost={format_amount(self.cost)}"]
        parts += [f"candidates={len(self.candidates)}"] if self.candidates else []
        parts += [f"failures={self.failures}"] if self.failures else []
        parts += [f"notes={self.notes}"] if self.notes and self.answer is None else []
        return f"Result({', '.join(parts)})"


class _Head(msgspec.Struct, frozen=True, gc=False):
    question: str
    network: str


_head = msgspec.json.Decoder(_Head).decode


class ResultError(Exception):
    """The file of results cannot be used; the message says why and what to do."""


class Results:
    """The file of results, open for appending."""

    def __init__(self, path: Path, network: str) -> None:
        self.path = path
        self.network = network
        self.accepted = 0
        #: Lines that other networks left in the file.
        self.of_others = 0
        self._done = AddressSet()
        self._file = path.open("a+b", buffering=0)
        self._pending: list[bytes] = []
        self._scan()

    def is_done(self, question_digest: str) -> bool:
        """Whether this network had answered exactly this question when the file was opened."""
        return address_of(question_digest) in self._done

    def add(self, result: Result) -> None:
        """Keep a result; written by `flush`, after the journal's lines."""
        self._pending.append(_encoder.encode(result) + b"\n")

    def pending(self) -> int:
        """Results not yet written."""
        return len(self._pending)

    def flush(self) -> None:
        """Write what is kept."""
        if self._pending:
            view = memoryview(b"".join(self._pending))
            self._pending.clear()
            while view:
                view = view[self._file.write(view) :]

    def close(self) -> None:
        """Write, make durable, close."""
        self.flush()
        os.fsync(self._file)
        self._file.close()

    def _scan(self) -> None:
        end = 0
        with os.fdopen(os.dup(self._file.fileno()), "rb", buffering=BATCH_BYTES) as file:
            file.seek(0)
            try:
                for batch in batches(file, _head):
                    self._read(batch)
                    end = batch.end
            except DamagedLine as error:
                raise ResultError(
                    f"{self.path}: the line at byte {error.place} is damaged ({error}); remove it, "
                    "or the whole file: the journal makes it again without a new call"
                ) from None
        self._done.sort()
        os.ftruncate(self._file.fileno(), end)

    def _read(self, batch: LineBatch[_Head]) -> None:
        done = [head.question for head in batch.values if head.network == self.network]
        self.of_others += len(batch.values) - len(done)
        try:
            self._done.add(done)
        except ValueError:
            raise DamagedLine(batch.places[0], "its question is no digest") from None
