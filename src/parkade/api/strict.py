"""JSON bodies as they are read: each key once, no number without end, and not too many values.

Two readers of one document must see the same, so a key that stands twice is refused. What a body
may hold is bounded here, before any model looks at it: every fault of a request costs time and
space.
"""

import json
from typing import Any, NoReturn

from fastapi import Request

from parkade.core.units.bounds import MOST_DOCUMENT_VALUES

LONGEST_NUMBER = 40


class Unfit(json.JSONDecodeError):
    """JSON that is not taken here; `msg` says why."""

    def __init__(self, why: str) -> None:
        super().__init__(why, "", 0)


class StrictRequest(Request):
    """A request whose `json` is read by the rules of this module."""

    async def json(self) -> Any:
        """The body's value; `json.JSONDecodeError` where it has none that is taken."""
        if not hasattr(self, "_json"):
            self._json = load(await self.body())
        return self._json


def load(body: bytes) -> Any:
    """The value of a JSON text. Costs one pass over the text and one over its values."""
    try:
        value = json.loads(
            body,
            object_pairs_hook=_unique,
            parse_int=_short_whole,
            parse_float=_short_fraction,
            parse_constant=_no_constant,
        )
    except UnicodeDecodeError as error:
        raise Unfit("it is not UTF-8") from error
    except RecursionError as error:
        raise Unfit("it is nested too deeply") from error
    _refuse_too_many(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Unfit(f"the key {twice[:40]!r} stands twice in one object")
    return found


def _short_whole(text: str) -> int:
    return int(_short(text))


def _short_fraction(text: str) -> float:
    return float(_short(text))


def _short(text: str) -> str:
    if len(text) > LONGEST_NUMBER:
        raise Unfit(f"a number has more than {LONGEST_NUMBER} characters")
    return text


def _no_constant(text: str) -> NoReturn:
    raise Unfit(f"{text} is no JSON number")


def _refuse_too_many(value: Any) -> None:
    left, waiting = MOST_DOCUMENT_VALUES, [value]
    while waiting:
        inside = waiting.pop()
        if isinstance(inside, dict | list):
            left -= len(inside)
            if left < 0:
                raise Unfit(
                    f"it holds more than {MOST_DOCUMENT_VALUES:,} values; send fewer at once"
                )
            waiting.extend(inside.values() if isinstance(inside, dict) else inside)
