"""The questions that failed in the latest start of a run: a line each in `failures.jsonl`.

The file begins empty at each start, since a question that failed is asked again. A line has the
version, the question's id, the digests of question and network, and what went wrong.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

FAILURES = "failures.jsonl"
VERSION = 1

_encoder = msgspec.json.Encoder()


class FailedQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A question without an answer, because calls, a verifier or a template failed."""

    v: int
    id: str
    question: str
    network: str
    #: The first few, each "kind: message".
    failures: tuple[str, ...]


class Failures:
    """The file, open for writing."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def add(self, failed: FailedQuestion) -> None:
        """Keep a failed question."""
        self._file.write(_encoder.encode(failed) + b"\n")

    def flush(self) -> None:
        """Write what is kept."""
        self._file.flush()

    def close(self) -> None:
        """Write and close."""
        self._file.close()


def read_failures(path: Path) -> Iterator[FailedQuestion]:
    """All of a file's whole lines; none where there is no file."""
    decode = msgspec.json.Decoder(FailedQuestion).decode
    return (decode(line) for line in _lines(path))


def failed_question(path: Path, identity: str) -> FailedQuestion | None:
    """The failed question with this id; None if there is none, or no such file."""
    decode = msgspec.json.Decoder(FailedQuestion).decode
    needle = msgspec.json.encode(identity)
    asked = (decode(line) for line in _lines(path) if needle in line)
    return next((failed for failed in asked if failed.id == identity), None)


def _lines(path: Path) -> Iterator[bytes]:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        yield from (line for line in file if line.endswith(b"\n"))
