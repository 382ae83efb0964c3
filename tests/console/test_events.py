"""Events by what they are about: grouped and linked, and chosen by kind, type, subject and time."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from parkade.console.event_groups import (
    MOST_GROUPS,
    MOST_IN_ORDER,
    MOST_OF_A_GROUP,
    Asked,
    chosen,
    groups,
    page_of,
    subject_of,
)
from parkade.wire.feed import Event
from tests.api.town import town as running
from tests.console.stage import Stage
from tests.console.test_reserving import seen
from tests.console.visitor import visitor

NOW = datetime(2026, 1, 31, tzinfo=UTC)
ALL = Asked(kind="", about="", type="", start=None, end=None)


def event(sequence: int, type: str = "Started", **names: Any) -> Event:
    at = NOW + timedelta(seconds=sequence)
    return Event(sequence=sequence, type=type, at=at, says=f"event {sequence}", **names)


CLEARED = event(5, "Cleared", market="lab", detail={"lines": [{"workload": "w1"}, {"claim": "c1"}]})
FOUND = [
    CLEARED,
    event(4, "NodeCordoned", node="a1", market="lab"),
    event(3, "Claimed", claim="c1", reservation="acme", org="acme"),
    event(2, workload="w1", org="acme"),
    event(1, workload="w2", org="lab"),
]


def test_an_event_leads_to_what_it_is_about() -> None:
    assert [subject_of(it).kind for it in FOUND] == [
        "market",
        "node",
        "reservation",
        "workload",
        "workload",
    ]
    assert page_of(CLEARED) == "/market/clearings/5"
    assert page_of(FOUND[2]) == "/reservations/acme" and page_of(FOUND[3]) == "/workloads/w1"


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        (ALL._replace(kind="workload"), [2, 1]),
        (ALL._replace(about="w1"), [5, 2]),
        (ALL._replace(about="c1"), [5, 3]),
        (ALL._replace(about="acme"), [3, 2]),
        (ALL._replace(type="Cleared"), [5]),
        (ALL._replace(start=NOW + timedelta(seconds=2), end=NOW + timedelta(seconds=4)), [3, 2]),
        (ALL._replace(kind="node", about="w1"), []),
    ],
)
def test_events_are_chosen(asked: Asked, left: list[int]) -> None:
    assert [it.sequence for it in chosen(FOUND, asked)] == left


def test_groups_are_bounded_and_say_what_is_left_out() -> None:
    many = [event(at, workload="w1") for at in range(100, 100 - MOST_OF_A_GROUP - 5, -1)]
    (group,), left_out = groups(many)
    assert (len(group.events), group.left_out, left_out) == (MOST_OF_A_GROUP, 5, 0)
    assert group.events[0].sequence == 100
    found, left_out = groups(event(1, workload=f"w{at}") for at in range(MOST_GROUPS + 3))
    assert (len(found), left_out) == (MOST_GROUPS, 3)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running(tmp_path_factory.mktemp("events")) as town:
        yield Stage(town)


def test_the_page_groups_links_and_chooses(stage: Stage) -> None:
    person = visitor(stage.town.url, stage.town.operator)
    page = person.text("/events")
    row = re.search(rf'<tr id="about-workload-{stage.guest}">(.*?)</tr>', page, re.S)
    assert row and f'href="/workloads/{stage.guest}"' in row[1] and "before it" in row[1]
    nodes = person.text("/events", kind="reservation")
    assert "about-reservation-aurelia" in nodes and "about-workload" not in nodes
    ordered = person.text("/events", about=stage.guest, view="order")
    assert 'id="event-' in ordered and "/market/clearings/" in ordered
    assert f'href="/workloads/{stage.waiting}"' not in ordered
    assert "amp;amp;" not in ordered + nodes
    assert "None of that among" in seen(person.text("/events", to="2020-01-01"))
    bad = person.get("/events", **{"from": "2026-02-01", "to": "2026-01-01"})
    assert bad.status_code == 422 and "from has to be before to" in bad.text


def test_older_events_and_clearings_are_reached_by_their_position(stage: Stage) -> None:
    for _ in range(MOST_IN_ORDER // 2):
        stage.town.done(stage.town.post("/nodes/lab-8/cordon", {"reason": "a cable"}))
        stage.town.done(stage.town.post("/nodes/lab-8/uncordon"))
    person = visitor(stage.town.url, stage.town.operator)
    page, positions = person.text("/events", view="order"), list[int]()
    while True:
        positions += [int(it) for it in re.findall(r'<tr id="event-(\d+)"', page)]
        older = re.search(r'href="([^"]*)">Older ones', page)
        if older is None:
            break
        page = person.text(html.unescape(older[1]))
        assert "The newest" in page and 'id="list" data-live' not in page
    assert positions == list(range(positions[0], 0, -1)), "each once, down to the first"
    assert len(positions) > MOST_IN_ORDER
    first = person.text("/events", before=3)
    assert "entries 1 to 2 of the journal" in seen(first) and "Older ones" not in first
    early = person.text("/market", before=min(_clearings(person.text("/market"))))
    assert _clearings(early) == [] and "Clearings before position" in early
    assert person.get("/events", before=0).status_code == 422
    assert person.get(f"/market/clearings/{positions[0] + 1000}").status_code == 404


def _clearings(page: str) -> list[int]:
    return [int(it) for it in re.findall(r'<tr id="clearing-(\d+)">', page)]


def test_an_org_reads_of_no_other(stage: Stage) -> None:
    person = visitor(stage.town.url, stage.tokens["aurelia"])
    assert "bertram" not in person.text("/events") and "bertram" not in person.text(
        "/events", view="order"
    )
