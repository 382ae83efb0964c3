import collections
import decimal
import enum
import fractions
import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.verify.sandbox.inside import plain

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**80), 2**80),
    st.floats(allow_nan=False),
    st.text(st.characters(), max_size=5),
    st.binary(max_size=5),
    st.complex_numbers(allow_nan=False),
    st.fractions(max_denominator=10**20),
    st.decimals(-(10**9), 10**9),
)
HASHABLE = SCALARS | st.tuples(SCALARS, SCALARS) | st.frozensets(SCALARS, max_size=4)
VALUES = st.recursive(
    HASHABLE | st.sets(HASHABLE, max_size=4),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.lists(inner, max_size=4).map(collections.deque),
    ),
    max_leaves=8,
)


def there_and_back(value: Any) -> Any:
    return plain.decode(plain.loads(json.dumps(plain.encode(value)).encode()))


@given(VALUES)
def test_a_plain_value_comes_back_equal_and_of_the_same_type(value: Any) -> None:
    found = there_and_back(value)
    assert found == value
    assert type(found) is type(value)


@given(st.lists(HASHABLE, unique=True, max_size=6))
def test_equal_sets_have_equal_encodings(items: list[Any]) -> None:
    value, again = set(items), set()
    for item in reversed(items):
        again.add(item)
    assert json.dumps(plain.encode(value)) == json.dumps(plain.encode(again))


class Text(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


class Point(NamedTuple):
    x: int
    y: int


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Text("a"), "a"),
        (Colour.RED, 1),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(list, a=[]), {"a": []}),
        (Point(x=1, y=2), (1, 2)),
        ([Text("a"), (Text("b"),)], ["a", ("b",)]),
        (float("inf"), float("inf")),
        (decimal.Decimal("1.10"), decimal.Decimal("1.10")),
        (fractions.Fraction(1, 3), fractions.Fraction(1, 3)),
        (range(1, 10, 3), range(1, 10, 3)),
        (bytearray(b"a"), bytearray(b"a")),
        (..., ...),
    ],
)
def test_a_subclass_comes_back_as_the_built_in_type_it_extends(value: Any, expected: Any) -> None:
    found = there_and_back(value)
    assert found == expected and type(found) is type(expected)


def test_an_iterator_comes_back_as_an_iterator() -> None:
    found = there_and_back(x * x for x in range(3))
    assert iter(found) is found and list(found) == [0, 1, 4]


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [object(), len, lambda: 1, int, nested(200), [object()], {1: object()}]
)
def test_what_is_not_plain_is_refused_by_name(value: Any) -> None:
    with pytest.raises(plain.Unsendable):
        plain.encode(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(plain.Unsendable, match="nested"):
        plain.encode(value)


@pytest.mark.parametrize(
    "data",
    [
        {}, {"t": [], "s": []}, {"z": 1}, {"t": 1}, {"t": "ab"}, {"d": [1]}, {"d": [[[1], 2]]},
        {"s": [[1]]}, {"i": "x"}, {"i": 1}, {"i": "f" * 20_000}, {"b": "zz"}, {"b": 1}, {"c": "a"},
        {"c": 1}, {"r": [1, 2, 0]}, {"r": ["a"]}, {"r": [1, 2, 3, 4]}, {"D": "x"}, {"D": 1},
        {"F": [1, 0]}, {"F": ["x"]}, {"g": 1}, {"t": [{"z": 1}]}, nested(1_000),
    ],
)  # fmt: skip
def test_data_that_encodes_nothing_is_malformed(data: Any) -> None:
    with pytest.raises(plain.Malformed):
        plain.decode(data)


TAGS = st.sampled_from([*"itsfdbycrgqDFe", "z"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from([*plain._DECODERS, "z"]), inner)
    ),
)


@given(JSON)
def test_any_json_is_a_value_of_built_in_types_or_malformed(data: Any) -> None:
    try:
        value = plain.decode(data)
    except plain.Malformed:
        return
    assert type(value).__module__ in ("builtins", "collections", "decimal", "fractions")


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, b"1" * 10_000])
def test_text_that_is_no_json_is_malformed(text: bytes) -> None:
    with pytest.raises(plain.Malformed):
        plain.loads(text)
