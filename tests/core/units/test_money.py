"""Money is whole micro-units: text goes in and out exactly, rates never round up."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.core.units.money import amount_of, ceil_div, format_amount, parse_amount

AMOUNTS = st.integers(min_value=-(10**18), max_value=10**18)


@pytest.mark.parametrize(
    ("text", "micros"),
    [("2.50", 2_500_000), ("0", 0), ("12", 12_000_000), ("-0.000001", -1), ("1e3", 1_000_000_000)],
)
def test_amounts_are_read_exactly(text: str, micros: int) -> None:
    assert parse_amount(text) == micros


@pytest.mark.parametrize("text", ["", "a", "1.0000001", "nan", "inf", "1,5"])
def test_what_is_no_amount_is_refused_with_a_word_on_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it like|smallest unit"):
        parse_amount(text)


@given(AMOUNTS)
def test_writing_and_reading_an_amount_gives_it_back(micros: int) -> None:
    assert parse_amount(format_amount(micros)) == micros


@given(st.integers(min_value=0, max_value=10**12), st.integers(min_value=0, max_value=10**15))
def test_an_amount_is_the_exact_product_rounded_down(rate: int, span_us: int) -> None:
    exact = Fraction(rate * span_us, 3_600_000_000)
    assert 0 <= exact - amount_of(rate, span_us) < 1


@given(AMOUNTS, st.integers(min_value=1, max_value=10**9))
def test_a_quotient_rounded_up_is_the_least_that_covers(numerator: int, denominator: int) -> None:
    quotient = ceil_div(numerator, denominator)
    assert quotient * denominator >= numerator > (quotient - 1) * denominator
