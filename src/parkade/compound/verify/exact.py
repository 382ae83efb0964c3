"""Verifiers that compare an answer with the question's reference: number, text, choice, JSON.

Each is an `Exact`: where to find the answer in the text (`extract`), how to compare it, and the
field of the question that has the reference, "answer" by default. A question without that field is
an error and no rejection.
"""

import functools
import json
import re
from collections.abc import Callable
from typing import Any

from parkade.compound.values import MAX_REASON, Candidate, Question, Verdict
from parkade.compound.verify import compare, extract

#: Goes up when a comparison or an extraction changes what it accepts.
RULES = 1
MOST_SHOWN = 200
MOST_SEARCHED = 100_000

Compare = Callable[[str, Any], bool]
Misfit = Callable[[Any], str | None]


class NoReference(Exception):
    """A question lacks what its verifier needs; the message names question and field."""


class Exact:
    """Accepts a candidate whose answer equals the question's reference."""

    def __init__(
        self,
        name: str,
        *,
        extract: extract.Extract,
        compare: Compare,
        field: str,
        settings: str,
        misfit: Misfit | None = None,
    ) -> None:
        """`settings` says in words all that changes what is accepted, for `version`; `misfit` why
        no answer equals a reference, if none can."""
        self.name = name
        #: Fields of a question without which it cannot say anything.
        self.needs = (field,)
        self._extract = extract
        self._compare = compare
        self._field = field
        self._settings = settings
        self._misfit = misfit

    def fault(self, question: Question) -> str | None:
        """Why the question's reference is none, as an end of a sentence; None if it is one."""
        expected = reference(question, self._field)
        misfit = None if self._misfit is None else self._misfit(expected)
        return None if misfit is None else f"the field {self._field!r} {misfit}"

    def version(self) -> str:
        """The rules of this module and the settings."""
        return f"{RULES};{self._field};{self._settings}"

    async def verify(self, question: Question, candidate: Candidate) -> Verdict:
        """The verdict, at once."""
        return self.judge(question, candidate.text)

    def answer(self, text: str) -> str | None:
        """The answer that a text holds, as it stands there; None without one."""
        return self._extract(text)

    def judge(self, question: Question, text: str) -> Verdict:
        """The verdict on a text; `NoReference` if the question has none."""
        expected = reference(question, self._field)
        given = self._extract(text)
        if given is None:
            return Verdict(is_accepted=False, reason="no answer was found in the text")
        if self._compare(given, expected):
            return Verdict(is_accepted=True)
        reason = f"the answer is {_short(given)}, not {_short(expected)}"
        return Verdict(is_accepted=False, reason=reason[:MAX_REASON])


def reference(question: Question, field: str) -> Any:
    """A field of a question; `NoReference` if it is not there."""
    try:
        return question.fields[field]
    except KeyError:
        raise NoReference(f"question {question.id[:MOST_SHOWN]!r} has no field {field!r}") from None


def exact_number(
    *,
    find: extract.Extract = extract.last_number,
    relative: float = 0.0,
    absolute: float = 0.0,
    field: str = "answer",
) -> Exact:
    """Numbers, exact or within a tolerance (see `compare.number` for the normal forms)."""
    if not (0 <= relative < 1 and 0 <= absolute < float("inf")):
        raise ValueError("a tolerance is 0 or more, and a relative one below 1")

    def same(given: str, expected: Any) -> bool:
        wanted = _reference_number(str(expected), find)
        return compare.is_same_number(given, wanted, relative=relative, absolute=absolute)

    def misfit(expected: Any) -> str | None:
        # Asked of each question before a run, and most references are such.
        if type(expected) is int:
            return None
        wanted = _reference_number(str(expected), find)
        return "holds no number" if compare.number(wanted) is None else None

    settings = f"{find.__name__};{relative!r};{absolute!r}"
    return Exact(
        "number", extract=find, compare=same, field=field, settings=settings, misfit=misfit
    )


def _reference_number(expected: str, find: extract.Extract) -> str:
    """The number of a reference; references such as GSM8K's hold a derivation that ends with it."""
    if compare.number(expected) is not None:
        return expected
    return extract.after_marker(expected) or find(expected) or expected


def exact_text(*, find: extract.Extract = extract.whole, field: str = "answer") -> Exact:
    """Text, but for case, white space and punctuation around it; one of several if a list."""

    def same(given: str, expected: Any) -> bool:
        several = expected if isinstance(expected, list | tuple) else [expected]
        return any(compare.is_same_text(given, str(one)) for one in several)

    return Exact("text", extract=find, compare=same, field=field, settings=find.__name__)


def multiple_choice(*, letters: str = "ABCD", field: str = "answer") -> Exact:
    """The letter chosen; the reference is a letter, or the index of one from 0."""
    if not letters or not set(letters) <= set(extract.LETTERS):
        raise ValueError(f"letters must be some of {extract.LETTERS}")

    def same(given: str, expected: Any) -> bool:
        is_index = isinstance(expected, int) and 0 <= expected < len(letters)
        return given == (letters[expected] if is_index else str(expected).strip().upper())

    def misfit(expected: Any) -> str | None:
        is_index = isinstance(expected, int) and 0 <= expected < len(letters)
        is_letter = str(expected).strip().upper() in tuple(letters)
        return None if is_index or is_letter else f"is none of {letters}, nor an index from 0"

    find = functools.partial(extract.letter, letters=letters)
    return Exact("choice", extract=find, compare=same, field=field, settings=letters, misfit=misfit)


def exact_json(*, field: str = "answer") -> Exact:
    """Equal JSON values; the reference may be a value, or JSON as text."""

    def same(given: str, expected: Any) -> bool:
        value = json.loads(expected) if isinstance(expected, str) else expected
        return compare.is_same_json(given, value)

    def misfit(expected: Any) -> str | None:
        try:
            json.loads(expected) if isinstance(expected, str) else expected
        except (ValueError, RecursionError):
            return "is a text and no JSON"
        return None

    return Exact(
        "json", extract=extract.json_text, compare=same, field=field, settings="", misfit=misfit
    )


def pattern(*, field: str = "pattern", find: extract.Extract = extract.whole) -> Exact:
    """The reference is a regular expression that must be found in the answer.

    It belongs to the question and is trusted: one that backtracks without end would block the
    program. At most `MOST_SEARCHED` characters are searched.
    """

    def same(given: str, expected: Any) -> bool:
        return re.search(str(expected), given[:MOST_SEARCHED]) is not None

    def misfit(expected: Any) -> str | None:
        try:
            re.compile(str(expected))
        except (re.error, RecursionError, OverflowError) as error:
            return f"is no regular expression ({error})"
        return None

    return Exact(
        "pattern", extract=find, compare=same, field=field, settings=find.__name__, misfit=misfit
    )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return repr(text[:MOST_SHOWN])
