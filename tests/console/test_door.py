"""In and out of the console: sessions, cookies, forms, and what the headers allow."""

import re
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from parkade.api.context import digest_of
from parkade.console.security import COOKIE, give_cookie, is_of_own_site
from tests.api.town import Town
from tests.api.town import town as running
from tests.console.visitor import SAME, Visitor, visitor

ALIVE = ("queued", "placed", "starting", "running")
PAGES = ("/", "/workloads", "/reservations", "/market", "/money", "/events", "/incidents")
OUTSIDE = re.compile(r"""(?:src|href|action)=["'](?:https?:)?//""")


def test_without_a_session_each_page_leads_to_the_login(town: Town) -> None:
    stranger = Visitor(town.url)
    for path in (*PAGES, "/operate", "/workloads/w1", "/live"):
        response = stranger.get(path)
        assert response.status_code == 303, path
        assert response.headers["location"].startswith("/login"), path


def test_a_token_that_is_pasted_becomes_a_cookie_that_no_script_reads(town: Town) -> None:
    response = Visitor(town.url).login(town.operator)
    cookie = response.headers["set-cookie"]
    assert response.status_code == 303 and response.headers["location"] == "/"
    assert cookie.startswith(f"{COOKIE}=")
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
    assert town.operator not in response.text + str(response.headers)


def test_behind_tls_the_cookie_is_sent_over_tls_alone(tmp_path: Path) -> None:
    headers = SAME | {"X-Forwarded-Proto": "https"}
    with running(tmp_path, proxies=("127.0.0.1",)) as town:
        data = {"token": town.operator}
        response = httpx.post(f"{town.url}/login", data=data, headers=headers)
        assert "Secure" in response.headers["set-cookie"]


def test_where_people_reach_the_server_by_tls_the_cookie_is_sent_over_tls_alone() -> None:
    request = Request({"type": "http", "scheme": "http", "path": "/", "headers": []})
    for url, is_secure in (("https://parkade.lab", True), ("http://parkade.lab", False)):
        response = Response()
        give_cookie(response, request, "s", lasts_s=1.0, url=url)
        assert ("Secure" in response.headers["set-cookie"]) is is_secure


def wrong_tokens(town: Town) -> list[int]:
    """What a client is answered that names another address for each of twelve wrong tokens."""
    found = []
    for number in range(12):
        headers = SAME | {"X-Forwarded-For": f"203.0.113.{number}"}
        data = {"token": f"pk_{number}"}
        found.append(httpx.post(f"{town.url}/login", data=data, headers=headers).status_code)
    return found


@pytest.mark.parametrize("proxies", [(), ("192.0.2.1",)])
def test_where_a_request_comes_from_is_believed_of_no_address_that_was_not_named(
    tmp_path: Path, proxies: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    with running(tmp_path, proxies=proxies) as town:
        assert wrong_tokens(town) == [401] * 10 + [429] * 2
        headers = SAME | {"X-Forwarded-Proto": "https"}
        data = {"token": town.operator}
        response = httpx.post(f"{town.url}/login", data=data, headers=headers)
        assert "Secure" not in response.headers["set-cookie"]


def test_a_proxy_that_the_operator_names_says_where_a_request_comes_from(tmp_path: Path) -> None:
    with running(tmp_path, proxies=("127.0.0.0/8",)) as town:
        assert wrong_tokens(town) == [401] * 12


def test_a_wrong_token_is_refused_and_shown_nowhere(town: Town) -> None:
    response = Visitor(town.url).login("pk_wrong-and-secret")
    assert response.status_code == 401
    assert "unknown, revoked or expired" in response.text
    assert "wrong-and-secret" not in response.text and "set-cookie" not in response.headers


def test_an_agents_token_opens_no_page(town: Town) -> None:
    pool = town.pool()
    secret = town.done(town.post(f"/pools/{pool}/agent-tokens"))["secret"]
    response = Visitor(town.url).login(secret)
    assert response.status_code == 403 and "set-cookie" not in response.headers


def test_who_tries_many_wrong_tokens_waits(fresh: Town) -> None:
    stranger = Visitor(fresh.url)
    statuses = [stranger.login(f"pk_{number}").status_code for number in range(12)]
    assert statuses[:10] == [401] * 10
    assert statuses[10:] == [429] * 2
    assert stranger.login(fresh.operator).status_code == 303, "a right one is never refused"


def test_a_form_that_is_none_is_refused_with_a_page(town: Town) -> None:
    stranger = Visitor(town.url)
    for body in (b"\xff\xfe", b"&".join(b"a=%d" % number for number in range(200))):
        assert stranger.http.post("/login", content=body).status_code == 422


def test_a_token_that_may_only_look_changes_nothing_by_a_form(town: Town) -> None:
    _, owner = town.org()
    user = town.get("/whoami", owner).json()["user"]
    town.pool()
    workload = town.submit("lab", owner)
    made = town.done(town.post("/tokens", {"user": user, "is_read_only": True}, owner))
    person = visitor(town.url, made["secret"])
    page = person.text(f"/workloads/{workload}/cancel")
    assert person.submit(f"/workloads/{workload}/cancel", page).status_code == 403
    assert town.done(town.get(f"/workloads/{workload}", owner))["phase"] in ALIVE
    assert person.submit("/logout", person.text("/")).status_code == 303


@pytest.mark.parametrize(
    "after", ["//evil.example", "https://evil.example/", "/\\evil", "x", "//["]
)
def test_the_login_leads_to_no_other_site(town: Town, after: str) -> None:
    response = Visitor(town.url).login(town.operator, after=after)
    assert response.headers["location"] == "/"


def test_the_login_leads_back_to_the_page_that_was_asked_for(town: Town) -> None:
    asked = Visitor(town.url).get("/market")
    assert asked.headers["location"] == "/login?after=/market"
    response = Visitor(town.url).login(town.operator, after="/market")
    assert response.headers["location"] == "/market"


def test_after_the_logout_the_cookie_opens_nothing(town: Town) -> None:
    person = visitor(town.url, town.operator)
    cookie = person.http.cookies[COOKIE]
    assert person.submit("/logout", person.text("/")).status_code == 303
    kept = Visitor(town.url)
    kept.http.cookies.set(COOKIE, cookie)
    assert kept.get("/").status_code == 303


def test_a_session_ends_with_its_token(town: Town) -> None:
    _, owner = town.org()
    person = visitor(town.url, owner)
    person.text("/")
    tokens = town.done(town.get("/tokens", owner))["tokens"]
    town.done(town.post(f"/tokens/{tokens[0]['token']}/revoke", token=owner))
    assert person.get("/").status_code == 303
    page = person.text("/login", after="/market")
    assert "revoked or has expired, or its user or org was disabled" in page


def test_the_login_says_that_a_session_has_ended(town: Town) -> None:
    fresh = Visitor(town.url).text("/login")
    assert "has ended" not in fresh and "revoked" not in fresh
    kept = Visitor(town.url)
    kept.http.cookies.set(COOKIE, "of-a-session-that-was")
    assert kept.get("/market").headers["location"] == "/login?after=/market"
    assert "Your session has ended. Log in again." in kept.text("/login", after="/market")


@pytest.mark.parametrize("path", [*PAGES, "/login", "/workloads/w999999", "/static/now/console.js"])
def test_a_page_loads_nothing_from_outside_and_runs_no_script_of_its_own(
    town: Town, path: str
) -> None:
    response = visitor(town.url, town.operator).get(path)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert not OUTSIDE.search(response.text)
    scripts = re.findall(r"<script\b([^>]*)>", response.text)
    assert all("src=" in it or 'type="application/json"' in it for it in scripts)
    assert not re.search(r"<[^>]+\s(style|on\w+)=", response.text)


def test_a_form_of_another_site_or_session_changes_nothing(town: Town) -> None:
    _, owner = town.org()
    pool = town.pool()
    workload = town.submit(pool, owner)
    person = visitor(town.url, owner)
    page = person.text(f"/workloads/{workload}/cancel")
    path = f"/workloads/{workload}/cancel"
    assert person.http.post(path, data={}).status_code == 403
    other = visitor(town.url, owner).text(path)
    assert person.submit(path, other).status_code == 403
    person.http.headers["Sec-Fetch-Site"] = "cross-site"
    assert person.submit(path, page).status_code == 403
    assert town.done(town.get(f"/workloads/{workload}", owner))["phase"] in ALIVE
    person.http.headers["Sec-Fetch-Site"] = "same-origin"
    assert person.submit(path, page).status_code == 303
    assert town.done(town.get(f"/workloads/{workload}", owner))["phase"] not in ALIVE


def test_the_login_form_of_another_site_is_refused(town: Town) -> None:
    person = Visitor(town.url)
    person.http.headers["Sec-Fetch-Site"] = "cross-site"
    assert person.login(town.operator).status_code == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://evil.example", 403), ("null", 403), ("http://127.0.0.1", 403), ("own", 303)],
)
def test_a_browser_that_names_no_site_is_asked_by_the_origin(
    town: Town, origin: str, status: int
) -> None:
    """As browsers do for plain HTTP under another name than localhost."""
    person = Visitor(town.url)
    del person.http.headers["Sec-Fetch-Site"]
    person.http.headers["Origin"] = town.url if origin == "own" else origin
    assert person.login(town.operator).status_code == status
    inside = visitor(town.url, town.operator)
    form = inside.text("/")
    del inside.http.headers["Sec-Fetch-Site"]
    inside.http.headers["Origin"] = person.http.headers["Origin"]
    assert inside.submit("/logout", form).status_code == status


def test_behind_a_proxy_the_address_that_people_use_is_the_origin() -> None:
    def request(origin: str) -> Request:
        headers = [(b"host", b"127.0.0.1:8300"), (b"origin", origin.encode())]
        return Request({"type": "http", "headers": headers})

    assert is_of_own_site(request("http://park.lab"), url="http://park.lab/")
    assert not is_of_own_site(request("http://park.lab.evil"), url="http://park.lab/")
    assert not is_of_own_site(request("null"), url="")


def test_the_console_answers_only_under_the_servers_own_names(town: Town) -> None:
    response = httpx.get(f"{town.url}/login", headers={"Host": "evil.example"})
    assert response.status_code == 421


def test_the_file_of_sessions_holds_no_token_and_is_its_owners(town: Town) -> None:
    person = visitor(town.url, town.operator)
    file = Path(town.folder) / "console-sessions.json"
    text = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert town.operator not in text and person.http.cookies[COOKIE] not in text
    assert digest_of(town.operator) in text
