"""Sets of indexes as a few spans: how the members of an array are written, kept and counted.

`3,7-9` names the indexes 3, 7, 8 and 9, and `0-8:4` the indexes 0, 4 and 8, as Slurm's `--array`
has it. As a value that is a tuple of spans, both ends included: ascending, and never touching each
other, so that equal sets are equal values. Every function but `indexes` costs as much as there are
spans.
"""

import re
from collections.abc import Iterable, Iterator

from parkade.core.units.bounds import ARRAY_MEMBERS

Spans = tuple[tuple[int, int], ...]
"""(first, last) of each span."""

MOST_CHARACTERS = 65_536

SPAN = r"[0-9]{1,6}(-[0-9]{1,6}(:[0-9]{1,6})?)?"
SPANS = rf"{SPAN}(,{SPAN})*"
"""How a set is written, as a regular expression without anchors."""

WORDS = "write indexes and spans of them, like 0-199 or 3,7-9, and 0-15:4 for each fourth"


def parse_indexes(text: str) -> Spans:
    """The set that a text names; ValueError where it names none, or more than an array may have."""
    if len(text) > MOST_CHARACTERS or not re.fullmatch(SPANS, text):
        raise ValueError(WORDS)
    found: list[tuple[int, int]] = []
    named = 0
    for part in text.split(","):
        ends, _, step = part.partition(":")
        first, _, last = ends.partition("-")
        each = range(int(first), int(last or first) + 1, int(step or 1) or 1)
        if step and int(step) == 0:
            raise ValueError(f"{part}: a step is at least 1")
        if not each:
            raise ValueError(f"{part}: the first index is greater than the last")
        named += len(each)
        if named > ARRAY_MEMBERS.most:
            raise ValueError(f"more than {ARRAY_MEMBERS.most:,} indexes")
        if each.step == 1:
            found.append((each[0], each[-1]))
        else:
            found.extend((it, it) for it in each)
    return joined(found)


def written(spans: Spans) -> str:
    """The text that `parse_indexes` reads back."""
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in spans)


def joined(found: Iterable[tuple[int, int]]) -> Spans:
    """The set of all indexes of these spans, which may touch and overlap."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(found):
        assert first <= last, "a span without an index"
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def both(one: Spans, other: Spans) -> Spans:
    """The indexes that are in both."""
    found = []
    place = 0
    for first, last in one:
        while place < len(other) and other[place][1] < first:
            place += 1
        here = place
        while here < len(other) and other[here][0] <= last:
            found.append((max(first, other[here][0]), min(last, other[here][1])))
            here += 1
    return joined(found)


def without(one: Spans, other: Spans) -> Spans:
    """The indexes of the first that are not in the second."""
    found = []
    place = 0
    for first, last in one:
        while place < len(other) and other[place][1] < first:
            place += 1
        here, begins = place, first
        while here < len(other) and other[here][0] <= last:
            if begins < other[here][0]:
                found.append((begins, other[here][0] - 1))
            begins = other[here][1] + 1
            here += 1
        if begins <= last:
            found.append((begins, last))
    return tuple(found)


def count(spans: Spans) -> int:
    """How many indexes it has."""
    return sum(last - first + 1 for first, last in spans)


def least(spans: Spans, most: int) -> Spans:
    """The least indexes of it, at most so many."""
    found = []
    for first, last in spans:
        if most <= 0:
            break
        found.append((first, min(last, first + most - 1)))
        most -= last - first + 1
    return tuple(found)


def indexes(spans: Spans) -> Iterator[int]:
    """Each of them, ascending."""
    for first, last in spans:
        yield from range(first, last + 1)
