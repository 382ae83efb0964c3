"""Small forms of the console: what is wrong stands beside the field that it is about, under the
name that the field has, and nothing is said of what is not there."""

import html
import re
from collections.abc import Iterator

import pytest

from tests.api.town import Town
from tests.api.town import town as running
from tests.console.test_reserving import seen
from tests.console.visitor import Visitor, visitor


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with running(tmp_path_factory.mktemp("small")) as found:
        found.pool(nodes=24)
        yield found


def fault(page: str, field: str) -> str:
    found = re.search(rf'id="fault-{field}"[^>]*>([^<]*)<', page)
    assert found, f"{field} has no place for what is wrong with it"
    return html.unescape(found[1])


def test_an_operator_stops_and_starts_automatic_action_and_says_why(town: Town) -> None:
    person = visitor(town.url, town.operator)
    for action, is_on in (("stop", False), ("start", True)):
        assert f'href="/automation/{action}"' in person.text("/incidents")
        place = f"/automation/{action}"
        page = person.text(place)
        assert f"It is {'stopped' if is_on else 'on'} now" in seen(page)
        sent = person.submit(place, page)
        assert sent.status_code == 422 and fault(sent.text, "reason")
        sent = person.submit(place, page, reason="a drill")
        assert sent.status_code == 303, sent.text
        state = town.done(town.get("/mars"))
        assert (state["is_on"], state["reason"]) == (is_on, "a drill")
    assert "a drill, by operator since" in seen(person.text("/incidents"))
    assert person.get("/automation/pause").status_code == 404
    _, owner = town.org()
    assert visitor(town.url, owner).get("/automation/stop").status_code == 403


def owner_with(town: Town, nodes: int) -> tuple[Visitor, str]:
    org, token = town.org()
    town.done(town.post("/reservations", {"nodes": nodes, "name": org}, token))
    return visitor(town.url, token), org


def test_a_wrong_price_stands_beside_its_field_and_a_change_has_the_fields_name(town: Town) -> None:
    person = visitor(town.url, town.operator)
    page = person.get("/prices/lab", public_floor="abc", pay_as_you_go="-1").text
    assert "'abc' is not an amount" in fault(page, "public_floor")
    assert "must be 0 or more" in fault(page, "pay_as_you_go")
    assert fault(page, "reservation_rate") == ""
    assert "public_floor:" not in seen(page) and "Set these prices" not in page
    assert re.search(r'id="public_floor"[^>]*aria-invalid="true"', page)
    told = seen(person.text("/prices/lab", public_floor="1.61", pay_as_you_go="21"))
    assert "Public floor: 1.00 becomes 1.61" in told
    assert re.search(r"On demand: [0-9.]+ becomes 21.00", told)
    sent = person.submit("/prices/lab", person.text("/prices/lab"), public_floor="abc")
    assert sent.status_code == 422 and "'abc' is not an amount" in fault(sent.text, "public_floor")


def test_a_wrong_offer_stands_beside_its_field(town: Town) -> None:
    person, org = owner_with(town, 2)
    place = f"/reservations/{org}/lend"
    page = person.get(place, floor="abc", keep="1").text
    assert "'abc' is not an amount" in fault(page, "floor") and fault(page, "keep") == ""
    page = person.get(place, floor="1", keep="two").text
    assert fault(page, "keep") == "must be a whole number, not 'two'"
    page = person.get(place, floor="1", keep="9").text
    assert "keep 0 to 2 nodes" in fault(page, "keep")
    sent = person.submit(place, person.text(place), floor="1", keep="9")
    assert sent.status_code == 422 and "keep 0 to 2 nodes" in fault(sent.text, "keep")
    assert 'value="9"' in sent.text


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ("two", "must be a whole number, not 'two'"),
        ("0", "must be 1 or more"),
        ("3", "2 nodes of"),
        ("", "must be a whole number, not ''"),
    ],
)
def test_a_claim_that_cannot_be_says_so_on_its_form(town: Town, nodes: str, says: str) -> None:
    person, org = owner_with(town, 2)
    place = f"/reservations/{org}/claim"
    sent = person.submit(place, person.text(place), nodes=nodes)
    assert sent.status_code == 422 and says in fault(sent.text, "nodes")
    assert "Code" not in seen(sent.text), "the form, not the page of a problem"


def test_a_node_is_cordoned_for_a_reason_that_its_form_asks_for(town: Town) -> None:
    person = visitor(town.url, town.operator)
    place = "/nodes/lab-1/cordon"
    sent = person.submit(place, person.text(place), reason="")
    assert sent.status_code == 422 and fault(sent.text, "reason") == "is empty"


def test_an_org_that_has_nothing_loses_nothing(town: Town) -> None:
    person = visitor(town.url, town.operator)
    org, token = town.org("5")
    page = seen(person.text(f"/orgs/{org}/disable"))
    assert "it runs nothing and claims nothing" in page
    assert " 0 " not in page and "checkpoints" not in page and "reserved" not in page
    town.submit("lab", token, name="waits", limit_price="0.01")
    page = seen(person.text(f"/orgs/{org}/disable"))
    assert "1 workload gets the notice of its market, and ends" in page and "claim" not in page
