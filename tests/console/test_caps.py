"""Caps in the console: what one stops is said first, and it is set on what was shown."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.town import Town
from tests.api.town import town as running
from tests.console.test_reserving import seen
from tests.console.test_shown import refused
from tests.console.test_small_forms import fault
from tests.console.visitor import visitor


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with running(tmp_path_factory.mktemp("caps")) as found:
        found.pool(nodes=24, notice="60s")
        yield found


def user_of(town: Town, token: str) -> str:
    return str(town.done(town.get("/whoami", token))["user"])


def cap_of(town: Town, place: str) -> tuple[Any, ...]:
    found = town.done(town.get(place))
    return found["cap"], found["cap_period"], found["most_gpus"]


def test_a_cap_says_which_work_it_stops_and_is_set_on_what_was_shown(town: Town) -> None:
    org, token = town.org()
    workload = town.submit("lab", token, name="runs", nodes=2, gpus=2)
    attempt = town.wait_for_attempt("lab", workload)
    assert town.observe("lab", town.running(attempt)).is_success
    person, place = visitor(town.url, town.operator), f"/orgs/{org}/cap"
    assert f'href="{place}"' in person.text("/operate")
    assert "The cap is none" in seen(person.text(place))
    page = person.text(place, cap="800", period="month", most_gpus="1")
    for says in (
        "cap on money: none becomes 800.00 a month",
        "GPUs at once: none becomes 1",
        f"the next clearing gives notice to {workload}",
    ):
        assert says in seen(page)
    assert cap_of(town, f"/orgs/{org}") == (None, "total", None), "nothing was changed yet"
    town.done(town.post(f"/orgs/{org}/cap", {"cap": None, "most_gpus": 8}))
    now = refused(person, person.submit(place, page))
    assert "GPUs at once: 8 becomes 1" in seen(now)
    assert person.submit(place, now).status_code == 303
    assert cap_of(town, f"/orgs/{org}") == ("800.00", "month", 1)
    page = person.text(place, cap="", period="total", most_gpus="")
    assert "800.00 a month becomes none" in seen(page) and "no work that has seats" in seen(page)
    assert person.submit(place, page).status_code == 303
    assert cap_of(town, f"/orgs/{org}") == (None, "total", None)


def test_an_owner_caps_its_users_and_its_org_unless_an_operator_did(town: Town) -> None:
    org, token = town.org()
    person, member = visitor(town.url, token), user_of(town, town.user(org))
    listed = person.text("/money")
    for place in (f"/orgs/{org}/cap", f"/users/{member}/cap"):
        assert f'href="{place}"' in listed
        page = person.text(place, cap="0", period="total", most_gpus="4")
        assert "0.00 is spent already, so no bid starts" in seen(page)
        assert person.submit(place, page).headers["location"] == "/money"
    assert cap_of(town, f"/users/{member}") == ("0.00", "total", 4)
    town.done(town.post(f"/orgs/{org}/cap", {"cap": "5"}))
    page = person.text(f"/orgs/{org}/cap")
    assert "only an operator changes it" in seen(page) and 'name="cap"' not in page


def test_a_cap_is_not_the_business_of_others(town: Town) -> None:
    org, _ = town.org()
    member = town.user(org)
    for place in (f"/orgs/{org}/cap", f"/users/{user_of(town, member)}/cap"):
        assert visitor(town.url, member).get(place).status_code == 403
        assert visitor(town.url, town.user(org, "partner")).get(place).status_code == 403
        assert visitor(town.url, town.org()[1]).get(place).status_code == 404
    assert "/cap" not in visitor(town.url, member).text("/workloads")


def test_what_is_wrong_with_a_cap_stands_beside_its_field(town: Town) -> None:
    org, _ = town.org()
    person, place = visitor(town.url, town.operator), f"/orgs/{org}/cap"
    page = person.get(place, cap="abc", period="week", most_gpus="two").text
    assert "'abc' is not an amount" in fault(page, "cap")
    assert "whole number" in fault(page, "most_gpus") and fault(page, "period")
    assert "Set this cap" not in page
    same = person.get(place, cap="", period="total", most_gpus="")
    assert same.status_code == 422 and "nothing would change" in seen(same.text)
    sent = person.submit(place, person.text(place), cap="-1")
    assert sent.status_code == 422 and fault(sent.text, "cap")
    assert person.get(place, cap="1" * 61).status_code == 422


def test_a_token_that_only_looks_sees_what_a_cap_stops_and_sets_none(town: Town) -> None:
    org, token = town.org()
    asked = {"user": user_of(town, token), "is_read_only": True}
    looks = town.done(town.post("/tokens", asked, token))["secret"]
    person = visitor(town.url, looks)
    page = person.text(f"/orgs/{org}/cap", cap="5", period="total", most_gpus="")
    assert "Your token may only look" in page and "Set this cap" not in page
    assert person.submit(f"/orgs/{org}/cap", page).status_code == 403
