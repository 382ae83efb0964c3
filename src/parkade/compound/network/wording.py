"""The operators' own prompts, used where a network gives none, and how replies are read."""

import re
from collections.abc import Sequence

JUDGE = """Here is a question and several candidate answers.

Question:
{prompt}

{candidates}

Which candidate answers the question best? Think it over, then end with the line
"Best: N", where N is the number of the candidate."""

KNOCKOUT = JUDGE

VERIFY = """Here is a question and a proposed answer.

Question:
{prompt}

Proposed answer:
{candidate}

Is the proposed answer correct? Check it step by step, then end with the line
"Verdict: correct" or "Verdict: wrong"."""

RANK = """Here is a question and a proposed answer.

Question:
{prompt}

Proposed answer:
{candidate}

How good is the answer, from 0 (useless) to 100 (perfect)? End with the line "Score: N"."""

FUSE = """Here is a question and several candidate answers.

Question:
{prompt}

{candidates}

Write the best answer you can. Use what is right in the candidates, leave out what is wrong."""

CRITIQUE = """Here is a question and a proposed answer.

Question:
{prompt}

Proposed answer:
{candidate}

Say briefly what is wrong with it and how to improve it."""

REFINE = """Here is a question and a proposed answer.

Question:
{prompt}

Proposed answer:
{candidate}

What is wrong with it: {reason}

Write a better answer."""

REPAIR = """That is not valid: {reason}
Answer again with only the corrected JSON."""

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_VERDICT = re.compile(r"\b(correct|incorrect|wrong|right|yes|no|true|false)\b", re.IGNORECASE)
_NEGATED = re.compile(r"\b(?:not|n't)\s+(?:correct|right|true)\b", re.IGNORECASE)
_ACCEPTING = frozenset({"correct", "right", "yes", "true"})


def numbered(texts: Sequence[str]) -> str:
    """`Candidate 1:` and its text, and so on."""
    return "\n\n".join(f"Candidate {place}:\n{text}" for place, text in enumerate(texts, start=1))


def read_choice(reply: str, among: int) -> int | None:
    """The number a judge ends with, from 1 to `among`; None if it names none."""
    for found in reversed(_NUMBER.findall(_last_line_with(reply, _NUMBER))):
        if found.isdigit() and 1 <= int(found) <= among:
            return int(found)
    return None


def read_score(reply: str) -> float | None:
    """The score a model ends with, from 0 to 100; None without one."""
    for found in _NUMBER.findall(_last_line_with(reply, _NUMBER)):
        if 0 <= float(found) <= 100:
            return float(found)
    return None


def read_acceptance(reply: str) -> bool | None:
    """Whether a model's last word on it is that the answer is correct; None without one."""
    line = _last_line_with(reply, _VERDICT)
    words = _VERDICT.findall(line)
    if not words:
        return None
    return words[-1].lower() in _ACCEPTING and not _NEGATED.search(line)


def _last_line_with(reply: str, pattern: re.Pattern[str]) -> str:
    for line in reversed(reply.splitlines()):
        if pattern.search(line):
            return line
    return ""
