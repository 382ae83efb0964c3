"""Every route as every caller: who is answered, what is refused, and what a refusal tells.

`NEEDS` in `roles.py` says of each route what its caller must be. Others are refused before anything
changes, in words that are the same whether the thing that they named exists or not.
"""

from collections.abc import Iterator

import pytest

from parkade.api.context import digest_of
from tests.api.roles import ABSENT, NEEDS, OUTSIDE, SECRETS, WITHOUT_TOKEN, Cast
from tests.api.test_turns import ENTRIES
from tests.api.town import town as running

# Routes that say no to an operator as well, for another reason than who asks.
REFUSED_TO_ALL = {
    "POST /v1/receivers": {422},
    "GET /v1/receivers/{receiver}": {404},
    "POST /v1/receivers/{receiver}/remove": {404},
    "POST /v1/receivers/{receiver}/test": {404},
    "POST /v1/receivers/{receiver}/confirm": {404},
    "POST /v1/pools": {409},
    "POST /v1/pools/{pool}/close": {409},
    "POST /v1/pools/{pool}/fence": {409},
    "POST /v1/pools/{pool}/unfence": {409},
    "POST /v1/orgs/{org}/refunds": {402},
    "POST /v1/orgs/{org}/delete": {409},
    "POST /v1/users/{user}/delete": {409},
    "POST /v1/workloads/{workload}/retry": {422},
    "POST /v1/workloads/{workload}/resubmit": {409},
    "POST /v1/nodes/{node}/undrain": {409},
    "POST /v1/nodes/{node}/uncordon": {409},
    "POST /v1/nodes/{node}/restore": {409},
    "POST /v1/nodes/{node}/remove": {409},
    "POST /v1/pools/{pool}/observation": {422},
    "POST /v1/pools/{pool}/log-chunks/{log_request}": {404},
    "GET /v1/mars/incidents/{incident}": {404},
    "GET /v1/workloads/{workload}/logs": {404},
    "POST /v1/workloads/{workload}/exec": {409},
    "GET /v1/execs/{session}/output": {404},
    "POST /v1/execs/{session}/input": {404},
    "POST /v1/execs/{session}/window": {404},
    "POST /v1/execs/{session}/close": {404},
    "GET /v1/pools/{pool}/execs/{session}/input": {404},
    "POST /v1/pools/{pool}/execs/{session}/output": {404},
    "GET /v1/workloads/{workload}/logs/offset": {404},
}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cast]:
    """One server for the whole table."""
    with running(tmp_path_factory.mktemp("roles")) as town:
        yield Cast(town)


def without(text: str, names: dict[str, str]) -> str:
    """The text with placeholders where it has the names that were asked for."""
    for key in sorted(names, key=lambda each: len(names[each]), reverse=True):
        text = text.replace(names[key], f"<{key}>")
    return text


def test_the_table_of_callers_names_every_route() -> None:
    assert set(NEEDS) | WITHOUT_TOKEN == set(ENTRIES)


@pytest.mark.parametrize("route", NEEDS)
def test_a_route_answers_those_who_may(people: Cast, route: str) -> None:
    story = people.story(route)
    weakest, *_ = story.answered.values()
    allowed = REFUSED_TO_ALL.get(route, set())
    assert weakest.is_success or weakest.status_code in allowed, weakest.text
    for caller, answer in story.answered.items():
        assert answer.status_code not in (401, 403), (caller, answer.text)


@pytest.mark.parametrize("route", NEEDS)
def test_a_route_refuses_those_who_may_not_and_changes_nothing(people: Cast, route: str) -> None:
    story = people.story(route)
    for caller, answer in story.refused.items():
        assert answer.status_code in (403, 404), (caller, answer.text)
    assert story.made == []


@pytest.mark.parametrize("route", NEEDS)
def test_no_route_answers_without_a_token_or_with_one_that_was_revoked(
    people: Cast, route: str
) -> None:
    for answer in people.story(route).without_token:
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("route", NEEDS)
def test_no_outsider_is_told_what_an_org_has_or_that_it_exists(people: Cast, route: str) -> None:
    story = people.story(route)
    for caller in OUTSIDE:
        if caller in story.refused:
            found, missing = story.refused[caller], story.absent[caller]
            assert found.status_code == missing.status_code
            assert without(found.text, story.names) == without(missing.text, ABSENT), caller
        answer = story.refused.get(caller) or story.answered[caller]
        told = without(answer.text, story.names)
        assert not [word for word in SECRETS if word in told], (caller, told)


@pytest.mark.parametrize("route", NEEDS)
def test_no_answer_has_a_token_or_its_digest(people: Cast, route: str) -> None:
    story, tokens = people.story(route), list(people.tokens.values())
    secrets = [*tokens, *map(digest_of, tokens)]
    for answer in (*story.refused.values(), *story.answered.values()):
        assert not [secret for secret in secrets if secret in answer.text]


def test_a_token_that_may_only_look_looks_and_changes_nothing(people: Cast) -> None:
    town = people.town
    made = town.done(town.post("/tokens", {"user": "operator", "is_read_only": True}))
    assert town.get("/orgs", made["secret"]).is_success
    before = people.position()
    for route in NEEDS:
        if route.startswith("POST"):
            answer = people.ask(route, made["secret"], ABSENT)
            # A plan is a look.
            assert not answer.is_success or route.endswith("/plan"), route
    assert people.position() == before
