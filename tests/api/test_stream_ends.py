"""Open answers end with what their token is good for, also those in which nothing is told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from parkade.api import ApiSettings
from parkade.console.security import COOKIE
from tests.api.town import Town, town
from tests.console.visitor import visitor
from tests.waits import PATIENCE_S


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A server whose streams give no sign of life for an hour."""
    with town(tmp_path_factory.mktemp("silent"), ApiSettings(keep_alive_s=3600)) as made:
        yield made


class Guest:
    """A user with a token of its own, and a second one that stays."""

    def __init__(self, place: Town) -> None:
        self.place = place
        self.org, self.owner = place.org()
        self.user = place.name("user")
        body = {"user": self.user, "org": self.org, "role": "owner"}
        place.done(place.post("/users", body))
        made = place.done(place.post("/tokens", {"user": self.user}))
        self.token, self.secret = made["token"], made["secret"]

    def revoke(self) -> None:
        self.place.done(self.place.post(f"/tokens/{self.token}/revoke"))

    def disable(self) -> None:
        path = f"/users/{self.user}/disabled"
        self.place.done(self.place.post(path, {"is_disabled": True}))

    def disable_org(self) -> None:
        path = f"/orgs/{self.org}/disabled"
        self.place.done(self.place.post(path, {"is_disabled": True}))


WAYS = (Guest.revoke, Guest.disable, Guest.disable_org)


def follow(stack: ExitStack, url: str, path: str, **how: Any) -> httpx.Response:
    """An answer whose head has come."""
    http = stack.enter_context(httpx.Client(base_url=url, timeout=PATIENCE_S))
    answer = stack.enter_context(http.stream("GET", path, **how))
    assert answer.status_code == 200
    return answer


@pytest.mark.parametrize("end", WAYS)
def test_events_end_at_once_and_others_go_on(silent: Town, end: Callable[[Guest], None]) -> None:
    guest, other = Guest(silent), Guest(silent)
    with ExitStack() as stack:
        ended = follow(stack, silent.url, "/v1/events", headers=silent.headers(guest.secret))
        kept = follow(stack, silent.url, "/v1/events", headers=silent.headers(other.secret))
        end(guest)
        assert "event: position" not in "".join(ended.iter_text()), "no sign of life was due"
        silent.done(silent.post(f"/orgs/{other.org}/deposits", {"amount": "7"}))
        lines = kept.iter_lines()
        assert any("deposit 7.00" in line for line in lines)


@pytest.mark.parametrize("end", WAYS)
def test_a_page_of_the_console_is_told_nothing_more(
    silent: Town, end: Callable[[Guest], None]
) -> None:
    guest = Guest(silent)
    cookies = {COOKIE: visitor(silent.url, guest.secret).http.cookies[COOKIE]}
    with ExitStack() as stack:
        end_of = follow(stack, silent.url, "/live", cookies=cookies).iter_text()
        assert "hello" in next(end_of)
        end(guest)
        assert "".join(end_of) == ""


def test_a_page_of_the_console_is_told_nothing_more_after_the_logout(silent: Town) -> None:
    person = visitor(silent.url, Guest(silent).secret)
    cookies = {COOKIE: person.http.cookies[COOKIE]}
    with ExitStack() as stack:
        told = follow(stack, silent.url, "/live", cookies=cookies).iter_text()
        assert "hello" in next(told)
        person.submit("/logout", person.text("/"))
        assert "".join(told) == ""


@pytest.mark.parametrize("end", WAYS)
def test_output_that_is_followed_and_silent_ends(
    silent: Town, end: Callable[[Guest], None]
) -> None:
    guest = Guest(silent)
    pool = silent.pool()
    silent.done(silent.post(f"/orgs/{guest.org}/deposits", {"amount": "100"}))
    workload = silent.submit(pool, guest.owner)
    attempt = silent.wait_for_attempt(pool, workload)
    assert silent.observe(pool, silent.running(attempt)).status_code == 204
    path = f"/v1/workloads/{workload}/logs"
    with ExitStack() as stack:
        agent = stack.enter_context(httpx.Client(base_url=silent.url, timeout=PATIENCE_S))
        agent.headers.update(silent.headers(None))
        answers: list[bytes] = []

        def read() -> None:
            params, headers = {"follow": "true"}, silent.headers(guest.secret)
            answer = httpx.get(
                f"{silent.url}{path}", params=params, headers=headers, timeout=PATIENCE_S
            )
            answers.append(answer.content)

        thread = threading.Thread(target=read)
        thread.start()
        (asked,) = agent.get(f"/v1/pools/{pool}/log-requests", params={"wait": 60}).json()
        agent.post(f"/v1/pools/{pool}/log-chunks/{asked['request']}", content=b"before\n")
        end(guest)
        thread.join(PATIENCE_S)
        assert answers in ([b"before\n"], [b""]), "it ended, and told nothing after that"


def test_an_agents_question_that_waits_is_not_answered_once_its_token_is_revoked(
    silent: Town,
) -> None:
    pool = silent.pool()
    made = silent.done(silent.post(f"/pools/{pool}/agent-tokens"))
    answers: list[httpx.Response] = []

    def ask() -> None:
        url, headers = f"{silent.url}/v1/pools/{pool}/desired", silent.headers(made["secret"])
        first = httpx.get(url, headers=headers, timeout=PATIENCE_S).json()
        seen = {"after_epoch": first["epoch"], "after_sequence": first["sequence"], "wait": 60}
        asked.set()
        answers.append(httpx.get(url, params=seen, headers=headers, timeout=PATIENCE_S))

    asked = threading.Event()
    thread = threading.Thread(target=ask)
    thread.start()
    assert asked.wait(PATIENCE_S)
    silent.done(silent.post(f"/tokens/{made['token']}/revoke"))
    _, owner = silent.org()
    silent.submit(pool, owner)
    thread.join(PATIENCE_S)
    assert [it.status_code for it in answers] == [401]
