"""What a run leaves for each question: one line of `results.jsonl`, and which are done already.

A line names the digests of its question and its network. A resumed run skips a question whose line
has the same two; a changed question, template or network is run again, and the journal answers what
has not changed. Of a question's lines the last of the network that ran last counts. A torn last
line is cut off.
"""

import os
from pathlib import Path

import msgspec

from parkade.compound.run.index import AddressSet, address_of, expected_lines

VERSION = 1

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


class _Head(msgspec.Struct, frozen=True, gc=False):
    question: str
    network: str


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
        self._done = AddressSet(expected_lines(path))
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
        decoder = msgspec.json.Decoder(_Head)
        place = 0
        self._file.seek(0)
        with os.fdopen(os.dup(self._file.fileno()), "rb", buffering=1 << 20) as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    head = decoder.decode(line)
                except msgspec.DecodeError as error:
                    raise ResultError(
                        f"{self.path}: the line at byte {place} is damaged ({error}); remove it, "
                        "or the whole file: the journal makes it again without a new call"
                    ) from None
                place += len(line)
                if head.network == self.network:
                    self._done.add(address_of(head.question))
                else:
                    self.of_others += 1
        self._done.close()
        os.ftruncate(self._file.fileno(), place)
