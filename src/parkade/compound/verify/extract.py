"""Finds the answer in free text: small pure functions, one for each way in which models put it.

Each takes the text and gives the answer as text, or None if there is none. The last place counts,
because models correct themselves. Cost grows with the length of the text; no function looks at
more than the last `MOST_CHARACTERS`.
"""

import json
import re
from collections.abc import Callable, Iterator

MOST_CHARACTERS = 200_000
LETTERS = "ABCDEFGHIJ"

Extract = Callable[[str], str | None]

_NUMBER = re.compile(
    r"(?<![\w.])[-+−]?\s?[$€£]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
    r"(?:[eE][-+]?\d+)?(?:/\d+)?%?(?![\w])|(?<![\w.])[-+−]?\.\d+"
)
_FENCE = re.compile(
    r"^[ \t]*```[ \t]*(\w*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL
)
_PYTHON = ("python", "py", "python3")


def whole(text: str) -> str | None:
    """All of the text, without white space around it."""
    return text.strip() or None


def last_line(text: str) -> str | None:
    """The last line that is not empty."""
    lines = [line.strip() for line in _tail(text).splitlines() if line.strip()]
    return lines[-1] if lines else None


def last_number(text: str) -> str | None:
    """The last number as it is written: `-1,234.5`, `$3`, `3/4`, `1e-3`, `40%`."""
    found = [one.group().strip() for one in _NUMBER.finditer(_tail(text))]
    return found[-1] if found else None


def after_marker(text: str, marker: str = "####") -> str | None:
    """The rest of the line after the last marker, as GSM8K puts its answers."""
    _, found, rest = _tail(text).rpartition(marker)
    if not found:
        return None
    return rest.strip().splitlines()[0].strip() if rest.strip() else None


def boxed(text: str) -> str | None:
    r"""What stands in the last `\boxed{…}` or `\fbox{…}`, braces balanced; also `\boxed 5`."""
    tail = _tail(text)
    places = list(re.finditer(r"\\(?:boxed|fbox)\b\s*", tail))
    if not places:
        return None
    at = places[-1].end()
    if not tail[at:].startswith("{"):
        word = re.match(r"[^\s$.,]+", tail[at:])
        return word.group() if word else None
    depth = 0
    for end in range(at, len(tail)):
        depth += {"{": 1, "}": -1}.get(tail[end], 0)
        if depth == 0:
            return tail[at + 1 : end].strip() or None
    return None


def code_block(text: str) -> str | None:
    """The last fenced block marked as Python, else the last fenced block; its fence may be torn."""
    bodies = code_blocks(text)
    return bodies[-1] if bodies else None


def code_blocks(text: str) -> list[str]:
    """All fenced blocks marked as Python, else all fenced blocks, in order."""
    blocks = [(found[1].lower(), found[2]) for found in _FENCE.finditer(_tail(text))]
    marked = [body for language, body in blocks if language in _PYTHON]
    return marked or [body for _, body in blocks]


def without_thoughts(text: str) -> str:
    """What follows a reasoning model's thoughts; their opening tag may stand in the prompt."""
    return text.rpartition("</think>")[2]


def letter(text: str, letters: str = LETTERS[:4]) -> str | None:
    """The chosen letter: boxed, else after "answer", else the last that stands by itself.

    A bare `A` or `I` inside a sentence is a word, so a letter without brackets counts only at the
    start of a line, or if the text ends with it.
    """
    tail = _tail(text)
    one = f"[{re.escape(letters)}]"
    in_box = re.fullmatch(rf"(?:\\text\{{)?\(?({one})\)?\}}?", boxed(tail) or "")
    if in_box:
        return in_box[1]
    bracket = rf"[\(\[\*]*({one})(?![\w'])[\)\]\*]*"
    says = (
        rf"\b(?:answer|choice|option)\b(?:\s+is)?\s*[:=]?\s*\**\s*(?:option\s+|choice\s+)?{bracket}"
    )
    places = [
        list(re.finditer(says, tail, re.IGNORECASE)),
        list(re.finditer(rf"\(({one})\)", tail)),
        list(re.finditer(rf"(?:^|\n)\s*\**({one})(?:[.):\s*]|$)", tail)),
        list(re.finditer(rf"\b({one})[.\s*]*$", tail)),
    ]
    for found in places:
        capitals = [place[1] for place in found if place[1] in letters]
        if capitals:
            return capitals[-1]
    return None


def json_text(text: str) -> str | None:
    """The last JSON object or list, in a fenced block or in the text; a bare value if it is all."""
    tail = _tail(text)
    for candidate in (code_block(tail), tail):
        stripped = (candidate or "").strip()
        if stripped and _is_json(stripped):
            return stripped
    found = list(_values(tail))
    return found[-1] if found else None


def _values(text: str) -> Iterator[str]:
    """Outermost objects and lists, in order."""
    decoder = json.JSONDecoder()
    at = 0
    misses = 0
    while misses < 1_000 and (start := re.compile(r"[\[{]").search(text, at)):
        try:
            _, at = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            at = start.end()
            misses += 1
            continue
        yield text[start.start() : at]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _tail(text: str) -> str:
    return text[-MOST_CHARACTERS:]
