"""Nodes are reserved and changed from the browser, each with its cost before it is made."""

import html
import re
from collections.abc import Iterator

import pytest

from tests.api.town import Town
from tests.api.town import town as running
from tests.console.visitor import Visitor, visitor


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with running(tmp_path_factory.mktemp("reserving")) as found:
        found.pool(nodes=24, billing_period="1h")
        yield found


def owner(town: Town) -> tuple[Visitor, str, str]:
    """(an owner at the console, its token, its org)."""
    org, token = town.org()
    return visitor(town.url, token), token, org


def names(town: Town, token: str) -> list[str]:
    listed = town.done(town.get("/reservations", token))["reservations"]
    return [each["reservation"] for each in listed]


def seen(page: str) -> str:
    """What a page says, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_nothing_is_bought_that_was_not_planned_and_then_once(town: Town) -> None:
    person, token, _ = owner(town)
    page = person.text("/reserve")
    fields = {"nodes": "2", "start": "+2h", "end": "+5h", "name": "right"}
    planned = person.submit("/reserve", page, do="submit", **fields)
    assert names(town, token) == [], "the first answer is the plan"
    body = {"nodes": 2, "start": "+2h", "end": "+5h"}
    plan = town.done(town.post("/reservations/plan", body, token))
    told = seen(planned.text)
    assert f"{plan['now']} USD, for its time until" in told
    assert f"given up before it begins, it costs the {plan['now']}" in told
    other = person.submit("/reserve", planned.text, do="submit", **{**fields, "nodes": "3"})
    assert names(town, token) == [], "what was planned is not what is asked for"
    for _ in range(2):
        sold = person.submit("/reserve", other.text, do="submit", **{**fields, "nodes": "3"})
        assert sold.headers["location"] == "/reservations/right@" + names(town, token)[0][6:]
    assert len(names(town, token)) == 1


def test_the_form_opens_with_the_plan_of_what_stands_in_it(town: Town) -> None:
    person, token, _ = owner(town)
    page = person.text("/reserve")
    plan = town.done(town.post("/reservations/plan", {"nodes": 1}, token))
    assert f"{plan['now']} USD, for its time until" in seen(page)
    assert re.search(r'<button id="go"[^>]*>', page) and "disabled" not in page
    sold = person.submit("/reserve", page, do="submit", nodes="1")
    assert sold.status_code == 303 and len(names(town, token)) == 1


def test_the_form_says_at_once_what_stands_against_it(town: Town) -> None:
    _, token = town.org(money="1")
    page = seen(visitor(town.url, token).text("/reserve"))
    assert "the first period costs" in page and "ask an operator to deposit" in page
    assert "The plan follows once that is mended." in page


def test_a_window_that_never_began_is_shown_as_given_up(town: Town) -> None:
    person, token, org = owner(town)
    body = {"nodes": 1, "name": org, "start": "+2h", "end": "+5h"}
    town.done(town.post("/reservations", body, token))
    town.done(town.post(f"/reservations/{org}/end", {}, token))
    page = seen(person.text(f"/reservations/{org}"))
    assert "given up" in page and "before it began" in page
    assert "its end" not in page and "it is over" not in page


def test_a_later_end_says_that_it_counts_from_the_present_one(town: Town) -> None:
    person, token, org = owner(town)
    town.done(town.post("/reservations", {"nodes": 1, "name": org, "end": "+5h"}, token))
    place = f"/reservations/{org}/change/extend"
    assert "+2h: two hours after its present end" in seen(person.text(place))
    assert "nothing is charged now; the added time costs 16.00" in seen(
        person.text(place, end="+2h")
    )


def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(town: Town) -> None:
    person, token, _ = owner(town)
    page = person.text("/reserve")
    for fields, place, says in (
        ({"nodes": "many"}, "nodes", "must be a whole number, not &#39;many&#39;"),
        ({"nodes": "-3"}, "nodes", "must be 1 or more"),
        ({"nodes": "99999999999999999999"}, "nodes", "must be 100,000 or less"),
        ({"nodes": "500"}, "nodes", "nodes that can be sold"),
        ({"nodes": "1", "end": "soon"}, "end", "not an instant"),
        ({"nodes": "1", "start": "+5h", "end": "+2h"}, "end", "before the start"),
    ):
        refused = person.submit("/reserve", page, do="submit", **fields)
        assert refused.status_code == 422
        found = re.search(rf'id="fault-{place}"[^>]*>([^<]*)<', refused.text)
        assert found and says in found[1], (fields, refused.text)
        for name, value in fields.items():
            assert f'name="{name}"' in refused.text and f'value="{value}"' in refused.text
    assert names(town, token) == []


@pytest.mark.parametrize(
    ("change", "window", "fields", "says"),
    [
        ("extend", {"end": "+5h"}, {"end": "+9h"}, "nothing is charged now; the added time costs"),
        ("shrink", {}, {"nodes": "1"}, "until then it is paid"),
        ("shrink", {"start": "+2h", "end": "+5h"}, {"nodes": "1"}, "is kept, and not given back"),
        ("end", {}, {}, "until when it is paid; nothing more is charged"),
        ("end", {"start": "+2h", "end": "+5h"}, {}, "is kept, and not given back"),
        ("split", {"end": "+5h"}, {"nodes": "1"}, "both cost together what it costs now"),
    ],
)
def test_a_change_is_told_with_its_cost_and_made_once(
    town: Town, change: str, window: dict[str, str], fields: dict[str, str], says: str
) -> None:
    person, token, org = owner(town)
    body = {"nodes": 2, "name": org, **window}
    name = town.done(town.post("/reservations", body, token))["reservation"]
    place = f"/reservations/{name}/change/{change}"
    assert f'href="{place}"' in person.text(f"/reservations/{name}")
    page = person.text(place, **fields)
    assert says in page
    before = len(town.events(token))
    for _ in range(2):
        assert person.submit(place, page).status_code == 303
    kinds = [event["type"] for event in town.events(token)[before:]]
    assert kinds.count("ReservationDivided") == (change in ("split", "shrink"))
    assert kinds.count("ReservationChanged") == (change != "split")


def test_a_change_that_is_refused_says_why_on_its_form(town: Town) -> None:
    person, token, org = owner(town)
    body = {"nodes": 2, "name": org, "end": "+5h"}
    town.done(town.post("/reservations", body, token))
    offered = person.text(f"/reservations/{org}")
    assert "/change/shrink" not in offered and "/change/end" not in offered, "it has begun"
    assert "/change/hand-over" not in offered, "an operator hands over"
    place = f"/reservations/{org}/change"
    refused = person.get(f"{place}/extend", end="-1h")
    assert refused.status_code == 422 and "give a later end than it has" in refused.text
    assert 'value="-1h"' in refused.text and "Extend it" not in refused.text
    assert "owed as a whole" in person.get(f"{place}/shrink", nodes="1").text
    sent = person.submit(f"{place}/shrink", offered, nodes="1")
    assert sent.status_code == 422 and "owed as a whole" in sent.text
    assert person.get(f"{place}/hand-over").status_code == 404


def test_an_operator_hands_nodes_over_and_sees_who_pays_from_when(town: Town) -> None:
    person, operator = visitor(town.url, town.operator), town.operator
    _, token, org = owner(town)
    lab, _ = town.org()
    town.done(town.post("/reservations", {"nodes": 2, "name": org}, token))
    place = f"/reservations/{org}/change/hand-over"
    assert "say to which org" in person.get(place, nodes="1").text
    page = person.text(place, nodes="1", org=lab)
    assert f"and {org} no more" in page and "paid ahead for them goes with them" in page
    assert person.submit(place, page).status_code == 303
    listed = town.done(town.get("/reservations", operator))["reservations"]
    assert [it["nodes"] for it in listed if it["org"] in (org, lab)] == [1, 1]


def test_a_member_is_offered_no_change_and_a_stranger_is_told_nothing(town: Town) -> None:
    _, token, org = owner(town)
    town.done(town.post("/reservations", {"nodes": 2, "name": org}, token))
    member = visitor(town.url, town.user(org))
    assert "/change/" not in member.text(f"/reservations/{org}")
    assert "/reserve" not in member.text("/reservations")
    assert member.get("/reserve").status_code == 403
    assert member.get(f"/reservations/{org}/change/end").status_code == 404
    stranger, _, _ = owner(town)
    for path in ("", "/change/end", "/change/extend?end=%2B9h"):
        assert stranger.get(f"/reservations/{org}{path}").status_code == 404
