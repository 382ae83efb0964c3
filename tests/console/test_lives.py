"""A workload's life as it is drawn: a price stands where an attempt ran, and nowhere else."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from parkade.console.draw_timeline import Priced, timeline
from parkade.console.lives import life
from parkade.wire.feed import Event

BEGIN = datetime(2026, 1, 31, tzinfo=UTC)


def event(after_s: int, kind: str, **detail: Any) -> Event:
    return Event(
        sequence=after_s,
        type=kind,
        at=BEGIN + timedelta(seconds=after_s),
        workload="w1",
        says="",
        detail=detail,
    )


def cleared(after_s: int, change: str, price: str) -> Event:
    line = {"workload": "w1", "change": change, "price": price}
    return event(after_s, "Cleared", lines=[line])


TWO_RUNS = [
    cleared(0, "won", "7.00"),
    event(1, "Launched", attempt="w1.1"),
    event(2, "Started"),
    cleared(10, "repriced", "8.00"),
    event(20, "Ended"),
    cleared(40, "won", "9.00"),
    event(41, "Launched", attempt="w1.2"),
    event(45, "Started"),
]


def test_no_price_is_drawn_between_attempts_and_before_a_first_process() -> None:
    at_s = BEGIN.timestamp()
    found = life("w1", TWO_RUNS, since_s=at_s, until_s=at_s + 60)
    assert found.prices == (
        Priced(at_s + 2, at_s + 10, 7.0),
        Priced(at_s + 10, at_s + 20, 8.0),
        Priced(at_s + 45, at_s + 60, 9.0),
    )
    drawn = re.findall(r'<polyline class="price" points="([^"]+)"', str(timeline(found)))
    assert [len(line.split()) for line in drawn] == [4, 2]
