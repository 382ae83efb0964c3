"""The short way of plain requests gives what FastAPI's way gives."""

from typing import Any

import pytest

from parkade.api.app import NOUNS
from parkade.api.context import Authenticated
from parkade.api.routing import StrictRoute, router
from parkade.wire.people import Org
from tests.api.town import Town

WAYS = ("application/json", "application/json; charset=utf-8")
"""A request of the second kind goes FastAPI's way."""


def test_what_is_asked_most_is_plain() -> None:
    routes = [it for noun in NOUNS for it in noun.router.routes if isinstance(it, StrictRoute)]
    plain = {(it.path, method) for it in routes if it.plain for method in it.methods or ()}
    assert plain >= {
        ("/v1/workloads", "POST"),
        ("/v1/workloads/{workload}", "GET"),
        ("/v1/workloads/{workload}/cancel", "POST"),
        ("/v1/whoami", "GET"),
    }


def test_what_wants_more_than_a_viewer_and_a_body_is_not_plain() -> None:
    made = router("test")

    @made.get("/waits")
    def waits(context: Authenticated) -> Org:
        raise NotImplementedError

    @made.get("/asks")
    async def asks(context: Authenticated, name: str = "") -> Org:
        raise NotImplementedError

    @made.get("/open")
    async def is_open() -> Org:
        raise NotImplementedError

    @made.get("/plain/{name}")
    async def plain(name: str, context: Authenticated) -> Org:
        raise NotImplementedError

    routes = [it for it in made.routes if isinstance(it, StrictRoute)]
    assert [it.path for it in routes if it.plain] == ["/v1/plain/{name}"]
    assert len(routes) == 4


def ask(town: Town, way: str, path: str, body: str, token: str | None = None) -> Any:
    headers = {**town.headers(token), "Content-Type": way}
    return town.http.post(f"/v1{path}", content=body, headers=headers)


def test_both_ways_answer_alike(town: Town) -> None:
    one, other = (ask(town, way, "/orgs", f'{{"org": "{town.name("org")}"}}') for way in WAYS)
    assert one.status_code == other.status_code == 201
    assert one.json().keys() == other.json().keys()
    alike = ("content-type", "content-length")
    assert [one.headers[it] for it in alike] == [other.headers[it] for it in alike]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"org": 7}', "invalid"),
        ('{"org": "a", "org": "b"}', "invalid"),
        ('{"org": "a"', "invalid"),
        ("", "invalid"),
        ('{"org": "a", "money": 1}', "invalid"),
    ],
)
def test_a_fault_is_told_alike(town: Town, body: str, code: str) -> None:
    one, other = (ask(town, way, "/orgs", body) for way in WAYS)
    assert one.status_code == other.status_code == 422
    assert one.json() == other.json() and one.json()["code"] == code


@pytest.mark.parametrize("way", WAYS)
def test_a_stranger_is_refused_either_way(town: Town, way: str) -> None:
    body = f'{{"org": "{town.name("org")}"}}'
    answer = ask(town, way, "/orgs", body, token="pk_unknown")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("form", ["Basic {}", "{}", "Bearer", "Bearer{}"])
def test_a_token_of_another_form_is_none(town: Town, form: str) -> None:
    headers = {"Authorization": form.format(town.operator)}
    assert town.http.get("/v1/whoami", headers=headers).status_code == 401


def test_the_form_of_a_token_is_read_in_any_case(town: Town) -> None:
    headers = {"Authorization": f"bearer {town.operator}"}
    assert town.http.get("/v1/whoami", headers=headers).status_code == 200
