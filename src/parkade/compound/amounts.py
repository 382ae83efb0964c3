"""Amounts of money as people write them, into whole micro-units."""

from decimal import Decimal, InvalidOperation

from parkade.core.units.money import MICROS


def micros_of(text: str) -> int:
    """Micro-units of a decimal amount such as `2.50`; ValueError if it is not one exactly."""
    try:
        amount = Decimal(text) * MICROS
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount; write it like 2.50") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{text!r} is not an amount; write it like 2.50")
    if amount != amount.to_integral_value():
        raise ValueError(f"{text!r} has more than six decimals; the smallest unit is 0.000001")
    return int(amount)
