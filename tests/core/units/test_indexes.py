"""Sets of indexes: how they are written, and that they are sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.core.units import indexes

SETS = st.frozensets(st.integers(0, 40), max_size=30)


def spans(found: frozenset[int]) -> indexes.Spans:
    return indexes.joined((it, it) for it in found)


@pytest.mark.parametrize(
    ("text", "expected", "again"),
    [
        ("0-199", ((0, 199),), "0-199"),
        ("3,7-9", ((3, 3), (7, 9)), "3,7-9"),
        ("7-9,3", ((3, 3), (7, 9)), "3,7-9"),
        ("1,2,3", ((1, 3),), "1-3"),
        ("5-9,1-6", ((1, 9),), "1-9"),
        ("0-8:4", ((0, 0), (4, 4), (8, 8)), "0,4,8"),
        ("0-8:1", ((0, 8),), "0-8"),
        ("0", ((0, 0),), "0"),
    ],
)
def test_a_set_is_read_and_written(text: str, expected: indexes.Spans, again: str) -> None:
    assert indexes.parse_indexes(text) == expected
    assert indexes.written(expected) == again


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "write indexes"),
        ("a", "write indexes"),
        ("1-", "write indexes"),
        ("-1", "write indexes"),
        ("1,,2", "write indexes"),
        ("1 - 2", "write indexes"),
        ("3-1", "the first index is greater"),
        ("0-8:0", "a step is at least 1"),
        ("1:2", "write indexes"),
        ("0-10000", "more than 10,000"),
        ("0-9000,0-9000", "more than 10,000"),
        ("1234567", "write indexes"),
        ("1," * 40_000 + "1", "write indexes"),
        ("\u0661", "write indexes"),
    ],
)
def test_a_text_that_is_no_set_is_refused_with_what_to_write(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        indexes.parse_indexes(text)


@given(SETS, SETS, st.integers(0, 12))
def test_spans_are_sets_of_indexes(one: frozenset[int], other: frozenset[int], most: int) -> None:
    first, second = spans(one), spans(other)
    assert indexes.joined((*first, *second)) == spans(one | other)
    assert indexes.both(first, second) == spans(one & other)
    assert indexes.without(first, second) == spans(one - other)
    assert indexes.count(first) == len(one)
    assert list(indexes.indexes(first)) == sorted(one)
    assert indexes.least(first, most) == spans(frozenset(sorted(one)[:most]))
    if one:
        assert indexes.parse_indexes(indexes.written(first)) == first
