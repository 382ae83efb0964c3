"""Logins by a provider, for people who have no token: what they get, and what others do not."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

pytest.importorskip("authlib")
pytest.importorskip("joserfc")

from parkade.api.logins import MOST_OF_AN_ADDRESS, Logins
from parkade.api.problems import ProblemError
from parkade.control.plane import Plane
from parkade.identity.door import DeviceCode, Provider
from parkade.identity.errors import IdentityError, Pending
from parkade.identity.provider import OidcProvider
from parkade.identity.rules import IdentityFile
from tests.api.town import Town
from tests.api.town import town as running
from tests.identity.provider import CLIENT, SECRET, TestedProvider, providing
from tests.waits import until

PEOPLE = [
    {"claim": "groups", "has": "ops", "org": "operator", "role": "operator"},
    {"claim": "groups", "has": "leads", "org": "acme", "role": "owner"},
    {"claim": "groups", "has": "ml", "org": "acme"},
    {"claim": "groups", "has": "gone", "org": "nowhere"},
]
FORM = {"Sec-Fetch-Site": "same-origin"}


class House:
    """A server with a provider beside it."""

    def __init__(self, town: Town, there: TestedProvider) -> None:
        self.town = town
        self.there = there

    def person(self, name: str, *groups: str) -> None:
        """Who stands before the provider now."""
        self.there.person = {"sub": f"sub-{name}", "preferred_username": name, "groups": [*groups]}

    def begin(self) -> Any:
        return self.town.done(self.town.http.post("/v1/logins", json={}))

    def finish(self, login: str) -> httpx.Response:
        return self.town.http.post("/v1/logins/token", json={"login": login})

    def ask(self, login: str) -> httpx.Response:
        """Until the provider was asked."""

        def answer() -> httpx.Response | None:
            found = self.finish(login)
            is_waiting = found.is_success and found.json()["new_token"] is None
            return None if is_waiting else found

        found = until(answer)
        assert found is not None
        return found

    def logged_in(self) -> Any:
        """The new token of the person who says yes."""
        begun = self.begin()
        self.there.decide(begun["code"])
        return self.town.done(self.ask(begun["login"]))["new_token"]

    def refusal(self) -> tuple[int, str]:
        begun = self.begin()
        self.there.decide(begun["code"])
        answer = self.ask(begun["login"])
        return answer.status_code, answer.json()["detail"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with contextlib.ExitStack() as stack:
        there = stack.enter_context(providing())
        file = IdentityFile.model_validate(
            {
                "format": 1, "issuer": there.url, "client_id": CLIENT, "people": PEOPLE,
                "token_lasts": "2h",
            }
        )  # fmt: skip
        there.interval_s = 1
        folder = tmp_path_factory.mktemp("house")
        made = stack.enter_context(running(folder, provider=OidcProvider(file, SECRET)))
        there.client.back.append(f"{made.url}/login/oidc/callback")
        made.done(made.post("/orgs", {"org": "acme"}))
        yield House(made, there)


def test_a_person_gets_a_user_of_its_org_and_a_token_that_expires(house: House) -> None:
    house.person("ann", "ml")
    made = house.logged_in()
    caller = house.town.done(house.town.get("/whoami", made["secret"]))
    assert (caller["user"], caller["org"], caller["role"]) == ("ann@acme", "acme", "member")
    (kept,) = house.town.done(house.town.get("/tokens", made["secret"]))["tokens"]
    assert kept["token"] == made["token"] and kept["expires"] is not None
    again = house.logged_in()
    assert again["user"] == "ann@acme" and again["secret"] != made["secret"]


def test_what_came_of_a_login_is_told_again_for_an_answer_may_be_lost(house: House) -> None:
    house.person("ann", "ml")
    begun = house.begin()
    house.there.decide(begun["code"])
    first = house.town.done(house.ask(begun["login"]))
    assert house.town.done(house.finish(begun["login"])) == first


def test_a_login_that_waits_says_when_to_ask_again_and_asks_the_provider_no_sooner(
    house: House,
) -> None:
    begun = house.begin()
    before = len(house.there.requests)
    for _ in range(3):
        state = house.town.done(house.finish(begun["login"]))
        assert state["new_token"] is None and state["ask_again"] is not None
    assert len(house.there.requests) - before <= 1


def test_a_login_that_nobody_began_is_not_found(house: House) -> None:
    answer = house.finish("x" * 43)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_person_without_an_org_here_is_refused_and_no_user_is_made(house: House) -> None:
    before = house.town.done(house.town.get("/users"))
    house.person("eve")
    status, says = house.refusal()
    assert status == 403 and "ask its operator" in says
    house.person("eve", "gone")
    assert house.refusal()[0] == 404
    assert house.town.done(house.town.get("/users")) == before


def test_a_provider_gives_nobody_a_higher_role_than_its_rule(house: House) -> None:
    """A user of the org's that is its owner is not whoever calls itself so at the provider."""
    town = house.town
    town.done(town.post("/users", {"user": "boss", "org": "acme", "role": "owner"}))
    house.person("boss", "ml")
    status, says = house.refusal()
    assert status == 403 and "owner here" in says
    house.person("operator", "ml")
    made = house.logged_in()
    assert made["user"] == "operator@acme", "another org's name is another user"
    house.person("boss", "leads")
    assert house.logged_in()["user"] == "boss"
    house.person("operator", "ops")
    assert house.logged_in()["user"] == "operator"


def test_a_disabled_user_does_not_come_back_by_the_provider(house: House) -> None:
    house.person("cid", "ml")
    made = house.logged_in()
    town = house.town
    town.done(town.post("/users/cid@acme/disabled", {"is_disabled": True}))
    assert town.get("/whoami", made["secret"]).status_code == 401
    status, says = house.refusal()
    assert status == 403 and "disabled" in says


class SlowProvider:
    """Gives a code once it may; knows how many asked."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.asked = 0
        self.is_down = False

    async def finish_device(self, _: DeviceCode) -> dict[str, Any]:
        raise Pending(0.0)

    async def begin_device(self) -> DeviceCode:
        self.asked += 1
        await self.may_answer.wait()
        if self.is_down:
            raise IdentityError("the provider was not reached")
        return DeviceCode(device_code="d", user_code="u", verification_uri="v", expires_in=600.0)


@pytest.mark.parametrize("most", ["MOST_OF_AN_ADDRESS", "MOST_WAITING"])
def test_logins_that_begin_at_once_are_no_more_than_those_that_may_wait(
    most: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"parkade.api.logins.{most}", 16)

    async def whole() -> tuple[int, list[Any]]:
        slow = SlowProvider()
        logins = Logins(cast(Plane, None), cast(Provider, slow))
        address = "10.0.0.{}" if most == "MOST_WAITING" else "10.0.0.1"
        begun = [asyncio.ensure_future(logins.begin(address.format(at))) for at in range(17)]
        await asyncio.sleep(0)  # Each runs until it waits for the provider.
        slow.may_answer.set()
        found = await asyncio.gather(*begun, return_exceptions=True)
        return slow.asked, [it for it in found if isinstance(it, ProblemError)]

    asked, refused = asyncio.run(whole())
    assert asked == 16
    assert [it.problem.code for it in refused] == ["too_many"]


@pytest.mark.parametrize("most", ["MOST_OF_AN_ADDRESS", "MOST_WAITING"])
def test_logins_that_nobody_asks_about_make_room_for_others(
    most: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can begin one without a token; so nobody must be kept from it by those."""
    monkeypatch.setattr(f"parkade.api.logins.{most}", 16)

    async def whole() -> None:
        slow = SlowProvider()
        slow.may_answer.set()
        logins = Logins(cast(Plane, None), cast(Provider, slow))
        address = "10.0.0.{}" if most == "MOST_WAITING" else "10.0.0.1"
        of_a_person, _ = await logins.begin("10.0.0.1")
        forgotten, _ = await logins.begin(address.format(2))
        for at in range(100):
            await logins.begin(address.format(at))
            assert isinstance(await logins.finish(of_a_person), float)
        assert len(logins._waiting) == 16
        with pytest.raises(ProblemError, match="not_found"):
            await logins.finish(forgotten)

    asyncio.run(whole())


def test_a_login_that_the_provider_did_not_begin_takes_no_place() -> None:
    async def whole() -> None:
        slow = SlowProvider()
        slow.may_answer.set()
        logins = Logins(cast(Plane, None), cast(Provider, slow))
        slow.is_down = True
        for _ in range(MOST_OF_AN_ADDRESS + 1):
            with pytest.raises(ProblemError) as refused:
                await logins.begin("10.0.0.1")
            assert "not reached" in refused.value.problem.detail
        slow.is_down = False
        name, _ = await logins.begin("10.0.0.1")
        assert name

    asyncio.run(whole())


def test_a_server_without_a_provider_says_so(fresh: Town) -> None:
    for path, body in (("/v1/logins", {}), ("/v1/logins/token", {"login": "x"})):
        answer = fresh.http.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert fresh.http.get("/login/oidc").status_code == 404
    assert "login/oidc" not in fresh.http.get("/login").text


def browser(house: House) -> httpx.Client:
    return httpx.Client(base_url=house.town.url, headers=FORM, timeout=60)


def test_a_browser_gets_a_session_by_the_provider_and_loses_it_with_the_token(
    house: House,
) -> None:
    house.person("dan", "ml")
    with browser(house) as person:
        assert "/login/oidc?after=/market" in person.get("/login", params={"after": "/market"}).text
        there = person.get("/login/oidc", params={"after": "/market"})
        assert there.status_code == 303
        back = httpx.get(there.headers["Location"]).headers["Location"]
        page = person.get(back)
        assert page.status_code == 200 and 'content="0;url=/market"' in page.text
        assert "pk_" not in page.text
        cookie = next(it for it in page.headers.get_list("set-cookie") if "session" in it)
        assert "httponly" in cookie.lower() and "samesite=strict" in cookie.lower()
        assert person.get("/market").status_code == 200
        assert person.get(back).status_code == 403, "a code is good once, in the browser it was for"
        (token,) = (
            it["token"]
            for it in house.town.done(house.town.get("/tokens"))["tokens"]
            if it["user"] == "dan@acme"
        )
        house.town.done(house.town.post(f"/tokens/{token}/revoke"))
        assert person.get("/market").status_code == 303


def test_a_login_that_another_browser_began_is_refused(house: House) -> None:
    house.person("dan", "ml")
    with browser(house) as thief, browser(house) as victim:
        address = thief.get("/login/oidc").headers["Location"]
        back = httpx.get(address).headers["Location"]
        answer = victim.get(back)
        assert answer.status_code == 403 and "did not begin" in answer.text
        victim.get("/login/oidc")
        answer = victim.get(back)
        assert answer.status_code == 403 and "did not begin" in answer.text
        victim.get("/login/oidc")
        victim.get("/login/oidc")
        answer = victim.get("/login/oidc/callback", params={"code": "x", "state": "Zürich"})
        assert answer.status_code == 403 and "did not begin" in answer.text
        victim.cookies.set("parkade_login", "e30=.00")
        assert victim.get(back).status_code == 403
        assert victim.get("/").status_code == 303


def test_a_refusal_of_the_provider_is_shown_as_text(house: House) -> None:
    with browser(house) as person:
        state = httpx.URL(person.get("/login/oidc").headers["Location"]).params["state"]
        asked = {"error": "<script>alert(1)</script>", "state": state}
        page = person.get("/login/oidc/callback", params=asked)
        assert page.status_code == 403 and "<script>alert" not in page.text
    house.person("eve")
    with browser(house) as person:
        back = httpx.get(person.get("/login/oidc").headers["Location"]).headers["Location"]
        page = person.get(back)
        assert page.status_code == 403 and "ask its operator" in page.text


def test_the_browser_is_led_nowhere_else(house: House) -> None:
    house.person("dan", "ml")
    with browser(house) as person:
        there = person.get("/login/oidc", params={"after": "//evil.example/x"})
        page = person.get(httpx.get(there.headers["Location"]).headers["Location"])
        assert "evil" not in page.text and 'content="0;url=/"' in page.text


def test_no_secret_of_a_login_is_in_the_journal_or_a_log(
    house: House, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="parkade")
    house.person("fay", "ml")
    made = house.logged_in()
    with browser(house) as person:
        back = httpx.get(person.get("/login/oidc").headers["Location"]).headers["Location"]
        assert person.get(back).status_code == 200
    device = max(house.there.devices.values(), key=lambda it: it["expires_at"])
    code = httpx.URL(back).params["code"]
    journal = b"".join(
        path.read_bytes() for path in Path(house.town.folder).glob("parkade.sqlite3*")
    )
    written = "".join(capfd.readouterr()) + caplog.text
    for secret in (made["secret"], device["device_code"], code, SECRET):
        assert secret not in written and secret.encode() not in journal
