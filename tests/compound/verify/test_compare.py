from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.verify.compare import is_same_json, is_same_number, is_same_text, number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.50", Fraction(2469, 2)),
        ("$5", Fraction(5)),
        ("5 €", Fraction(5)),
        ("40%", Fraction(40)),
        ("40\\%", Fraction(40)),
        ("3/4", Fraction(3, 4)),
        ("-3/4", Fraction(-3, 4)),
        ("\\frac{3}{4}", Fraction(3, 4)),
        ("-\\dfrac{3}{4}", Fraction(-3, 4)),
        ("\\frac34", Fraction(3, 4)),
        ("1.5e3", Fraction(1500)),
        ("−7", Fraction(-7)),
        ("7.", Fraction(7)),
        (".5", Fraction(1, 2)),
        ("1{,}000", Fraction(1000)),
        ("\\$1\\,000", Fraction(1000)),
        ("", None),
        (".", None),
        ("seven", None),
        ("1/0", None),
        ("\\frac{1}{0}", None),
        ("1e99999", None),
        ("1e9999999999999", None),
        ("9" * 2_000, None),
        ("1,23", None),
        ("1 or 2", None),
        ("٣", Fraction(3)),
    ],
)
def test_a_number_in_each_normal_form(text: str, value: Fraction | None) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    ("given_text", "expected", "relative", "absolute", "is_same"),
    [
        ("0.1", "1/10", 0, 0, True),
        ("0.1", "0.10000001", 0, 0, False),
        ("3.14", "3.14159", 1e-3, 0, True),
        ("3.14", "3.14159", 1e-4, 0, False),
        ("100.4", "100", 0, 0.5, True),
        ("100.6", "100", 0, 0.5, False),
        ("x", "x", 1e-3, 0, False),
    ],
)
def test_numbers_are_equal_within_the_tolerance(
    given_text: str, expected: str, relative: float, absolute: float, is_same: bool
) -> None:
    assert is_same_number(given_text, expected, relative=relative, absolute=absolute) is is_same


@given(st.fractions(max_denominator=10**6))
def test_a_fraction_is_read_back_exactly(value: Fraction) -> None:
    assert number(f"{value.numerator}/{value.denominator}") == value


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_thousands_are_read_back_exactly(value: int) -> None:
    assert number(f"{value:,}") == value


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (" Paris. ", "paris", True),
        ('"New  York"', "new york", True),
        ("Paris!", "Paris", False),
        ("STRASSE", "straße", True),
    ],
)
def test_text_is_compared_without_case_space_and_quotes(
    one: str, other: str, is_same: bool
) -> None:
    assert is_same_text(one, other) is is_same


@pytest.mark.parametrize(
    ("text", "value", "is_same"),
    [
        ('{"b": 1, "a": [2.0]}', {"a": [2], "b": 1.0}, True),
        ("[1, 2]", [2, 1], False),
        ("true", 1, False),
        ("1", True, False),
        ("null", None, True),
        ('"1"', 1, False),
        ('{"a": 1}', {"a": 1, "b": None}, False),
        ("{", {}, False),
        ("[" * 100_000, [], False),
    ],
)
def test_json_is_compared_by_value(text: str, value: object, is_same: bool) -> None:
    assert is_same_json(text, value) is is_same
