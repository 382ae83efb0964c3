"""What was recorded of a run, and what a question's candidates add up to.

A file of outcomes is JSON lines. Its first line is `{"kind": "outcomes", "version": 1}`; every
other line is one candidate or, where only numbers are known, the counts of one question:

    {"kind": "candidate", "question": "q1", "is_correct": true, "is_accepted": false,
     "answer": "18", "cost_micros": 120, "latency_us": 41000}
    {"kind": "counts", "question": "q2", "samples": 10000, "correct": 122}

`is_correct` is null where no label is known, `is_accepted` where no verifier was asked. Memory
grows with questions and their distinct answers, never with candidates: lines are added up as they
are read. A question may come in several places of a file; its lines are added together.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from parkade.compound.wrong_values import in_words

VERSION = 1
MOST_LINE_BYTES = 1 << 20
MOST_ANSWER_CHARACTERS = 200


class OutcomesUnreadable(ValueError):
    """A file of outcomes cannot be read; the message names the line and what is wrong in it."""


class OutcomesHeader(msgspec.Struct, frozen=True, kw_only=True, tag="outcomes", tag_field="kind"):
    """The first line."""

    version: int


class CandidateOutcome(
    msgspec.Struct, frozen=True, kw_only=True, tag="candidate", tag_field="kind"
):
    """One candidate: right or not, accepted or not, and what it cost with its check."""

    question: str
    is_correct: bool | None
    is_accepted: bool | None = None
    # Its normal form, so that equal answers are equal texts; None where answers are not compared.
    answer: str | None = None
    cost_micros: int = 0
    latency_us: int = 0
    # Of its prompt, where another candidate of the same request paid for it; not in `cost_micros`.
    shared_micros: int = 0


class CountsOutcome(msgspec.Struct, frozen=True, kw_only=True, tag="counts", tag_field="kind"):
    """How many of a question's samples were right; no verifier, no cost."""

    question: str
    samples: int
    correct: int

    def __post_init__(self) -> None:
        """Refuse counts that cannot be."""
        if not 0 <= self.correct <= self.samples:
            raise ValueError(f"correct {self.correct} must lie in 0..samples {self.samples}")


Outcome = CandidateOutcome | CountsOutcome


class Tally(msgspec.Struct, kw_only=True):
    """A question's candidates added up; the four corners of the verifier's confusion, and more."""

    question: str
    accepted_right: int = 0
    accepted_wrong: int = 0
    rejected_right: int = 0
    rejected_wrong: int = 0
    # Labelled, but no verifier was asked.
    unverified_right: int = 0
    unverified_wrong: int = 0
    unlabelled: int = 0
    cost_micros: int = 0
    latency_us: int = 0
    # As in `CandidateOutcome`, and of how many candidates.
    shared_micros: int = 0
    sharing: int = 0
    # Votes and whether the answer is right, by answer.
    answers: dict[str, tuple[int, bool]] = {}

    @property
    def right(self) -> int:
        """Labelled candidates that are right."""
        return self.accepted_right + self.rejected_right + self.unverified_right

    @property
    def wrong(self) -> int:
        """Labelled candidates that are wrong."""
        return self.accepted_wrong + self.rejected_wrong + self.unverified_wrong

    @property
    def samples(self) -> int:
        """Labelled candidates."""
        return self.right + self.wrong

    @property
    def candidates(self) -> int:
        """All candidates, labelled or not."""
        return self.samples + self.unlabelled

    @property
    def verified(self) -> int:
        """Labelled candidates with a verdict."""
        return self.samples - self.unverified_right - self.unverified_wrong

    @property
    def alone_micros(self) -> float:
        """A candidate in the mean, had each paid for its own prompt."""
        return (self.cost_micros + self.shared_micros) / self.candidates

    def add(self, outcome: Outcome) -> None:
        """Add one line; the question's name is the caller's business."""
        match outcome:
            case CountsOutcome(samples=samples, correct=correct):
                self.unverified_right += correct
                self.unverified_wrong += samples - correct
            case CandidateOutcome():
                self._add_candidate(outcome)

    def _add_candidate(self, outcome: CandidateOutcome) -> None:
        self.cost_micros += outcome.cost_micros
        self.latency_us += outcome.latency_us
        self.shared_micros += outcome.shared_micros
        self.sharing += outcome.shared_micros > 0
        if outcome.is_correct is None:
            self.unlabelled += 1
            return
        verdict = {True: "accepted", False: "rejected", None: "unverified"}[outcome.is_accepted]
        corner = f"{verdict}_{'right' if outcome.is_correct else 'wrong'}"
        setattr(self, corner, getattr(self, corner) + 1)
        if outcome.answer is not None:
            answer = outcome.answer[:MOST_ANSWER_CHARACTERS]
            votes, _ = self.answers.get(answer, (0, False))
            self.answers[answer] = (votes + 1, outcome.is_correct)


def tally(outcomes: Iterable[Outcome]) -> tuple[Tally, ...]:
    """One tally a question, in the order in which questions first came."""
    found: dict[str, Tally] = {}
    for outcome in outcomes:
        if outcome.question not in found:
            found[outcome.question] = Tally(question=outcome.question, answers={})
        found[outcome.question].add(outcome)
    return tuple(found.values())


_DECODER = msgspec.json.Decoder(OutcomesHeader | CandidateOutcome | CountsOutcome)


def read_outcomes(path: Path) -> Iterator[Outcome]:
    """The lines of a file, one at a time; raises `OutcomesUnreadable`."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise OutcomesUnreadable(f"cannot read {path}: {error.strerror}") from None
    with file:
        number = 0
        while line := file.readline(MOST_LINE_BYTES + 1):
            number += 1
            found = _decode(path, number, line)
            if isinstance(found, OutcomesHeader) is not (number == 1):
                raise OutcomesUnreadable(
                    f"{path}, line {number}: the first line, and no other, must be"
                    f' {{"kind": "outcomes", "version": {VERSION}}}'
                )
            if not isinstance(found, OutcomesHeader):
                yield found
        if number == 0:
            raise OutcomesUnreadable(f"{path} is empty")


def _decode(path: Path, number: int, line: bytes) -> OutcomesHeader | Outcome:
    if len(line) > MOST_LINE_BYTES:
        raise OutcomesUnreadable(f"{path}, line {number}: longer than {MOST_LINE_BYTES} bytes")
    try:
        found: OutcomesHeader | Outcome = _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OutcomesUnreadable(f"{path}, line {number}: {in_words(error)}") from None
    if isinstance(found, OutcomesHeader) and found.version != VERSION:
        raise OutcomesUnreadable(
            f"{path} is of version {found.version}; this Parkade reads version {VERSION}"
        )
    return found


def encode_outcomes(outcomes: Iterable[Outcome]) -> Iterator[bytes]:
    """The lines of a file, header first, each with its newline."""
    yield msgspec.json.encode(OutcomesHeader(version=VERSION)) + b"\n"
    for outcome in outcomes:
        yield msgspec.json.encode(outcome) + b"\n"
