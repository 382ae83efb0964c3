"""The questions that failed in the latest start of a run: a line each in `failures.jsonl`.

The file begins empty at each start, since a question that failed is asked again. A line has the
version, the question's id, the digests of question and network, and what went wrong.
"""

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


def failed_question(path: Path, identity: str) -> FailedQuestion | None:
    """The failed question with this id; None if there is none, or no such file."""
    decoder = msgspec.json.Decoder(FailedQuestion)
    needle = msgspec.json.encode(identity)
    try:
        with path.open("rb") as file:
            for line in file:
                if needle in line and line.endswith(b"\n"):
                    failed = decoder.decode(line)
                    if failed.id == identity:
                        return failed
    except FileNotFoundError:
        return None
    return None
