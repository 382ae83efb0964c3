"""Amounts and numbers as people read them."""

import pytest

from parkade.compound.amounts import amount_in_words, micros_of, plain


@pytest.mark.parametrize(
    ("micros", "shown"),
    [(0, "0"), (0.5, "0.0000005"), (10, "0.00001"), (1_234_567, "1.23"), (5e12, "5,000,000.00")],
)
def test_an_amount_is_no_power_of_ten(micros: float, shown: str) -> None:
    assert amount_in_words(micros) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(1e-5, "0.00001"), (1e6, "1000000"), (0.25, "0.25"), (-2e-7, "-0.0000002")]
)
def test_a_number_is_no_power_of_ten(value: float, shown: str) -> None:
    assert plain(value) == shown


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("$0.05", "write the number alone, 0.05"),
        ("3 €", "alone, 3"),
        ("5%", "like 2.50"),
        ("much", "like 2.50"),
        ("$", "like 2.50"),
    ],
)
def test_an_amount_with_a_sign_is_told_without_it(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        micros_of(text)
