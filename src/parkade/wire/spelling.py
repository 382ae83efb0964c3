"""Messages for unknown keys (not carried out yet, or misspelt), and for values that do not fit."""

import difflib
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel

from parkade.core.units.names import GRAMMARS, REFERENCE

# Keys that the design has and this version does not carry out; refused by name.
LATER = {
    "suppliers": "naming suppliers",
    "cpus_per_gpu": "asking for CPUs",
    "memory_per_gpu": "asking for memory",
}
KNOWN_KEYS: set[str] = set()
# The longest key that is compared with those that there are.
LONGEST_KEY = 40
# What a pattern of the wire wants, in words, by a piece of it that no other has.
PATTERNS = {
    "^/": "write an absolute path, in one line",
    "^[~/]": "write a path that begins with / or ~, in one line",
    "@:+=,#": "write the name or path of an image, of letters, digits and /~._@:+=,#-",
    "._+-]{1,64}": "write the kind of a terminal, like xterm, of letters, digits and ._+-",
    "\\x1f": "write one line, without control characters",
    "\\x00": "write text without zero bytes",
}


def explain_unknown_key(
    location: tuple[int | str, ...], model: type[BaseModel] | None = None
) -> tuple[str, str]:
    """(code, message) for an unknown key at a place; of a `model`, where one is given, beside the
    keys that stand there."""
    known = KNOWN_KEYS if model is None else keys_at(model, location[:-1]) or KNOWN_KEYS
    key = str(location[-1]) if location else ""
    if model is not None and len(location) == 1 and key in getattr(model, "ELSEWHERE", {}):
        return "invalid", str(model.ELSEWHERE[key])  # type: ignore[attr-defined]
    if key in LATER and (model is None or model.__module__.startswith("parkade.wire")):
        return "not_yet", f"{LATER[key]} (`{key}`) is not carried out yet"
    if len(key) > LONGEST_KEY:
        return "invalid", "no such key"
    others = sorted(known - {key})
    longer = [it for it in others if it.startswith(f"{key}_")]
    close = longer if len(longer) == 1 else difflib.get_close_matches(key, others, 1, 0.75)
    return "invalid", f"no such key; did you mean `{close[0]}`?" if close else "no such key"


def keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> set[str]:
    """The keys of a model at a place within it; empty where the place is none of its own."""
    for step in location:
        field = model.model_fields.get(str(step))
        if field is None:
            # The number of an entry, or the name of one.
            continue
        inner = _model_in(field.annotation)
        if inner is None:
            return set()
        model = inner
    return {field.alias or name for name, field in model.model_fields.items()}


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The one model that a field's type holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = [_model_in(each) for each in get_args(annotation)]
    return next((each for each in found if each is not None), None)


def explain_pattern(pattern: str, message: str) -> str:
    """What would fit a pattern, or pydantic's own message."""
    for grammar in (*GRAMMARS, REFERENCE):
        if pattern == f"^{grammar.pattern}$":
            return grammar.words
    return next((words for piece, words in PATTERNS.items() if piece in pattern), message)


# What is shown of a value that does not fit.
LONGEST_VALUE = 40
WHOLE, TRUTH, TEXT, DATE = "a whole number", "true or false", "text", "a day like 2026-01-31"
BASE64 = "bytes in base64"
# Pydantic's kinds of a value that is none of its type, and what it must be.
TYPES = {
    "int_type": WHOLE,
    "int_parsing": WHOLE,
    "int_parsing_size": WHOLE,
    "int_from_float": WHOLE,
    "bool_type": TRUTH,
    "bool_parsing": TRUTH,
    "string_type": TEXT,
    "bytes_type": BASE64,
    "base64_decode": BASE64,
    "date_type": DATE,
    "date_parsing": DATE,
    "date_from_datetime_parsing": DATE,
}
# Pydantic's kinds of a value beyond a bound, the name of the bound, and what the value must be.
BOUNDS = {
    "greater_than_equal": ("ge", "must be {:,} or more"),
    "less_than_equal": ("le", "must be {:,} or less"),
    "greater_than": ("gt", "must be more than {:,}"),
    "less_than": ("lt", "must be less than {:,}"),
    "string_too_long": ("max_length", "has at most {:,} characters"),
    "string_too_short": ("min_length", "has at least {:,} characters"),
    "too_long": ("max_length", "has at most {:,} entries"),
    "too_short": ("min_length", "has at least {:,} entries"),
}


def explain_value(kind: str, context: Mapping[str, Any], given: object) -> str:
    """What a value must be, by pydantic's kind of what is wrong; empty where it says so itself."""
    if kind in TYPES:
        return f"must be {TYPES[kind]}, not {_written(given)}"
    if kind in ("literal_error", "enum"):
        return f"must be {context['expected']}, not {_written(given)}"
    if kind not in BOUNDS:
        return ""
    name, says = BOUNDS[kind]
    bound = context[name]
    if bound == 1 and kind in ("string_too_short", "too_short"):
        return "is empty"
    return says.format(bound) if isinstance(bound, int) else says.replace(":,", "").format(bound)


def _written(given: object) -> str:
    """A value as its writer knows it, cut where it is long."""
    match given:
        case None:
            return "nothing"
        case bool():
            return "true" if given else "false"
        case str() if len(given) > LONGEST_VALUE:
            return f"{given[:LONGEST_VALUE]!r}…"
        case dict():
            return "keys and values"
        case list() | tuple():
            return "a list"
    return repr(given)
