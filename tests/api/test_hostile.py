"""Requests that are meant to stall, to mislead, or to learn what is not theirs."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from parkade.api import ApiSettings, bounds
from parkade.api.bounds import is_own_host
from parkade.api.strict import Unfit, load
from parkade.core.units.bounds import MOST_DOCUMENT_VALUES
from parkade.service.framing import MOST_WAITING
from parkade.wire.problems import MOST_FAULTS, faults
from tests.api.town import Town
from tests.api.town import town as running
from tests.waits import PATIENCE_S, until

HASTY = ApiSettings(
    keep_alive_s=0.2, body_s=0.5, most_streams=6, most_streams_per_token=4, hosts=("park.example",)
)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A server with little patience and few places."""
    folder = tmp_path_factory.mktemp("hasty")
    with running(folder, HASTY, head_s=0.5, most_half_open=20, unread_s=0.5) as found:
        yield found


def post(town: Town, path: str, body: str) -> httpx.Response:
    headers = {**town.headers(None), "Content-Type": "application/json"}
    return town.http.post(f"/v1{path}", content=body.encode(), headers=headers)


def raw(town: Town, request: bytes) -> socket.socket:
    """A connection on which this was sent."""
    address = httpx.URL(town.url)
    connection = socket.create_connection((address.host, address.port or 80), timeout=PATIENCE_S)
    connection.sendall(request)
    return connection


def answered(connection: socket.socket) -> bytes:
    """All that comes until the server closes it."""
    with closing(connection):
        found = b""
        with suppress(ConnectionResetError):
            while part := connection.recv(65_536):
                found += part
        return found


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/orgs", {f"key{number}": 1 for number in range(19_000)}),
        ("/workloads", {"spec": {f"nodez{number}": 1 for number in range(19_000)}}),
        ("/pools", {"pool": "p", "site": "s", "fabrics": {"a": [1] * 19_000}}),
    ],
)
def test_a_request_with_many_faults_is_told_a_few_and_counted(
    town: Town, path: str, body: object
) -> None:
    response = post(town, path, json.dumps(body))
    assert response.status_code == 422
    assert len(response.json()["errors"]) == MOST_FAULTS
    assert "more faults" in response.json()["detail"]
    assert len(response.content) < 20_000


def test_a_fault_is_explained_at_a_bounded_length() -> None:
    (fault,) = faults([{"loc": ("k" * 90_000,), "type": "extra_forbidden", "msg": "x" * 90_000}])
    assert len(fault.place) <= 200 and len(fault.message) <= 500


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"org": "a", "org": "b"}', "'org' stands twice"),
        (b'{"a": {"b": 1, "b": 1}}', "'b' stands twice"),
        (b'{"nodes": ' + b"9" * 5000 + b"}", "a number has more than"),
        (b'{"price": 1.' + b"9" * 5000 + b"}", "a number has more than"),
        (b'{"price": NaN}', "NaN is no JSON number"),
        (b'{"price": -Infinity}', "-Infinity is no JSON number"),
        (b"[" * 90_000, "nested too deeply"),
        (b"[" + b"1," * MOST_DOCUMENT_VALUES + b"1]", "more than 20,000 values"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_json_that_two_readers_could_take_differently_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(Unfit, match=says):
        load(body)


def test_a_key_that_stands_twice_is_refused_with_the_reason(town: Town) -> None:
    name = town.name("org")
    response = post(town, "/orgs", f'{{"org": "{name}", "org": "{name}"}}')
    assert response.status_code == 422 and "stands twice" in response.json()["detail"]
    assert name not in town.get("/orgs").text


@pytest.mark.parametrize(
    "query",
    [
        "/workloads?after=" + "9" * 5000,
        "/workloads?after=w" + "9" * 5000,
        "/workloads?after=w1%00",
        "/workloads?after=%EF%BC%91",
        "/workloads?limit=1&limit=2",
        "/events?follow=false&after=" + "9" * 5000,
        "/events?follow=false&after=-1",
    ],
)
def test_a_position_that_is_none_is_refused_with_a_reason(town: Town, query: str) -> None:
    response = town.http.get(f"/v1{query}", headers=town.headers(None))
    assert response.status_code == 422 and response.json()["detail"]


@pytest.mark.parametrize("path", ["/workloads/a%00b", "/statement?account=a%00b"])
def test_a_name_with_a_zero_byte_is_not_found(town: Town, path: str) -> None:
    assert town.http.get(f"/v1{path}", headers=town.headers(None)).status_code == 404


def test_output_of_an_attempt_that_never_was_is_not_found(fresh: Town) -> None:
    pool, (_, owner) = fresh.pool(), fresh.org()
    workload = fresh.submit(pool, owner)
    fresh.wait_for_attempt(pool, workload)
    for attempt in (f"{workload}.2", f"{workload}.0", f"{workload}.x", "w9.1", f"{workload}.1.1"):
        response = fresh.get(f"/workloads/{workload}/logs", owner, attempt=attempt)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
        assert f"{workload}.1" in response.json()["detail"]


def test_a_length_told_in_two_ways_is_refused_and_the_connection_ends(hasty: Town) -> None:
    head = b"POST /v1/orgs HTTP/1.1\r\nHost: localhost\r\n"
    both = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    found = answered(raw(hasty, head + both + b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert b" 422 " in found.splitlines()[0] and b"not both" in found
    assert found.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("127.0.0.1:8300", True),
        ("localhost", True),
        ("LOCALHOST.:80", True),
        ("[::1]:8300", True),
        ("10.0.0.7", True),
        ("park.example:443", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example:8300", False),
        ("localhost.evil.example", False),
        ("", False),
        ("[::1]", True),
        ("::1%?x", False),
        ("[::1%?x]", False),
        ("fe80::1%a@b", False),
        ("[::1%]]", False),
        ("[127.0.0.1", False),
        ("[::1", False),
        ("::1]", False),
        ("localhost:65535", True),
        ("localhost:65536", False),
        ("localhost:99999999", False),
        ("localhost:\u00b2", False),
        ("localhost/x", False),
    ],
)
def test_only_addresses_and_own_names_are_the_servers(host: str, is_own: bool) -> None:
    assert is_own_host(host, ("park.example",)) is is_own


def test_a_name_that_was_pointed_at_this_machine_is_refused(hasty: Town) -> None:
    headers = {**hasty.headers(None), "Host": "evil.example"}
    for path in ("/v1/whoami", "/healthz", "/metrics", "/v1/docs"):
        response = hasty.http.get(path, headers=headers)
        assert (response.status_code, response.json()["code"]) == (421, "misdirected")
    headers["Host"] = "park.example"
    assert hasty.http.get("/v1/whoami", headers=headers).is_success


def test_a_host_of_any_length_is_refused_and_a_long_one_is_not_remembered(hasty: Town) -> None:
    remembered = bounds._own_host.cache_info
    before = remembered().currsize
    for length in (256, 5_000):
        headers = {**hasty.headers(None), "Host": "a" * length}
        response = hasty.http.get("/v1/whoami", headers=headers)
        assert (response.status_code, response.json()["code"]) == (421, "misdirected")
    assert remembered().currsize == before
    assert remembered().maxsize == 256


def test_half_open_requests_keep_nobody_out(hasty: Town) -> None:
    hanging = [raw(hasty, b"GET /healthz HTTP/1.1\r\nHost: ") for _ in range(60)]
    assert hasty.http.get("/healthz").is_success
    with httpx.Client(base_url=hasty.url, timeout=PATIENCE_S) as another:
        assert another.get("/healthz").is_success
    assert all(answered(connection) == b"" for connection in hanging)


def test_a_head_that_comes_byte_by_byte_is_given_up(hasty: Town) -> None:
    connection = raw(hasty, b"GET /healthz HTTP/1.1\r\n")
    ends_at = time.monotonic() + PATIENCE_S

    def is_closed() -> bool:
        try:
            connection.sendall(b"X")
        except OSError:
            return True
        return time.monotonic() > ends_at

    until(is_closed)
    connection.close()
    assert time.monotonic() < ends_at


def test_a_body_that_does_not_come_is_given_up(hasty: Town) -> None:
    token = hasty.operator.encode()
    head = b"POST /v1/orgs HTTP/1.1\r\nHost: a.b\r\nAuthorization: Bearer " + token
    head = head.replace(b"a.b", b"127.0.0.1") + b"\r\nContent-Type: application/json\r\n"
    found = answered(raw(hasty, head + b"Content-Length: 100\r\n\r\n{"))
    assert b" 408 " in found.splitlines()[0] and b"too_slow" in found


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ",
        b"POST /v1/orgs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;x=",
        b"POST /v1/orgs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
    ],
    ids=["a head", "what frames a part", "fields behind a body"],
)
def test_what_never_becomes_whole_is_refused(hasty: Town, begun: bytes) -> None:
    connection = raw(hasty, begun)
    with suppress(OSError):
        for _ in range(64):
            connection.sendall(b"x" * 65_536)
        connection.sendall(b"\r\n\r\n")
    assert b"HTTP/1.1 2" not in answered(connection)
    assert hasty.http.get("/healthz").is_success


def test_a_field_behind_a_body_is_no_header(hasty: Town) -> None:
    head = b"POST /v1/orgs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    head += b"Content-Type: application/json\r\nConnection: close\r\n\r\n"
    token = f"Authorization: Bearer {hasty.operator}".encode()
    found = answered(raw(hasty, head + b"2\r\n{}\r\n0\r\n" + token + b"\r\n\r\n"))
    assert b" 401 " in found.splitlines()[0]


def test_of_too_many_requests_at_once_the_first_are_answered(hasty: Town) -> None:
    found = answered(raw(hasty, HEALTH * (3 * MOST_WAITING)))
    answers = found.split(b"HTTP/1.1 ")[1:]
    assert len(answers) == MOST_WAITING + 1
    assert all(each.startswith(b"200 ") for each in answers)
    assert [b"connection: close" in each for each in answers] == [False] * MOST_WAITING + [True]


def test_an_answer_is_given_before_what_follows_is_refused(hasty: Town) -> None:
    found = answered(raw(hasty, HEALTH + b"no request\r\n\r\n"))
    assert found.startswith(b"HTTP/1.1 200 ") and found.count(b"HTTP/1.1") == 1


UNREAD = b"GET /v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40
"""More answers than the network holds, for which no token is needed."""


def is_closed(connection: socket.socket) -> bool:
    """Found by writing: a client that reads would be no test."""
    try:
        connection.sendall(b"X")
    except OSError:
        return True
    return False


def test_a_client_that_does_not_read_its_answers_is_given_up(hasty: Town) -> None:
    with closing(raw(hasty, UNREAD)) as connection:
        until(lambda: is_closed(connection))


def test_clients_that_do_not_read_keep_nobody_out(tmp_path: Path) -> None:
    with running(tmp_path, HASTY, unread_s=10 * PATIENCE_S, most_unread=3) as town:
        asked = [raw(town, UNREAD) for _ in range(8)]
        until(lambda: sum(map(is_closed, asked)) >= 5)
        assert town.http.get("/healthz").is_success
        assert sum(map(is_closed, asked)) == 5
        for connection in asked:
            connection.close()


def test_a_client_that_reads_slowly_gets_its_answers_whole(hasty: Town) -> None:
    whole = len(hasty.http.get("/v1/openapi.json").content)
    connection = raw(hasty, UNREAD)
    found = 0
    while found < 40 * whole:
        part = connection.recv(65_536)
        assert part, "it was given up"
        found += len(part)
        time.sleep(0.005)
    connection.close()


def stream(town: Town, token: str) -> httpx.Response:
    request = town.http.build_request("GET", "/v1/events", headers=town.headers(token))
    response = town.http.send(request, stream=True)
    if not response.is_success:
        response.read()
    return response


def test_a_token_has_so_many_streams_and_another_org_still_gets_its_own(hasty: Town) -> None:
    (org, first), (_, other) = hasty.org(), hasty.org()
    second = hasty.user(org)
    opened = [stream(hasty, first) for _ in range(4)]
    refused = stream(hasty, first)
    assert (refused.status_code, refused.json()["code"]) == (503, "busy")
    opened += [stream(hasty, second) for _ in range(2)]
    assert all(each.is_success for each in opened)
    theirs = [stream(hasty, other) for _ in range(3)]
    assert all(each.is_success for each in theirs)
    for each in opened[:3]:
        each.read()
    # Both have three: neither takes from the other.
    assert stream(hasty, other).json()["code"] == "busy"
    for each in (*opened, *theirs):
        each.close()
    until(lambda: _opens(hasty, first))


def _opens(town: Town, token: str) -> bool:
    response = stream(town, token)
    response.close()
    return response.is_success


def test_the_page_of_the_api_loads_nothing(town: Town) -> None:
    response = town.http.get("/v1/docs")
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    for loaded in ("<script", "<link", "<img", "src=", "@import", "url(", "http://", "https://"):
        assert loaded not in response.text
    for path in town.http.get("/v1/openapi.json").json()["paths"]:
        assert path in response.text


def test_the_description_of_a_refusal_can_be_followed(town: Town) -> None:
    described = town.http.get("/v1/openapi.json").json()
    answers = described["paths"]["/v1/orgs"]["post"]["responses"]
    schema = answers["409"]["content"]["application/problem+json"]["schema"]
    problem: Any = described
    for step in schema["$ref"].removeprefix("#/").split("/"):
        problem = problem[step]
    assert {"status", "code", "detail", "errors"} <= set(problem["properties"])
    assert "already_exists" in problem["properties"]["code"]["enum"]
    fault = problem["properties"]["errors"]["items"]["$ref"].rpartition("/")[2]
    assert fault in described["components"]["schemas"]


def money_in(events: list[dict[str, Any]]) -> set[str]:
    return {each["type"] for each in events if "transfers" in each["detail"]}


def test_a_member_sees_its_orgs_costs_and_not_its_money(fresh: Town, tmp_path: Path) -> None:
    pool, (org, owner) = fresh.pool(), fresh.org()
    member = fresh.user(org)
    fresh.done(fresh.post(f"/orgs/{org}/grant", {"amount": "5", "every": "24h"}))
    fresh.done(fresh.post("/reservations", {"nodes": 1, "market": pool}, owner))
    assert money_in(fresh.events(owner)) == {"MoneyMoved", "ReservationPaid"}
    seen = fresh.events(member)
    assert not money_in(seen) and "GrantSet" not in {each["type"] for each in seen}
    assert "Reserved" in {each["type"] for each in seen}


def test_events_tell_who_asked_to_those_who_may_know(fresh: Town) -> None:
    pool, (org, owner), (_, stranger) = fresh.pool(), fresh.org(), fresh.org()
    member = fresh.user(org)
    name = fresh.get("/whoami", member).json()["user"]
    fresh.submit(pool, member, limit_price="0.10")
    told = {each["type"]: each["by"] for each in fresh.events(owner)}
    assert told["Submitted"] == name and told["OrgCreated"] == "operator"
    assert told["Cleared"] is None
    whole = {each["type"]: each["by"] for each in fresh.events(fresh.operator)}
    assert whole["Submitted"] == name and whole["PoolOpened"] == "operator"
    assert name not in json.dumps(fresh.events(stranger))
