"""Questions out of a file: JSON lines, plain or gzipped, read one by one.

Each line is an object. `prompt` (or `question`, `problem`, `input`) is the prompt, `id` (or
`task_id`) the id, by default the number of the line; all other keys are fields that templates and
verifiers may use. A bad line is an error that names its number; so are a second question with the
same id and a file without a question.
"""

import codecs
import gzip
import sys
import zlib
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from parkade.compound.run.index import AddressSet
from parkade.compound.values import Question
from parkade.compound.wrong_values import in_words

PROMPTS = ("prompt", "question", "problem", "input")
IDS = ("id", "task_id")
MAX_ID = 80
MAX_LINE = 16 * 1024 * 1024
#: Some editors and spreadsheets put it before a text in UTF-8; it means nothing.
BOM = codecs.BOM_UTF8

_ABSENT = object()
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class QuestionError(ValueError):
    """A file, or a line of it, holds no question; the message names it and what is wrong."""


def read_questions(path: Path) -> Iterator[Question]:
    """The questions of a file; `-` is standard input. Holds 9 bytes for each."""
    seen = AddressSet()
    count = 0
    for number, row in read_rows(path):
        try:
            question = question_of(row, number)
        except ValueError as error:
            raise QuestionError(f"{path}, line {number}: {error}") from None
        if not seen.put(_address(question.id)):
            raise _twice(path, number, question.id)
        count += 1
        yield question
    if count == 0:
        raise QuestionError(f"{path}: holds no question; write one JSON object a line")


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines, each with its line's number, from 1; QuestionError."""
    number = 0
    with _open(path) as file:
        while line := _line(file, path, number + 1):
            number += 1
            if number == 1:
                line = line.removeprefix(BOM)
            if line.strip():
                yield number, _row(line, path, number)


def count_questions(path: Path) -> int | None:
    """How many there are, each read and checked; None where the file can be read only once."""
    if str(path) == "-":
        return None
    return sum(1 for _ in read_questions(path))


def _address(identity: str) -> int:
    return int.from_bytes(blake2b(identity.encode(), digest_size=8).digest(), "big")


def _twice(path: Path, number: int, identity: str) -> QuestionError:
    """Where the id stood before is looked up, since only its address was kept."""
    before = "an earlier line"
    if str(path) != "-":
        same = (at for at, row in read_rows(path) if question_of(row, at).id == identity)
        before = f"line {next(same)}"
    return QuestionError(
        f"{path}, line {number}: the id {identity[:MAX_ID]!r} stands in {before} as well; "
        "each question needs its own id"
    )


def question_of(row: dict[str, Any], number: int) -> Question:
    """The question of one row; ValueError if it has no prompt."""
    fields = dict(row)
    prompt = _first(fields, PROMPTS)
    if not isinstance(prompt, str):
        raise ValueError(f"it needs a text under one of {', '.join(PROMPTS)}")
    named = _first(fields, IDS)
    identity = str(number if named is _ABSENT else named)
    return Question(id=identity, prompt=prompt, fields=fields)


def _first(fields: dict[str, Any], names: tuple[str, ...]) -> Any:
    """Takes the first of the names that there is out of the fields."""
    for name in names:
        if name in fields:
            return fields.pop(name)
    return _ABSENT


def _line(file: IO[bytes], path: Path, number: int) -> bytes:
    try:
        return file.readline(MAX_LINE)
    except (EOFError, OSError, zlib.error) as error:
        raise QuestionError(f"{path}, line {number}: cannot be read: {error}") from None


def _row(line: bytes, path: Path, number: int) -> dict[str, Any]:
    if not line.endswith(b"\n") and len(line) >= MAX_LINE:
        raise QuestionError(f"{path}, line {number}: longer than {MAX_LINE} bytes")
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        why = in_words(error).replace("Input data was truncated", "its JSON has no end")
        hint = "" if why != str(error) or line[:1] == b"{" else "; write one JSON object a line"
        raise QuestionError(f"{path}, line {number}: {why}{hint}") from None


def _open(path: Path) -> IO[bytes]:
    if str(path) == "-":
        return sys.stdin.buffer
    try:
        if path.suffix == ".gz":
            return cast(IO[bytes], gzip.open(path, "rb"))
        return path.open("rb")
    except OSError as error:
        raise QuestionError(
            f"cannot read {path}: {error.strerror}; "
            "give a file of JSON lines, or - for standard input"
        ) from None
