"""What a form showed is what its change is made on: where that is otherwise by then, nothing is
done, and the page says so and leads to the form of now."""

import html
import re
from collections.abc import Iterator

import httpx
import pytest

from tests.api.town import Town
from tests.api.town import town as running
from tests.console.test_reserving import seen
from tests.console.visitor import Visitor, visitor


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with running(tmp_path_factory.mktemp("shown")) as found:
        found.pool(nodes=24)
        yield found


def refused(person: Visitor, sent: httpx.Response) -> str:
    """The form of now, to which the page of what was not done leads."""
    assert sent.status_code == 412, sent.text
    assert "It was changed meanwhile" in seen(sent.text) and "nothing was done" in sent.text
    again = re.search(r'href="([^"]+)">Show the form again', sent.text)
    assert again is not None
    return person.text(html.unescape(again[1]))


def test_a_limit_is_set_on_the_bid_that_was_shown(town: Town) -> None:
    _, token = town.org()
    workload = town.submit("lab", token, name="asks", limit_price="0.01")
    person, place = visitor(town.url, token), f"/workloads/{workload}/bid"
    page = person.text(place, limit_price="0.02")
    town.done(town.post(f"/workloads/{workload}/bid", {"limit_price": "0.03"}, token))
    now = refused(person, person.submit(place, page))
    assert town.done(town.get(f"/workloads/{workload}", token))["limit_price"] == "0.03"
    assert "Set the limit to 0.02" in seen(now), "what was typed is kept"
    assert person.submit(place, now).status_code == 303
    assert person.submit(place, now).status_code == 303, "sent twice it is done once"
    assert town.done(town.get(f"/workloads/{workload}", token))["limit_price"] == "0.02"


def test_prices_are_set_on_the_sheet_that_was_shown(town: Town) -> None:
    person = visitor(town.url, town.operator)
    page = person.text("/prices/lab", reservation_rate="5")
    town.done(town.post("/prices/lab", {"reservation_rate": "6"}))
    now = refused(person, person.submit("/prices/lab", page))
    assert town.done(town.get("/prices/lab"))["reservation_rate"] == "6.00"
    assert "6.00 becomes 5.00" in seen(now)
    assert person.submit("/prices/lab", now).status_code == 303


def test_an_offer_and_a_change_are_made_on_the_reservation_that_was_shown(town: Town) -> None:
    org, token = town.org()
    town.done(town.post("/reservations", {"nodes": 2, "name": org}, token))
    person = visitor(town.url, token)
    lend, split = f"/reservations/{org}/lend", f"/reservations/{org}/change/split"
    offer = person.text(lend, floor="1", keep="1")
    part = person.text(split, nodes="1")
    town.done(town.post(f"/reservations/{org}/lend", {"floor": "2", "keep": 0}, token))
    assert 'value="1"' in refused(person, person.submit(lend, offer))
    now = refused(person, person.submit(split, part))
    kept = town.done(town.get(f"/reservations/{org}", token))
    assert (kept["nodes"], kept["lending"]["floor"]) == (2, "2.00")
    assert person.submit(split, now).status_code == 303


def test_a_user_and_an_org_are_changed_as_they_were_shown(town: Town) -> None:
    org, _ = town.org()
    town.done(town.post("/users", {"user": "eve", "org": org, "role": "member"}))
    person = visitor(town.url, town.operator)
    role, disable = person.text("/users/eve/role"), person.text("/users/eve/disable")
    town.done(town.post("/users/eve/role", {"role": "owner"}))
    again = refused(person, person.submit("/users/eve/role", role, role="partner"))
    assert "<option selected>partner</option>" in again and "owner of" in again
    refused(person, person.submit("/users/eve/disable", disable))
    page = person.text(f"/orgs/{org}/disable")
    town.done(town.post(f"/orgs/{org}/description", {"title": "The lab"}))
    refused(person, person.submit(f"/orgs/{org}/disable", page))
    found = town.done(town.get("/users/eve"))
    assert (found["role"], found["is_disabled"]) == ("owner", False)
    assert town.done(town.get(f"/orgs/{org}"))["disabled"] is None


def test_what_is_not_there_is_not_found(town: Town) -> None:
    person = visitor(town.url, town.operator)
    for place in ("/nodes/no/cordon", "/prices/no", "/orgs/no/disable", "/users/no/role"):
        assert person.get(place).status_code == 404, place
