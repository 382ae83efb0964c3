"""Amounts of money as people write them into whole micro-units, and numbers as people read them."""

from decimal import Decimal, InvalidOperation

from parkade.core.units.money import MICROS


def micros_of(text: str) -> int:
    """Micro-units of a decimal amount such as `2.50`; ValueError if it is not one exactly."""
    try:
        amount = Decimal(text) * MICROS
    except InvalidOperation:
        number = text.strip().strip("$€£¥").removesuffix("%").strip()
        is_number = "%" not in text and number.replace(".", "", 1).isdecimal()
        like = f"write the number alone, {number}" if is_number else "write it like 2.50"
        raise ValueError(f"{text!r} is not an amount; {like}") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{text!r} is not an amount; write it like 2.50")
    if amount != amount.to_integral_value():
        raise ValueError(f"{text!r} has more than six decimals; the smallest unit is 0.000001")
    return int(amount)


def amount_in_words(micros: float) -> str:
    """Micro-units as an amount with three digits that tell, never as a power of ten."""
    amount = micros / MICROS
    return f"{amount:,.2f}" if amount >= 100 else plain(amount, digits=3)


def plain(value: float, *, digits: int = 6) -> str:
    """A number with so many digits that tell, never as a power of ten: 0.00001, 1000000."""
    return format(Decimal(f"{value:.{digits}g}"), "f")
