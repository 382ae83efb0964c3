r"""Whether a given answer equals the expected one: pure functions on text.

Normal forms of numbers, applied to both sides:

    1,234.50   1234.5      thousands                 $5, 5 €    5       currency 3/4        0.75
    exact fractions           40%, 40\%  40      the sign only \frac{3}{4}, \dfrac34  0.75
    1.5e3      1500    exponents up to MOST_EXPONENT −7 (a minus sign)      -7
    7.         7       a full stop
"""

import json
import re
from fractions import Fraction
from typing import Any

MOST_CHARACTERS = 1_000
MOST_EXPONENT = 1_000

_FRACTION = re.compile(r"\\[dt]?frac(?:\{(-?\d+)\}\{(-?\d+)\}|(\d)(\d))")
_DECIMAL = re.compile(r"([-+]?)(\d*\.?\d*)(?:[eE]([-+]?\d+))?")
_NOISE = re.compile(r"\\[!,;:% ]|\\\$|\\left|\\right|[$€£%\s]|(?<=\d),(?=\d{3}(?:\D|$))")


def number(text: str) -> Fraction | None:
    """The exact number that a text says, in the normal forms above; None if it is none."""
    if len(text) > MOST_CHARACTERS:
        return None
    bare = _NOISE.sub("", text.replace("−", "-")).removesuffix(".")
    bare = bare.replace("{,}", "")
    sign = -1 if re.match(r"-\\", bare) else 1
    fraction = _FRACTION.fullmatch(bare.lstrip("+-") if "\\" in bare else bare)
    if fraction:
        top, bottom = (int(part) for part in fraction.groups() if part is not None)
        return sign * Fraction(top, bottom) if bottom else None
    top_text, slash, bottom_text = bare.partition("/")
    top_number = _decimal(top_text)
    bottom_number = _decimal(bottom_text) if slash else Fraction(1)
    if top_number is None or not bottom_number:
        return None
    return top_number / bottom_number


def _decimal(text: str) -> Fraction | None:
    found = _DECIMAL.fullmatch(text)
    if found is None or not any(digit.isdigit() for digit in found[2]):
        return None
    exponent = int(found[3] or 0) if len(found[3] or "") <= 6 else MOST_EXPONENT + 1
    if abs(exponent) > MOST_EXPONENT:
        return None
    value = Fraction(found[2] if not found[2].startswith(".") else f"0{found[2]}")
    return (-value if found[1] == "-" else value) * Fraction(10) ** exponent


def is_same_number(given: str, expected: str, *, relative: float, absolute: float) -> bool:
    """|given − expected| ≤ max(absolute, relative × |expected|); exact where both are 0."""
    one, other = number(given), number(expected)
    if one is None or other is None:
        return False
    allowed = max(Fraction(absolute), Fraction(relative) * abs(other))
    return abs(one - other) <= allowed


def is_same_text(given: str, expected: str) -> bool:
    """Equal but for case, white space, quotes around, and one full stop at the end."""
    return plain_text(given) == plain_text(expected)


def plain_text(text: str) -> str:
    """The normal form of a text: equal texts have the same one."""
    words = " ".join(text.split()).strip("'\"`*").removesuffix(".")
    return words.strip("'\"`*").casefold()


def is_same_json(given: str, expected: Any) -> bool:
    """Equal as JSON: keys in any order, 1 equals 1.0, but true is not 1."""
    try:
        return _is_same(json.loads(given), expected)
    except (ValueError, RecursionError):
        return False


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(_is_same(one[k], other[k]) for k in one)
        case list(), list():
            return len(one) == len(other) and all(map(_is_same, one, other))
        case ((int() | float()), (int() | float())):
            return bool(one == other)
        case _:
            return type(one) is type(other) and bool(one == other)
