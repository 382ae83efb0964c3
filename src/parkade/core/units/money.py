"""Money in whole micro-units of the installation's unit (USD, credits). No float touches it.

A *rate* is micro-units per hour for everything a workload holds; a *price* is micro-units per
GPU-hour. An amount over a span is floor(rate x microseconds / 3.6e9): one microsecond of an
hourly rate is kept exactly as a *numerator* until it is posted.
"""

MICROS = 1_000_000
MICROSECONDS_PER_HOUR = 3_600_000_000


def format_amount(micros: int) -> str:
    """Decimal text of micro-units, at least two places, more only if they are not zero."""
    sign = "-" if micros < 0 else ""
    whole, part = divmod(abs(micros), MICROS)
    digits = f"{part:06d}".rstrip("0").ljust(2, "0")
    assert 2 <= len(digits) <= 6
    return f"{sign}{whole}.{digits}"


def ceil_div(numerator: int, denominator: int) -> int:
    """Quotient rounded up; both whole, denominator positive."""
    assert denominator > 0
    return -(-numerator // denominator)


def amount_of(rate_micros_per_hour: int, span_us: int) -> int:
    """Micro-units owed for a rate held over a span, rounded down."""
    assert span_us >= 0
    return rate_micros_per_hour * span_us // MICROSECONDS_PER_HOUR
