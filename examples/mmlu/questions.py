"""The questions of MixEval's MMLU subset as questions of a network, and their subjects.

A row has a `prompt`, four `options`, `target` (a list with the index of the right one) and an `id`.
The subset names no subjects: they come from a file, from a field `subject` of the rows, or from the
model, which is asked once for each question.
"""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import IO, cast

import msgspec

from parkade.compound.values import Question

LETTERS = "ABCD"
#: The groups into which the authors of MMLU sort its 57 subjects, in words for a model.
SUBJECTS = (
    "physics",
    "chemistry",
    "biology",
    "computer science",
    "mathematics",
    "engineering",
    "formal logic",
    "philosophy",
    "history",
    "geography",
    "religion",
    "politics",
    "culture",
    "economics",
    "psychology",
    "law",
    "business",
    "health",
    "other",
)


class BadRow(ValueError):
    """A line is no multiple-choice question; the message names the line."""


class _Row(msgspec.Struct, frozen=True):
    id: str | int
    prompt: str
    options: list[str]
    target: list[int]
    subject: str = ""


def read(path: Path, limit: int | None = None) -> list[Question]:
    """The questions of a file of JSON lines, plain or gzipped; BadRow says which line is wrong."""
    decode = msgspec.json.Decoder(_Row).decode
    found: list[Question] = []
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            if limit is not None and len(found) == limit:
                break
            try:
                found.append(_question(decode(line)))
            except (msgspec.DecodeError, ValueError) as error:
                raise BadRow(f"{path}, line {number}: {error}") from None
    return found


def subjects_of(path: Path) -> dict[str, str]:
    """The subject of each question by its id, from JSON lines with `id` and `subject`."""

    class Named(msgspec.Struct, frozen=True):
        id: str | int
        subject: str

    decode = msgspec.json.Decoder(Named).decode
    rows = (decode(line) for line in path.read_bytes().splitlines() if line.strip())
    return {str(row.id): row.subject for row in rows}


def read_subject(reply: str) -> str:
    """The group that a model names last; `other` where it names none."""
    lowered = reply.lower()
    return max(SUBJECTS, key=lambda name: (lowered.rfind(name), name == "other"))


def groups(questions: list[Question], named: Mapping[str, str]) -> dict[str, str]:
    """The group of every question; what has no name is `other`."""
    return {each.id: named.get(each.id) or each.fields["subject"] or "other" for each in questions}


def _question(row: _Row) -> Question:
    if len(row.options) != len(LETTERS) or len(row.target) != 1:
        raise ValueError("it needs four options and one target")
    if not 0 <= row.target[0] < len(LETTERS):
        raise ValueError("its target is the index of an option, 0 to 3")
    choices = zip(LETTERS, row.options, strict=True)
    prompt = "\n".join((row.prompt.strip(), *(f"{letter}. {text}" for letter, text in choices)))
    answer = LETTERS[row.target[0]]
    return Question(
        id=str(row.id), prompt=prompt, fields={"answer": answer, "subject": row.subject}
    )


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")
