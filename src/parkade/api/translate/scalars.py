"""Between the wire's amounts and times and the core's: decimals and micro-units, instants and
microseconds."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from parkade.api.problems import problem
from parkade.core.units.money import format_amount
from parkade.wire.scalars import parse_when

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_US, LAST_US = 0, 250_000_000_000_000_000
"""The years 1970 and 9892: what a date can say in every time zone."""
MICROSECOND = timedelta(microseconds=1)


def micros(amount: Decimal) -> int:
    """Micro-units; the wire has no more than six decimals."""
    whole = amount * 1_000_000
    assert whole == whole.to_integral_value()
    return int(whole)


def micros_or_none(amount: Decimal | None) -> int | None:
    """The same where there may be none."""
    return None if amount is None else micros(amount)


def amount(micro_units: int) -> Decimal:
    """A decimal amount of micro-units, exact however large: a context would round it."""
    return Decimal(format_amount(micro_units))


def amount_or_none(micro_units: int | None) -> Decimal | None:
    """The same where there may be none."""
    return None if micro_units is None else amount(micro_units)


def microseconds(instant: datetime) -> int:
    """Since 1970-01-01 UTC."""
    return (instant - EPOCH) // MICROSECOND


def instant(at_us: int) -> datetime:
    """An aware datetime in UTC; what no date can say, as an agent may have told it, is the first
    or the last that one can."""
    return EPOCH + timedelta(microseconds=min(max(at_us, FIRST_US), LAST_US))


def instant_or_none(at_us: int | None) -> datetime | None:
    """The same where there may be none; 0 is never."""
    return None if not at_us else instant(at_us)


def when(text: str, now_us: int) -> int:
    """An instant as people write it, such as +2h; the problem `invalid` where it is none."""
    try:
        return microseconds(parse_when(text, now=instant(now_us)))
    except ValueError as error:
        raise problem("invalid", str(error)) from None


def span_us(span: timedelta) -> int:
    """Whole microseconds of a span."""
    return span // MICROSECOND


def span(length_us: int) -> timedelta:
    """A span of microseconds."""
    return timedelta(microseconds=length_us)
