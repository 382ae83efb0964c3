"""Money is whole micro-units: text goes in and out exactly, rates never round up."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from parkade.core.units.money import amount_of, ceil_div, format_amount

AMOUNTS = st.integers(min_value=-(10**18), max_value=10**18)


@given(AMOUNTS)
def test_the_text_of_an_amount_is_exact(micros: int) -> None:
    assert Decimal(format_amount(micros)).scaleb(6) == micros


@given(st.integers(min_value=0, max_value=10**12), st.integers(min_value=0, max_value=10**15))
def test_an_amount_is_the_exact_product_rounded_down(rate: int, span_us: int) -> None:
    exact = Fraction(rate * span_us, 3_600_000_000)
    assert 0 <= exact - amount_of(rate, span_us) < 1


@given(AMOUNTS, st.integers(min_value=1, max_value=10**9))
def test_a_quotient_rounded_up_is_the_least_that_covers(numerator: int, denominator: int) -> None:
    quotient = ceil_div(numerator, denominator)
    assert quotient * denominator >= numerator > (quotient - 1) * denominator
