"""The short way of plain requests gives what FastAPI's way gives."""

import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest
from fastapi.responses import JSONResponse

from parkade.api.app import NOUNS
from parkade.api.context import Authenticated
from parkade.api.plain import Plain
from parkade.api.routing import StrictRoute, router
from parkade.wire.people import Capped, Org
from tests.api.roles import Cast
from tests.api.town import Town
from tests.waits import PATIENCE_S

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


class Stamped(JSONResponse):
    """An answer of a class of its own."""


OPTIONS: tuple[dict[str, Any], ...] = (
    {"response_model_exclude_none": True},
    {"response_model_exclude_unset": True},
    {"response_model_exclude_defaults": True},
    {"response_model_by_alias": False},
    {"response_model_include": {"org"}},
    {"response_model_exclude": {"org"}},
    {"response_model": Capped},
    {"response_class": Stamped},
)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_route_with_an_option_for_its_answer_is_not_plain(options: dict[str, Any]) -> None:
    made = router("test")

    @made.get("/asked/{org}", **options)
    async def asked(org: str, context: Authenticated) -> Org:
        raise NotImplementedError

    (route,) = made.routes
    assert isinstance(route, StrictRoute) and route.plain is None


def plain_routes() -> list[str]:
    routes = [it for noun in NOUNS for it in noun.router.routes if isinstance(it, StrictRoute)]
    return [f"{it} {one.path}" for one in routes if one.plain for it in one.methods or ()]


ANEW = {
    "POST /v1/claims/{claim}/unclaim",
    "POST /v1/maintenance/{maintenance}/cancel",
    "POST /v1/nodes/{node}/fail",
    "POST /v1/orgs/{org}/grant",
    "POST /v1/reservations/plan",
    "POST /v1/tokens",
}
"""A repetition finds that the world went on, or the thing gone: these are asked for another thing,
and their keys are compared."""


def test_every_plain_route_answers_as_it_does_on_fastapis_way(
    fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change is sent twice with one key, which makes it once and answers it twice."""
    cast = Cast(fresh)
    short, way = Plain.answer, {"is_short": True}

    async def answer(self: Plain, *given: Any, **named: Any) -> Any:
        return await short(self, *given, **named) if way["is_short"] else None

    def asked(route: str) -> Callable[[], httpx.Response]:
        """One request, to be sent once or twice."""
        method, path = route.split()
        names = named(route)
        body = None if method == "GET" else cast.body(route, names) or {}
        headers = {**fresh.headers(None), "Idempotency-Key": fresh.name("key")}
        return partial(fresh.http.request, method, path.format(**names), headers=headers, json=body)

    def named(route: str) -> dict[str, str]:
        names = cast.names(route)
        if "{claim}" in route:
            right, owner = fresh.name("right"), cast.tokens["owner"]
            fresh.done(fresh.post("/reservations", {"nodes": 1, "name": right}, owner))
            made = fresh.done(fresh.post(f"/reservations/{right}/claims", {"nodes": 1}, owner))
            names["claim"] = made["claim"]
        return names

    monkeypatch.setattr(Plain, "answer", answer)
    found: dict[str, tuple[Any, Any]] = {}
    for route in plain_routes():
        first = asked(route)
        again = asked(route) if route in ANEW else first
        one = first()
        way["is_short"] = False
        other = again()
        way["is_short"] = True
        show = keys if route in ANEW else shown
        found[route] = (show(one), show(other))
    differ = {route: each for route, each in found.items() if each[0] != each[1]}
    assert not differ
    assert found.keys() >= ANEW
    successes = [route for route, (one, _) in found.items() if one[0] < 300]
    assert len(successes) > len(found) * 2 // 3, found


def keys(answer: httpx.Response) -> tuple[int, list[str], list[str]]:
    """What of an answer is no value."""
    return answer.status_code, list(answer.json()), sorted(answer.headers)


def shown(answer: httpx.Response) -> tuple[int, Any, dict[str, str]]:
    """All of an answer but what is of its instant."""
    headers = {name: it for name, it in answer.headers.items() if name != "date"}
    return answer.status_code, answer.json(), headers


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
        ('{"org": "a", "money": NaN}', "invalid"),
        ("[]", "invalid"),
        ("null", "invalid"),
        ('"a"', "invalid"),
        ("7", "invalid"),
        ("{}", "invalid"),
        ('{"org": {"a": [1]}, "x": 1, "y": 2}', "invalid"),
        ("\x00", "invalid"),
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


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /v1/whoami",
        "POST /v1/orgs",
        "POST /v1/receivers",
        "POST /v1/receivers/r1/confirm",
        "POST /v1/execs/x/input",
    ],
)
def test_a_stranger_is_refused_before_the_body_has_come(town: Town, request_line: str) -> None:
    url = httpx.URL(town.url)
    head = (
        f"{request_line} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer pk_unknown\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    )
    assert url.port is not None
    with socket.create_connection((url.host, url.port), timeout=PATIENCE_S) as connection:
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 401")


def test_a_route_without_a_body_waits_for_none(town: Town) -> None:
    url = httpx.URL(town.url)
    head = (
        f"GET /v1/whoami HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {town.operator}"
        "\r\nContent-Length: 1000\r\n\r\n"
    )
    assert url.port is not None
    with socket.create_connection((url.host, url.port), timeout=PATIENCE_S) as connection:
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("form", ["Basic {}", "{}", "Bearer", "Bearer{}"])
def test_a_token_of_another_form_is_none(town: Town, form: str) -> None:
    headers = {"Authorization": form.format(town.operator)}
    assert town.http.get("/v1/whoami", headers=headers).status_code == 401


def test_the_form_of_a_token_is_read_in_any_case(town: Town) -> None:
    headers = {"Authorization": f"bearer {town.operator}"}
    assert town.http.get("/v1/whoami", headers=headers).status_code == 200
