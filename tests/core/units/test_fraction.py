import pytest

from parkade.core.units.fraction import Fraction, parse_fraction


@pytest.mark.parametrize(
    ("text", "is_share", "is_fee"),
    [("0", True, True), ("2/7", True, True), ("1", True, False), ("7/7", True, False),
     ("8/7", False, False), ("999999998/999999999", True, True)],
)  # fmt: skip
def test_a_fee_leaves_something_and_a_share_is_at_most_all(
    text: str, is_share: bool, is_fee: bool
) -> None:
    fraction = parse_fraction(text)
    assert (fraction.is_share, fraction.is_fee) == (is_share, is_fee)
    assert parse_fraction(str(fraction)) == fraction


@pytest.mark.parametrize("text", ["", "/", "1/0", "0.5", "-1/2", " 1/2", "1/2/3", "1" * 10, "1/"])
def test_what_is_no_fraction_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="like 2/7"):
        parse_fraction(text)


@pytest.mark.parametrize(("top", "bottom"), [(-1, 2), (1, 10**9), (10**9, 10**10)])
def test_a_fraction_that_could_not_be_written_is_not_bounded(top: int, bottom: int) -> None:
    assert not Fraction(numerator=top, denominator=bottom).is_bounded
