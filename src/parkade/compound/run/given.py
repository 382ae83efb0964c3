"""What a user's function gives, read in one place: what it may be, and what is said of the rest.

A scalar of an array library (numpy's bool, text and number) is taken as the Python value that it
holds. What a function may not give becomes a Failure that names the function and what it gave; in
particular a forgotten `return` is told, and is no empty answer.
"""

import enum
import math
import types
from typing import Any

import msgspec

from parkade.compound.models.protocol import Failure, FailureKind, bounded
from parkade.compound.network.digest import function_name
from parkade.compound.values import Candidate, Verdict, without_surrogates

#: Characters of a value that are shown.
MOST_SHOWN = 60
#: Hashable, and still no key: two of them are never equal, or all are.
_NO_KEYS = (types.NoneType, types.GeneratorType, types.AsyncGeneratorType, types.FunctionType)
_PLAIN = (str, bytes, int, float, type(None))


class Use(enum.Enum):
    """What a function is called for, and in words what it must give."""

    VERDICT = "True, False or a Verdict"
    MADE = "a text, a Candidate, or a list of them"
    KEY = "a text or a number (or another value that can be compared)"
    KEEP = "True or False"
    WAY = "the name of a way"


def read(use: Use, function: Any, value: Any) -> Any:
    """The value as the operators expect it, or a Failure.

    VERDICT: a Verdict. MADE: a tuple of texts and Candidates. KEY: hashable. KEEP: a bool. WAY: a
    str.
    """
    value = _plain(value)
    found: Any
    match use:
        case Use.VERDICT:
            found = _verdict(value)
        case Use.MADE:
            found = _made(value)
        case Use.KEY:
            found = value if _is_key(value) else None
        case Use.KEEP:
            found = bool(value) if isinstance(value, bool | int | float) else None
        case Use.WAY:
            found = value if isinstance(value, str) else None
    if found is not None:
        return found
    must = f"it must give {use.value}"
    if use is Use.VERDICT and isinstance(value, int | float):
        must = (
            f"{must}; for a score, say from where on it accepts: "
            "{function: …, threshold: …}, or FunctionVerifier(…, threshold=…)"
        )
    message = f"{function_name(function)} gave {_shown(value)}; {must}"
    return Failure(kind=FailureKind.BROKEN, message=bounded(message))


def _plain(value: Any) -> Any:
    """The Python value of an array library's scalar; anything else as it is."""
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        return value.item()
    return value


def _verdict(value: Any) -> Verdict | None:
    if isinstance(value, bool):
        return Verdict(is_accepted=value)
    if not isinstance(value, Verdict):
        return None
    accepted, score, reason = _plain(value.is_accepted), _plain(value.score), _plain(value.reason)
    is_number = isinstance(score, int | float) and not math.isnan(score)
    if not isinstance(accepted, bool) or not (score is None or is_number):
        return None
    if not isinstance(reason, str):
        return None
    reason = without_surrogates(reason)
    return msgspec.structs.replace(value, is_accepted=accepted, score=score, reason=reason)


def _made(value: Any) -> tuple[str | Candidate, ...] | None:
    parts = value if isinstance(value, list | tuple) else (value,)
    found: list[str | Candidate] = []
    for part in parts:
        made = _plain(part)
        if isinstance(made, str):
            found.append(without_surrogates(made))
        elif isinstance(made, Candidate) and isinstance(made.text, str):
            text = without_surrogates(made.text)
            found.append(msgspec.structs.replace(made, text=text))
        else:
            return None
    return tuple(found)


def _is_key(value: Any) -> bool:
    if isinstance(value, _NO_KEYS):
        return False
    try:
        hash(value)
    except Exception:  # noqa: BLE001 - a user's class may raise anything
        return False
    return True


def _shown(value: Any) -> str:
    """A short value as it is written, beside its type; nothing is said of a long one."""
    if value is None:
        return "nothing (None)"
    kind = type(value).__name__
    if isinstance(value, list | tuple):
        kinds = dict.fromkeys(type(each).__name__ for each in value)
        return f"a {kind} of {', '.join(kinds)}" if kinds else f"an empty {kind}"
    text = repr(value) if isinstance(value, _PLAIN) else ""
    return f"{text} ({kind})" if text and len(text) <= MOST_SHOWN else f"a value of type {kind}"
