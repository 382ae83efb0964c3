"""The form of a new workload: planned first, submitted once, and each fault beside its field."""

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest

from parkade.console.context import MOST_CHARACTERS
from parkade.console.submitting import digest_of, request_of
from tests.api.town import Town
from tests.api.town import town as running
from tests.console.visitor import Visitor, visitor

GOOD = {"name": "train", "command": "python train.py", "workdir": "/tmp", "limit_price": "0.10"}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Town, dict[str, Visitor]]]:
    with running(tmp_path_factory.mktemp("submit")) as town:
        town.pool()
        people = {"operator": visitor(town.url, town.operator)}
        for org in ("aurelia", "bertram"):
            town.done(town.post("/orgs", {"org": org}))
            town.done(town.post(f"/orgs/{org}/deposits", {"amount": "100"}))
            people[org] = visitor(town.url, town.user(org))
        looks = {"user": "operator", "is_read_only": True}
        only = town.done(town.post("/tokens", looks))["secret"]
        people["looks"] = visitor(town.url, only)
        yield town, people


def names(town: Town) -> list[str]:
    return [it["name"] for it in town.done(town.get("/workloads", all="true"))["workloads"]]


def plan(person: Visitor, **fields: str) -> Any:
    return person.submit("/submit", person.text("/submit"), do="plan", **fields)


def fault(page: str, field: str) -> str:
    (told,) = re.findall(rf'data-fault="{field}"[^>]*>(.*?)</p>', page)
    return html.unescape(told)


def test_what_is_planned_is_shown_and_submitted_once(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    person = people["aurelia"]
    planned = plan(person, **GOOD)
    assert planned.status_code == 200
    assert "Would wait" in planned.text and "train" not in names(town)
    answers = [person.submit("/submit", planned.text, do="submit", **GOOD) for _ in range(2)]
    assert [it.status_code for it in answers] == [303, 303]
    assert answers[0].headers["location"] == answers[1].headers["location"]
    assert names(town).count("train") == 1
    made = town.done(town.get(answers[0].headers["location"]))
    assert (made["org"], made["limit_price"]) == ("aurelia", "0.10")


def test_what_was_changed_since_its_plan_is_planned_first(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    person = people["aurelia"]
    planned = plan(person, **GOOD).text
    changed = GOOD | {"name": "changed", "gpus": "2"}
    answer = person.submit("/submit", planned, do="submit", **changed)
    assert answer.status_code == 200 and "submit it once more" in answer.text
    assert "changed" not in names(town)
    assert person.submit("/submit", answer.text, do="submit", **changed).status_code == 303
    assert "changed" in names(town)


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"limit_price": ""}, "limit_price", "spot needs the most you would pay"),
        ({"limit_price": "cheap"}, "limit_price", "not an amount"),
        ({"nodes": "many"}, "nodes", "must be a whole number"),
        ({"name": "<b>"}, "name", "letters"),
        ({"workdir": ""}, "workdir", "absolute path"),
        ({"command": ""}, "command", "missing"),
        ({"env": "A=1\nB"}, "env", "line 2: write NAME=VALUE"),
        ({"env": "PARKADE_X=1"}, "env", "set by us"),
        ({"labels": "team=a\nteam=b"}, "labels", "line 2: stands twice"),
        ({"more": "checkpoint: {needs: soon}"}, "more", "checkpoint.needs"),
        ({"more": "nodez: 3"}, "more", "did you mean `nodes`?"),
        ({"more": "name: other"}, "more", "written in its own field too"),
        ({"more": "[1]"}, "more", "keys and values"),
        ({"more": "a: !!timestamp x"}, "more", "not YAML"),
        ({"more": "a: !!bool x"}, "more", "not YAML"),
        ({"more": "a: " + "[" * 5_000}, "more", "200 brackets"),
        ({"more": "a: 1\n" * 10_000}, "more", "10,000 characters"),
        ({"market": "nowhere"}, "", "nowhere"),
        ({"market": "lab", "nodes": "99"}, "nodes", "at most 8 nodes"),
        ({"capacity": "reservation/none", "limit_price": ""}, "", "none"),
    ],
)  # fmt: skip
def test_each_fault_stands_beside_its_field_and_nothing_that_was_written_is_lost(
    scene: Any, fields: dict[str, str], field: str, says: str
) -> None:
    town, people = scene
    before = names(town)
    answer = plan(people["aurelia"], **GOOD | fields)
    assert answer.status_code == 422
    assert says in fault(answer.text, field)
    assert re.search(r'name="planned" value=""', answer.text), "nothing of it can be submitted"
    for written in (GOOD | fields).values():
        assert html.escape(written.replace("\n", " "))[:3] in answer.text.replace("\n", " ")
    assert names(town) == before


def test_keys_without_a_field_are_yaml() -> None:
    made, faults = request_of(GOOD | {"more": "checkpoint: torch\nretry: {failures: 2}"})
    assert not faults and made is not None
    assert made.spec.checkpoint is not None and made.spec.checkpoint.preset == "torch"
    assert made.spec.retry.failures == 2


def test_a_plan_is_of_all_that_the_form_says() -> None:
    assert digest_of(GOOD) == digest_of({**GOOD, "do": "plan", "planned": "x"})
    for name in GOOD:
        assert digest_of(GOOD) != digest_of(GOOD | {name: "other"})
    assert digest_of({"name": "a", "command": "b"}) != digest_of({"name": "ab"})


def test_a_member_submits_for_its_own_org_alone(scene) -> None:  # type: ignore[no-untyped-def]
    _, people = scene
    page = people["bertram"].text("/submit")
    assert "aurelia" not in page and "Paid by" not in page
    refused = plan(people["bertram"], **GOOD, org="aurelia")
    assert refused.status_code == 422 and "you belong to bertram" in refused.text
    assert "Paid by" in people["operator"].text("/submit")
    assert plan(people["operator"], **GOOD, org="aurelia").status_code == 200


def test_what_money_is_missing_is_said_in_the_form_and_on_the_page_after_it(scene) -> None:  # type: ignore[no-untyped-def]
    _, people = scene
    dear = GOOD | {"name": "dear", "limit_price": "9000"}
    planned = plan(people["bertram"], **dear)
    assert "are missing (an operator adds it: parkade deposit bertram" in planned.text
    assert "it waits until the money is there" in planned.text
    made = people["bertram"].submit("/submit", planned.text, do="submit", **dear)
    page = people["bertram"].text(made.headers["location"])
    assert "are missing (an operator adds it: parkade deposit bertram" in page


def test_a_token_that_may_only_look_plans_and_submits_nothing(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    before = names(town)
    planned = plan(people["looks"], **GOOD, org="aurelia")
    assert planned.status_code == 200 and "may only look" in planned.text
    answer = people["looks"].submit("/submit", planned.text, do="submit", **GOOD, org="aurelia")
    assert answer.status_code == 422 and "may only look" in answer.text
    assert names(town) == before


def test_the_form_of_another_session_is_refused(scene) -> None:  # type: ignore[no-untyped-def]
    _, people = scene
    page = people["bertram"].text("/submit")
    assert people["aurelia"].submit("/submit", page, do="plan", **GOOD).status_code == 403


@pytest.mark.parametrize("field", ["command", "env", "labels", "more", "name"])
@pytest.mark.parametrize("filling", ["'", "a\n", "k=v\n", "[", "\u00e9"])
def test_the_page_of_a_wrong_form_is_bounded(  # type: ignore[no-untyped-def]
    scene, field: str, filling: str
) -> None:
    _, people = scene
    empty = len(people["bertram"].text("/submit").encode())
    for characters in (60_000, 1_000_000 // len(filling.encode())):
        text = (filling * characters)[:characters]
        told = plan(people["bertram"], **{**GOOD, field: text})
        assert told.status_code in ((413,) if characters > MOST_CHARACTERS else (200, 422))
        assert len(told.content) <= empty + 6 * MOST_CHARACTERS


def test_a_form_of_very_many_lines_is_refused_in_words(scene) -> None:  # type: ignore[no-untyped-def]
    _, people = scene
    told = plan(people["bertram"], **GOOD, env="a\n" * 20_000)
    assert told.status_code == 422
    assert fault(told.text, "env") == "at most 1,000 lines"


def test_the_plan_of_an_array_is_said_to_be_of_one_member(scene) -> None:  # type: ignore[no-untyped-def]
    _, people = scene
    page = plan(people["aurelia"], **{**GOOD, "limit_price": "3"}, more="array: 0-9%3").text
    assert "this is of one member of 10, of which 3 run at once at most" in page
    assert "<dt>an hour, of one</dt>" in page
    assert "of one" not in plan(people["aurelia"], **GOOD).text
