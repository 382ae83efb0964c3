"""Recorded answers of several systems to the same questions: one JSON object a line.

Under each system's name stands what it said and whether that is right:

    {"small": {"answer": "18", "is_correct": true}, "large": {"answer": "17", "is_correct": false}}

In place of `answer`, `solution` may hold a whole text that ends with `A: 18`, as the published
solutions to GSM8K do. Answers agree where their texts are equal; numbers are read without signs of
money, thousands and percent.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parkade.compound.evaluate.cascade import RecordedAnswer
from parkade.compound.questions import QuestionError, read_rows


class BadRow(ValueError):
    """The file cannot be used; the message names the line."""


def read(path: Path, systems: Sequence[str]) -> list[dict[str, RecordedAnswer]]:
    """The answers of these systems to each question; raises BadRow."""
    try:
        found = [
            {system: _answer(row, system, f"{path}, line {number}") for system in systems}
            for number, row in read_rows(path)
        ]
    except QuestionError as error:
        raise BadRow(str(error)) from None
    if len(found) < 2:
        raise BadRow(f"{path}: needs at least two questions, one half to choose and one to measure")
    return found


def _answer(row: dict[str, Any], system: str, where: str) -> RecordedAnswer:
    given = row.get(system)
    if not isinstance(given, dict) or not isinstance(given.get("is_correct"), bool):
        raise BadRow(f"{where}: needs {system!r} with is_correct, and answer or solution")
    said = given.get("answer")
    if said is None:
        _, mark, said = str(given.get("solution", "")).rpartition("A:")
        said = said if mark else ""
    return RecordedAnswer(_normal(str(said)), given["is_correct"])


def _normal(answer: str) -> str:
    text = re.sub(r"[,$%\s]", "", answer)
    return text.removesuffix(".00").removesuffix(".")
