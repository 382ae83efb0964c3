"""The scalars of the wire: money, spans, instants, names and whole numbers, each parsed once.

Money is decimal text (`2.50`) of at most six decimals; a float is refused, because it is
rounded already. Spans are `500ms`, `60s`, `5m`, `2h`, `1d`. Instants carry a zone.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, Strict, WithJsonSchema
from pydantic_core import PydanticCustomError

from parkade.core.units import bounds
from parkade.core.units.bounds import Range
from parkade.core.units.fraction import PATTERN as FRACTION
from parkade.core.units.fraction import Fraction, parse_fraction
from parkade.core.units.money import MICROS
from parkade.core.units.names import NAME, REFERENCE, Grammar

AMOUNT = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?")
# A computed amount (a price x GPUs x hours) may be larger than the largest of a request.
SUM = re.compile(r"-?[0-9]{1,90}(\.[0-9]{1,6})?")
SPAN = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
MICROSECOND = timedelta(microseconds=1)
LONGEST = bounds.SPAN_US.most * MICROSECOND
MOST_OF_A_UNIT = 10_000


def parse_amount(value: object, *, form: re.Pattern[str] = AMOUNT) -> Decimal:
    """An amount from text, a whole number or a Decimal; ValueError for everything else."""
    if isinstance(value, float):
        raise ValueError('a float is never exact money; write it as text, like "2.50"')
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError('not an amount; write it as text, like "2.50"')
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    if not form.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not an amount of at most six decimals, like 2.50")
    return Decimal(text)


def format_amount(amount: Decimal) -> str:
    """Decimal text with at least two decimals, more only where they are not zero."""
    whole, _, part = f"{amount:.6f}".partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"


# What a person calls a day, in days from today.
DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}


def parse_span(value: object) -> timedelta:
    """`60s`, `5m`, `2h`, also `1h30m`; ValueError for everything else."""
    if isinstance(value, timedelta):
        return value
    text = value if isinstance(value, str) else ""
    if not re.fullmatch(f"({SPAN.pattern}){{1,5}}", text):
        raise ValueError(f"{str(value)[:40]!r} is not a span; write it like 90s, 5m, 2h or 1d")
    span = sum((int(n) * UNITS[unit] for n, unit in SPAN.findall(text)), timedelta())
    if span > LONGEST:
        raise ValueError("longer than a hundred years")
    return span


def format_span(span: timedelta) -> str:
    """The text that `parse_span` reads back: `90s`, `2h`; several units where one is too long."""
    for unit, length in UNITS.items():
        if span and span % length == timedelta() and span // length < MOST_OF_A_UNIT:
            return f"{span // length}{unit}"
    parts = []
    for unit, length in UNITS.items():
        count, span = divmod(span, length)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def parse_instant(value: object) -> datetime:
    """RFC 3339 with a zone, in UTC afterwards; ValueError for everything else."""
    if isinstance(value, str) and re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]", value):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{str(value)[:40]!r} is not an instant") from None
    if not isinstance(value, datetime):
        raise ValueError("not an instant; write it like 2026-01-31T12:00:00Z")
    if value.tzinfo is None:
        raise ValueError("the zone is missing; write it like 2026-01-31T12:00:00Z")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("outside the calendar") from None


def format_instant(instant: datetime) -> str:
    """RFC 3339 in UTC; fractions of a second only where there are any."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_when(text: str, *, now: datetime) -> datetime:
    """A date as a person writes it: `now`, `+2h` and `-7d` from now, `today`, `yesterday` and
    `tomorrow`, `2026-01-31`, or an instant. A day is its first moment in UTC."""
    if text == "now":
        return now
    try:
        if text.startswith(("+", "-")):
            span = parse_span(text[1:])
            return now + span if text[0] == "+" else now - span
        if text in DAYS:
            return now.astimezone(UTC).replace(
                hour=0, minute=0, second=0, microsecond=0
            ) + timedelta(days=DAYS[text])
        if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        return parse_instant(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{error}; or now, today, yesterday, 2026-01-31, -7d, +2h") from None


def parse_since(text: str, *, now: datetime) -> datetime:
    """As `parse_when`, but of the past; a span without a sign is so long ago, and the time of a day
    may lack its zone, which is UTC: `10m`, `2026-01-31T10:00`."""
    if re.fullmatch(f"({SPAN.pattern}){{1,5}}", text):
        text = f"-{text}"
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2})?", text):
        text += "Z"
    try:
        found = parse_when(text, now=now)
    except ValueError:
        says = f"{text[:40]!r} is no instant; write 10m, 2h, yesterday, 2026-01-31T10:00 (UTC)"
        raise ValueError(says) from None
    if found > now:
        raise ValueError(f"{text[:40]!r} is still to come; write 10m, or an instant of the past")
    return found


def _when(value: object) -> str:
    """What is said from now is left to the server's clock."""
    text = value if isinstance(value, str) else ""
    instant = parse_when(text, now=datetime(2026, 1, 1, tzinfo=UTC))
    is_relative = text == "now" or text in DAYS or text.startswith(("+", "-"))
    return text if is_relative else format_instant(instant)


def _fraction(value: object) -> Fraction:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:40]!r} is not a fraction; write it like 2/7")
    return parse_fraction(value)


def _whole_as_text(value: object) -> object:
    """YAML reads `fee: 0` as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _share(value: object) -> str:
    value = _whole_as_text(value)
    if not _fraction(value).is_share:
        raise ValueError("a share is at most 1")
    return str(value)


def _multiple(value: object) -> str:
    value = _whole_as_text(value)
    _fraction(value)
    return str(value)


def _fee(value: object) -> str:
    value = _whole_as_text(value)
    if not _fraction(value).is_fee:
        raise ValueError("a fee is less than 1, like 2/7")
    return str(value)


def _holds_money(within: Range) -> AfterValidator:
    """Refuses an amount outside a bound of micro-units."""

    def check(amount: Decimal) -> Decimal:
        if not within.holds(int(amount.scaleb(6))):
            least = "more than 0" if within.least else "0 or more"
            raise ValueError(f"must be {least}, and at most {within.most / MICROS:,.0f}")
        return amount

    return AfterValidator(check)


def _holds_span(within: Range) -> AfterValidator:
    """Refuses a span outside a bound of microseconds."""
    least = within.least * MICROSECOND

    def check(span: timedelta) -> timedelta:
        if not within.holds(span // MICROSECOND):
            words = "longer than 0" if least == MICROSECOND else f"{format_span(least)} or longer"
            raise ValueError(f"must be {words}")
        return span

    return AfterValidator(check)


def whole(grammar: Grammar) -> str:
    """The grammar's pattern with anchors, as pydantic and JSON Schema want it."""
    return f"^{grammar.pattern}$"


def named(grammar: Grammar) -> Any:
    """A field that holds a name of the grammar."""
    return Field(pattern=whole(grammar), max_length=grammar.longest)


def bounded(within: Range) -> Any:
    """A field that holds a whole number within a bound."""
    return Field(ge=within.least, le=within.most)


def written(within: Range, pattern: str = r"^[^\x00]*$") -> Any:
    """A field that holds a text of so many characters."""
    return Field(min_length=within.least or None, max_length=within.most, pattern=pattern)


def not_yet(what: str) -> PydanticCustomError:
    """The refusal of something that the spec has a word for and this version does not carry out."""
    return PydanticCustomError("not_yet", "{what} is not carried out yet", {"what": what})


def _text_or_whole(pattern: str, within: Range) -> WithJsonSchema:
    """An amount as text, or as a whole number of units."""
    text = {"type": "string", "pattern": pattern, "examples": ["2.50"]}
    least, most = -(-within.least // MICROS), within.most // MICROS
    units = {"type": "integer", "minimum": least, "maximum": most}
    return WithJsonSchema({"anyOf": [text, units]}, mode="validation")


_AMOUNT_TEXT = {"type": "string", "pattern": rf"^{SUM.pattern}$", "examples": ["2.50"]}
_MONEY = rf"^{AMOUNT.pattern[2:]}$"
_PRICE = r"^[0-9]{1,7}(\.[0-9]{1,6})?$"
_SPAN_TEXT = {"type": "string", "pattern": "^([0-9]{1,5}(ms|s|m|h|d)){1,2}$", "examples": ["90s"]}
_INSTANT_TEXT = {"type": "string", "format": "date-time"}

Amount = Annotated[
    Decimal,
    BeforeValidator(lambda value: parse_amount(value, form=SUM)),
    PlainSerializer(format_amount, return_type=str),
    WithJsonSchema(_AMOUNT_TEXT),
]
_Given = Annotated[
    Decimal, BeforeValidator(parse_amount), PlainSerializer(format_amount, return_type=str)
]
Money = Annotated[
    _Given,
    _holds_money(bounds.BALANCE_MICROS),
    _text_or_whole(_MONEY, bounds.BALANCE_MICROS),
]
Payment = Annotated[
    _Given,
    _holds_money(bounds.PAYMENT_MICROS),
    _text_or_whole(_MONEY, bounds.PAYMENT_MICROS),
]
Price = Annotated[
    _Given,
    _holds_money(bounds.PRICE_MICROS),
    _text_or_whole(_PRICE, bounds.PRICE_MICROS),
]
LimitPrice = Annotated[
    _Given,
    _holds_money(bounds.LIMIT_PRICE_MICROS),
    _text_or_whole(_PRICE, bounds.LIMIT_PRICE_MICROS),
]
Span = Annotated[
    timedelta,
    BeforeValidator(parse_span),
    PlainSerializer(format_span, return_type=str),
    WithJsonSchema(_SPAN_TEXT),
]
PositiveSpan = Annotated[
    Span,
    _holds_span(bounds.POSITIVE_SPAN_US),
    WithJsonSchema({**_SPAN_TEXT, "pattern": "^[1-9][0-9]{0,4}(ms|s|m|h|d)$"}),
]
GrantInterval = Annotated[
    Span,
    _holds_span(bounds.GRANT_INTERVAL_US),
    WithJsonSchema({**_SPAN_TEXT, "pattern": "^[1-9][0-9]{0,4}(m|h|d)$"}),
]
TokenLife = Annotated[
    Span,
    _holds_span(bounds.TOKEN_LIFE_US),
    WithJsonSchema({**_SPAN_TEXT, "pattern": "^[1-9][0-9]{0,4}(m|h|d)$"}),
]
Instant = Annotated[
    datetime,
    BeforeValidator(parse_instant),
    PlainSerializer(format_instant, return_type=str),
    WithJsonSchema(_INSTANT_TEXT),
]
When = Annotated[
    str,
    BeforeValidator(_when),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "now"},
                {"type": "string", "pattern": r"^\+[0-9]{1,3}[mhd]$"},
                _INSTANT_TEXT,
            ]
        }
    ),
]
_FRACTION_TEXT = {"type": "string", "pattern": f"^{FRACTION}$", "examples": ["2/7"]}
Share = Annotated[str, BeforeValidator(_share), WithJsonSchema(_FRACTION_TEXT)]
Multiple = Annotated[str, BeforeValidator(_multiple), WithJsonSchema(_FRACTION_TEXT)]
Fee = Annotated[str, BeforeValidator(_fee), WithJsonSchema(_FRACTION_TEXT)]
Whole = Annotated[int, Strict()]
Nodes = Annotated[Whole, bounded(bounds.NODES)]
NodesKept = Annotated[Whole, bounded(bounds.NODES_KEPT)]
Gpus = Annotated[Whole, bounded(bounds.GPUS_PER_NODE)]
Name = Annotated[str, Strict(), named(NAME)]
Reference = Annotated[str, Strict(), named(REFERENCE)]
Reasoning = Annotated[str, Strict(), written(bounds.REASON_CHARACTERS)]


def as_text(value: Any) -> Any:
    """A list of one entry stands for that entry."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value
