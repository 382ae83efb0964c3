from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.core.units.money import format_amount as core_format
from parkade.wire.scalars import (
    format_amount,
    format_instant,
    format_span,
    parse_amount,
    parse_instant,
    parse_span,
    parse_when,
)

NOW = datetime(2026, 2, 28, 23, 0, tzinfo=UTC)
FIRST = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
LAST = FIRST.replace(year=9000)
MICROS = st.integers(-(10**18) + 1, 10**18 - 1)


@given(MICROS)
def test_money_is_the_same_text_on_the_wire_and_in_the_core(micros: int) -> None:
    amount = Decimal(micros).scaleb(-6)
    assert format_amount(amount) == core_format(micros)
    assert parse_amount(format_amount(amount)) == amount


@pytest.mark.parametrize(
    "value", [2.5, True, None, "", "2.5.0", "1e3", "NaN", "0.1234567", " 1", "\uff11", "1" * 13]
)
def test_what_is_not_exact_money_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_amount(value)


@given(st.integers(0, 10**12).map(lambda milliseconds: timedelta(milliseconds=milliseconds)))
def test_a_span_is_read_back_as_it_was_told(span: timedelta) -> None:
    assert parse_span(format_span(span)) == span


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("5m", 300), ("2h", 7200), ("24h", 86_400), ("1h30m", 5400), ("500ms", 0.5)],
)
def test_spans_are_what_people_mean(text: str, seconds: float) -> None:
    assert parse_span(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "5 m", "-5m", "1.5h", "m", "9" * 10 + "s", "99999999d"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_span(text)


@given(st.datetimes(FIRST, LAST, timezones=st.just(UTC)))
def test_an_instant_is_read_back_to_the_microsecond(instant: datetime) -> None:
    assert parse_instant(format_instant(instant)) == instant


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("now", NOW),
        ("+2h", datetime(2026, 3, 1, 1, 0, tzinfo=UTC)),
        ("-7d", datetime(2026, 2, 21, 23, 0, tzinfo=UTC)),
        ("today", datetime(2026, 2, 28, 0, 0, tzinfo=UTC)),
        ("yesterday", datetime(2026, 2, 27, 0, 0, tzinfo=UTC)),
        ("tomorrow", datetime(2026, 3, 1, 0, 0, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, 0, 0, tzinfo=UTC)),
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, 0, tzinfo=UTC)),
        ("2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, 0, tzinfo=UTC)),
    ],
)
def test_a_date_is_written_as_a_person_writes_it(text: str, instant: datetime) -> None:
    assert parse_when(text, now=NOW) == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "later",
        "+",
        "-",
        "+2",
        "2026-13-01",
        "0001-01-01x",
        "2026-01-31T12:00:00",
        "20260131",
        "0001-01-01T00:00:00+23:00",
    ],
)
def test_an_instant_without_a_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_when(text, now=NOW)
