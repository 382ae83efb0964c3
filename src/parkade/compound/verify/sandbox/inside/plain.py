"""Python values as plain data, and back: how answers of untrusted code reach the tests.

`encode` runs beside the untrusted code, `decode` beside the tests or in the program that asked.
What `decode` returns consists of built-in types only, so that no method of untrusted code, such
as `__eq__`, ever runs outside its own process. Subclasses become the built-in type they extend.

JSON carries None, booleans, small whole numbers, floats, text and lists as they are. Everything
else is an object with one key, which is the tag:

    (1, 2)          {"t": [1, 2]}
    {"a": 1}        {"d": [["a", 1]]}
    {3, 1}          {"s": [1, 3]}
    2 ** 80         {"i": "100000000000000000000"}      hexadecimal
    iter([1, 2])    {"g": [1, 2]}                       an iterator, read to its end

Sets are sorted by their JSON, so that equal sets have equal encodings.
"""

import collections
import decimal
import fractions
import json
from collections.abc import Callable, Iterator
from typing import Any

_decoder = json.JSONDecoder()
MOST_DEPTH = 50
MOST_ITEMS = 100_000
MOST_SMALL_BITS = 63
MOST_DIGITS = 10_000


class Unsendable(Exception):
    """The value is none of the plain types; the message names its type."""


class Malformed(Exception):
    """The data is no encoding of a value."""


def encode(value: Any, depth: int = 0) -> Any:
    """The value as JSON-like data; `Unsendable` if it is not plain. Grows with its size."""
    if depth > MOST_DEPTH:
        raise Unsendable(f"a value nested more than {MOST_DEPTH} deep")
    kind = type(value)
    if value is None or kind is bool or kind is str or kind is float:
        return value
    if kind is int:
        return value if value.bit_length() < MOST_SMALL_BITS else {"i": f"{value:x}"}
    if kind is list:
        return [encode(item, depth + 1) for item in value]
    if kind is tuple:
        return {"t": [encode(item, depth + 1) for item in value]}
    return _encode_rarer(value, depth)


def _encode_rarer(value: Any, depth: int) -> Any:
    for base, tag, parts in _BASES:
        if isinstance(value, base):
            return {tag: parts(value, depth)} if tag else parts(value, depth)
    if isinstance(value, Iterator):
        return {"g": _drained(value, depth)}
    raise Unsendable(f"a value of type {type(value).__name__[:100]}")


def _drained(items: Iterator[Any], depth: int) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if len(found) == MOST_ITEMS:
            raise Unsendable(f"an iterator of more than {MOST_ITEMS} items")
        found.append(encode(item, depth + 1))
    return found


def _pairs(value: dict[Any, Any], depth: int) -> list[Any]:
    return [[encode(k, depth + 1), encode(v, depth + 1)] for k, v in dict.items(value)]


def _unordered(value: set[Any] | frozenset[Any], depth: int) -> list[Any]:
    return sorted((encode(item, depth + 1) for item in value), key=json.dumps)


def _sequence(value: Any, depth: int) -> list[Any]:
    return [encode(item, depth + 1) for item in value]


# Type, tag (empty: as the type itself), parts. A subclass is taken for the first that fits.
_BASES: tuple[tuple[type, str, Callable[[Any, int], Any]], ...] = (
    (str, "", lambda value, _: str.__str__(value)),
    (int, "", lambda value, depth: encode(int.__index__(value), depth + 1)),
    (float, "", lambda value, _: float.__float__(value)),
    (dict, "d", _pairs),
    (list, "", _sequence),
    (tuple, "t", _sequence),
    (set, "s", _unordered),
    (frozenset, "f", _unordered),
    (bytes, "b", lambda value, _: bytes.hex(value)),
    (bytearray, "y", lambda value, _: bytearray.hex(value)),
    (complex, "c", lambda value, _: [value.real, value.imag]),
    (range, "r", lambda value, depth: _sequence((value.start, value.stop, value.step), depth)),
    (collections.deque, "q", _sequence),
    (decimal.Decimal, "D", lambda value, _: str(value)),
    (fractions.Fraction, "F", lambda value, depth: _sequence(value.as_integer_ratio(), depth)),
    (type(Ellipsis), "e", lambda _, __: 0),
)


def decode(data: Any, depth: int = 0) -> Any:
    """The value of what `encode` made; `Malformed` for anything else. Grows with its size."""
    if depth > 3 * MOST_DEPTH:
        raise Malformed("data nested too deep")
    if data is None or isinstance(data, bool | int | float | str):
        return data
    if isinstance(data, list):
        return [decode(item, depth + 1) for item in data]
    if not isinstance(data, dict) or len(data) != 1:
        raise Malformed("an object that is no tagged value")
    [(tag, parts)] = data.items()
    if tag not in _DECODERS:
        raise Malformed(f"no tag {tag[:20]!r}")
    try:
        return _DECODERS[tag](parts, depth + 1)
    except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise Malformed(f"no value of tag {tag!r}: {error}"[:200]) from error


def _items(parts: Any, depth: int) -> list[Any]:
    if not isinstance(parts, list):
        raise Malformed("a sequence that is no list")
    return [decode(item, depth) for item in parts]


def _short(text: str) -> str:
    if len(text) > MOST_DIGITS:
        raise Malformed(f"a number of more than {MOST_DIGITS} digits")
    return text


_DECODERS: dict[str, Callable[[Any, int], Any]] = {
    "i": lambda parts, _: int(_short(parts), 16),
    "t": lambda parts, depth: tuple(_items(parts, depth)),
    "s": lambda parts, depth: set(_items(parts, depth)),
    "f": lambda parts, depth: frozenset(_items(parts, depth)),
    "d": lambda parts, depth: dict(_items(parts, depth)),
    "b": lambda parts, _: bytes.fromhex(parts),
    "y": lambda parts, _: bytearray.fromhex(parts),
    "c": lambda parts, _: complex(*parts),
    "r": lambda parts, depth: range(*_items(parts, depth)),
    "g": lambda parts, depth: iter(_items(parts, depth)),
    "q": lambda parts, depth: collections.deque(_items(parts, depth)),
    "D": lambda parts, _: decimal.Decimal(_short(parts)),
    "F": lambda parts, depth: fractions.Fraction(*_items(parts, depth)),
    "e": lambda _, __: Ellipsis,
}


def loads(text: bytes) -> Any:
    """JSON that came from untrusted code, as `frames.dump` writes it; `Malformed` if it is none, or
    nested too deep."""
    try:
        found, end = _decoder.raw_decode(decoded := text.decode())
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no JSON: {error}"[:200]) from error
    if end != len(decoded):
        raise Malformed("more than one value")
    return found
