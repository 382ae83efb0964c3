"""Forms whose plan is shown before anything is done: their fields to a request, and what the API
refuses back to the fields that it names.

The form carries a digest of what was typed when it was planned: where it says something else by
then, the plan of that comes first. Prices move on in between: what is done is done at those of the
moment, within the limit that was typed.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from parkade.wire.problems import MOST_FAULTS, Fault, Problem, faults

M = TypeVar("M", bound=BaseModel)
Faults = dict[str, list[str]]
"""By field what is wrong there; under "" what is about none."""
COUNTS = frozenset({"nodes", "keep", "most_gpus"})
NEEDED = frozenset({"nodes", "reason", "address", "code"})
ALONE = frozenset({403, 404, 412, 429, 503})
"""Refusals by their status that are about no field: they have a page of their own."""

MOST_DIGITS = 9
"""No count of a form may have more."""


def digest_of(fields: Mapping[str, str], names: Iterable[str]) -> str:
    """A name for what these fields say."""
    written = "\0".join(f"{name}={fields.get(name, '')}" for name in names)
    return hashlib.sha256(written.encode()).hexdigest()


def request_of(
    kind: type[M], fields: Mapping[str, str], names: Iterable[str]
) -> tuple[M | None, Faults]:
    """The request of the fields that are filled in, or None and every fault; `NEEDED` ones count
    as filled in."""
    known = tuple(names)
    given = {
        name: _value(name, fields[name])
        for name in known
        if fields.get(name) or (name in NEEDED and name in fields)
    }
    try:
        return kind.model_validate(given), {}
    except ValidationError as error:
        return None, by_field(faults(error.errors()[:MOST_FAULTS]), known)


def faults_of(refused: Problem, names: Iterable[str]) -> Faults:
    """What the API refused, beside the fields that it names."""
    return by_field(refused.errors or (Fault(place="", message=refused.detail),), tuple(names))


def by_field(listed: Iterable[Fault], names: tuple[str, ...]) -> Faults:
    """Faults by the field that they are about."""
    found: Faults = {}
    for fault in listed:
        place = fault.place if fault.place in names else ""
        found.setdefault(place, []).append(fault.message)
    return found


def whole(text: str) -> int | str:
    """A whole number as such, cut where it is beyond every bound; other text as it stands."""
    digits = text.removeprefix("-")
    is_whole = digits.isascii() and digits.isdecimal()
    return int(text[: MOST_DIGITS + 1]) if is_whole else text


def _value(name: str, text: str) -> Any:
    return whole(text) if name in COUNTS else text
