import json
import threading
from typing import Any

import httpx
import pytest

from tests.api.town import Town
from tests.waits import PATIENCE_S


def test_everyone_sees_its_own_events_and_nobody_a_strangers(fresh: Town) -> None:
    pool, (ann_org, ann), (_, ben) = fresh.pool(), fresh.org(), fresh.org()
    workload = fresh.submit(pool, ann)
    fresh.wait_for_attempt(pool, workload)
    own = fresh.events(ann)
    assert {"Submitted", "Cleared", "Launched", "MoneyMoved"} <= {each["type"] for each in own}
    strangers = fresh.events(ben)
    assert "Cleared" in {each["type"] for each in strangers}
    assert workload not in json.dumps(strangers) and ann_org not in json.dumps(strangers)
    assert not {"EpochOpened", "Submitted", "Launched"} & {each["type"] for each in strangers}
    whole = fresh.events(fresh.operator)
    assert [each["sequence"] for each in whole] == list(range(1, len(whole) + 1))


def test_no_event_tells_a_tokens_digest(town: Town) -> None:
    town.org()
    told = [each for each in town.events(town.operator) if each["type"] == "TokenAdded"]
    assert told and all(set(each["detail"]) == {"token"} for each in told)


def test_a_broken_stream_goes_on_where_it_was(town: Town) -> None:
    _, owner = town.org()
    events = town.events(owner)
    middle = events[1]["sequence"]
    assert town.events(owner, after=middle) == events[2:]
    assert town.events(owner, last_event_id=str(middle)) == events[2:]
    bad = town.http.get("/v1/events", headers={**town.headers(owner), "Last-Event-ID": "x"})
    assert bad.json()["code"] == "invalid"


def test_a_followed_stream_tells_what_comes_and_ends_when_its_token_is_revoked(
    fresh: Town,
) -> None:
    org, owner = fresh.org()
    name = fresh.name("user")
    fresh.done(fresh.post("/users", {"user": name, "org": org, "role": "owner"}))
    made = fresh.done(fresh.post("/tokens", {"user": name}))
    headers = fresh.headers(made["secret"])
    with fresh.http.stream("GET", "/v1/events", headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        threading.Timer(
            0.1,
            lambda: httpx.post(
                f"{fresh.url}/v1/orgs/{org}/deposits",
                json={"amount": "7"},
                headers=fresh.headers(None),
            ),
        ).start()
        lines = response.iter_lines()
        data = next(line for line in lines if line.startswith("data: {"))
        assert json.loads(data[6:])["says"] == "deposit 7.00"
        fresh.done(fresh.post(f"/tokens/{made['token']}/revoke", {}, owner))
        assert list(lines) is not None


def test_output_is_relayed_from_the_agent(fresh: Town) -> None:
    pool, (_, owner) = fresh.pool(), fresh.org()
    workload = fresh.submit(pool, owner)
    attempt = fresh.wait_for_attempt(pool, workload)
    assert fresh.observe(pool, fresh.running(attempt)).status_code == 204
    told: dict[str, Any] = {}

    def agent() -> None:
        headers = fresh.headers(None)
        with httpx.Client(base_url=fresh.url, headers=headers, timeout=PATIENCE_S) as http:
            (asked,) = http.get(f"/v1/pools/{pool}/log-requests", params={"wait": 60}).json()
            told.update(asked)
            path = f"/v1/pools/{pool}/log-chunks/{asked['request']}"
            http.post(path, content=b"hello ")
            http.post(path, content=b"world\n", params={"last": "true"})

    thread = threading.Thread(target=agent)
    thread.start()
    response = fresh.get(f"/workloads/{workload}/logs", owner, offset=3)
    thread.join(PATIENCE_S)
    assert response.content == b"hello world\n"
    assert (told["attempt"], told["rank"], told["offset"], told["follow"]) == (attempt, 0, 3, False)


def test_output_is_read_from_an_instant_on(fresh: Town) -> None:
    pool, (_, owner) = fresh.pool(), fresh.org()
    workload = fresh.submit(pool, owner)
    attempt = fresh.wait_for_attempt(pool, workload)
    assert fresh.observe(pool, fresh.running(attempt)).status_code == 204
    since, text = "2026-01-31T12:00:00Z", b"before\nafter\n"
    told: list[Any] = []

    def agent(of_place: bytes) -> None:
        """Answers one question where, and then for the output from there."""
        headers = fresh.headers(None)
        with httpx.Client(base_url=fresh.url, headers=headers, timeout=PATIENCE_S) as http:
            for _ in range(2 if b"offset" in of_place else 1):
                (asked,) = http.get(f"/v1/pools/{pool}/log-requests", params={"wait": 60}).json()
                told.append(asked)
                path = f"/v1/pools/{pool}/log-chunks/{asked['request']}"
                is_where = asked["at_us"] is not None
                content = of_place if is_where else text[asked["offset"] :]
                http.post(path, content=content, params={"last": "true"})

    def ask(path: str, of_place: bytes) -> httpx.Response:
        thread = threading.Thread(target=agent, args=[of_place])
        thread.start()
        response = fresh.get(f"/workloads/{workload}/{path}", owner, since=since)
        thread.join(PATIENCE_S)
        return response

    at_us = 1_769_860_800_000_000
    place = {"attempt": attempt, "rank": 0, "at_us": at_us, "offset": 7}
    assert ask("logs", json.dumps(place).encode()).content == b"after\n"
    assert [(it["at_us"], it["offset"]) for it in told] == [(at_us, 0), (None, 7)]
    refused = {**place, "offset": 0, "refused": "its engine keeps no times of output"}
    for answer, says in (
        (json.dumps(refused).replace("offset", "xoffset").encode(), "upgrade it"),
        (b"before\nafter\n", "upgrade it"),
        (json.dumps({**place, "at_us": 5}).replace("offset", "o").encode(), "upgrade it"),
    ):
        response = ask("logs/offset", answer.replace(b"xoffset", b"o"))
        assert response.json()["code"] == "unsupported", response.text
        assert says in response.json()["detail"] or "keeps no times" in response.json()["detail"]
    assert fresh.get(f"/workloads/{workload}/logs", owner, since="noon").status_code == 422


def test_followed_output_ends_when_its_token_is_revoked(fresh: Town) -> None:
    pool, (_, owner) = fresh.pool(), fresh.org()
    workload = fresh.submit(pool, owner)
    attempt = fresh.wait_for_attempt(pool, workload)
    assert fresh.observe(pool, fresh.running(attempt)).status_code == 204
    user = fresh.done(fresh.get(f"/workloads/{workload}", owner))["user"]
    reader = fresh.done(fresh.post("/tokens", {"user": user}, owner))
    is_revoked = threading.Event()

    def agent() -> None:
        headers = fresh.headers(None)
        with httpx.Client(base_url=fresh.url, headers=headers, timeout=PATIENCE_S) as http:
            (asked,) = http.get(f"/v1/pools/{pool}/log-requests", params={"wait": 60}).json()
            path = f"/v1/pools/{pool}/log-chunks/{asked['request']}"
            http.post(path, content=b"before\n")
            is_revoked.wait(PATIENCE_S)
            http.post(path, content=b"after\n")

    thread = threading.Thread(target=agent)
    thread.start()
    with fresh.http.stream(
        "GET",
        f"/v1/workloads/{workload}/logs",
        params={"follow": "true"},
        headers=fresh.headers(reader["secret"]),
    ) as response:
        parts = response.iter_bytes()
        assert next(parts) == b"before\n"
        fresh.done(fresh.post(f"/tokens/{reader['token']}/revoke", {}, owner))
        is_revoked.set()
        assert list(parts) == []
    thread.join(PATIENCE_S)


@pytest.mark.parametrize("rank", [1, 99])
def test_output_of_a_rank_that_is_not_there_is_refused(town: Town, rank: int) -> None:
    pool, (_, owner) = town.pool(), town.org()
    workload = town.submit(pool, owner, limit_price="0.10")
    assert town.get(f"/workloads/{workload}/logs", owner, rank=rank).json()["code"] == "invalid"
    assert town.get(f"/workloads/{workload}/logs", owner).json()["code"] == "not_found"
