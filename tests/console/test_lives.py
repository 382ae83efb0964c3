"""The life of a workload as it is told: the price line stands where something was paid."""

from datetime import UTC, datetime
from typing import Any

from parkade.console.draw_timeline import timeline
from parkade.console.lives import life
from parkade.wire.feed import Event


def event(at_s: float, kind: str, **detail: Any) -> Event:
    at = datetime.fromtimestamp(at_s, UTC)
    return Event.model_construct(sequence=1, at=at, type=kind, says=kind, detail=detail)


def won(at_s: float, price: str) -> Event:
    line = {"workload": "w1", "change": "won", "price": price}
    return event(at_s, "Cleared", lines=[line])


STORY = (
    won(1000, "7.00"),
    event(1001, "Launched", attempt="w1.1"),
    event(1002, "Started"),
    event(1100, "Ended"),
    won(1200, "6.00"),
    event(1201, "Launched", attempt="w1.2"),
)


def test_no_price_stands_between_two_attempts() -> None:
    found = life("w1", STORY, since_s=1000, until_s=1300)
    assert found.prices == ((1000, 7.0), (1100, None), (1200, 6.0))
    drawn = str(timeline(found))
    assert drawn.count('class="price"') == 2, "a line for each time in which it was paid"


def test_what_ended_pays_nothing_after_its_end() -> None:
    found = life("w1", STORY[:4], since_s=1000, until_s=1300)
    assert found.prices[-1] == (1100, None)
    assert str(timeline(found)).count('class="price"') == 1
