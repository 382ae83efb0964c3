"""Receivers over HTTP: each caller has its own, an owner its org's, and a stranger none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.messages.addresses import AddressRules
from parkade.messages.queue import Waiting
from parkade.messages.rates import TO_AN_ADDRESS
from parkade.messages.receivers import MailServer, PeopleRules
from tests.api.town import Town
from tests.api.town import town as running

PAGE = Path(__file__).parents[2] / "docs/api.md"
WEB = "https://hooks.example.org/x"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    mail = MailServer(host="127.0.0.1", port=9, sender="p@x.org", domains=("x.org",))
    rules = PeopleRules(addresses=AddressRules(), mail=mail)
    with running(tmp_path_factory.mktemp("receivers"), people=rules) as made:
        yield made


def names(town: Town, token: str) -> list[str]:
    found = town.done(town.get("/receivers", token))["receivers"]
    return [each["receiver"] for each in found]


def test_a_secret_is_shown_once_and_the_rest_to_its_own(town: Town) -> None:
    org, owner = town.org()
    member, other = town.user(org), town.user(org)
    stranger = town.org()[1]
    made = town.done(town.post("/receivers", {"address": WEB, "about": ["ended"]}, member))
    assert len(made["secret"]) == 64 and made["about"] == ["ended"]
    (shown,) = town.done(town.get("/receivers", member))["receivers"]
    assert shown == {**made, "secret": None}
    assert names(town, other) == names(town, owner) == names(town, stranger) == []
    for token in (other, owner, stranger):
        for verb in ("remove", "test"):
            answer = town.post(f"/receivers/{made['receiver']}/{verb}", {}, token)
            assert answer.status_code == 404
    tested = town.post(f"/receivers/{made['receiver']}/test", {}, member)
    shown_again = town.get(f"/receivers/{made['receiver']}", member)
    assert tested.is_success and tested.headers["ETag"] == shown_again.headers["ETag"]
    assert town.done(town.post(f"/receivers/{made['receiver']}/remove", {}, member)) == {
        "receivers": []
    }


def test_a_repeated_request_makes_another_as_its_page_and_description_say(town: Town) -> None:
    token = town.user(town.org()[0])
    made = [town.done(town.post("/receivers", {"address": WEB}, token, key="k")) for _ in range(2)]
    assert set(names(town, token)) == {each["receiver"] for each in made}
    described = town.http.get("/v1/openapi.json").json()["paths"]["/v1/receivers"]["post"]
    assert "Idempotency-Key" not in [it["name"] for it in described.get("parameters", ())]
    assert "makes a second" in described["description"]
    assert "`POST /v1/receivers` makes a second receiver" in PAGE.read_text()


def test_an_owner_sets_those_of_its_org_and_a_member_does_not(town: Town) -> None:
    org, owner = town.org()
    member = town.user(org)
    asked = {"address": WEB, "for_org": True}
    refused = town.post("/receivers", asked, member)
    assert (refused.status_code, refused.json()["code"]) == (403, "denied")
    made = town.done(town.post("/receivers", asked, owner))
    assert (made["user"], made["org"]) == (None, org)
    assert names(town, owner) == [made["receiver"]] and names(town, member) == []
    assert town.post(f"/receivers/{made['receiver']}/remove", {}, member).status_code == 404
    assert names(town, town.org()[1]) == []


def test_an_address_that_leads_inside_is_refused_in_words(town: Town) -> None:
    for address in ("https://169.254.169.254/", "http://x.example/", "ann@example.org"):
        answer = town.post("/receivers", {"address": address}, town.org()[1])
        assert (answer.status_code, answer.json()["code"]) == (422, "unsupported"), address


def test_an_address_of_mail_is_confirmed_by_its_own_with_the_code(town: Town) -> None:
    org, owner = town.org()
    member, other = town.user(org), town.user(org)
    hook = town.done(town.post("/receivers", {"address": WEB}, member))
    assert hook["is_confirmed"]
    made = town.done(town.post("/receivers", {"address": "ann@x.org"}, member))
    path = f"/receivers/{made['receiver']}"
    assert made["is_confirmed"] is False
    code = dict(town.directory.take_tests())[made["receiver"]]
    assert code is not None
    before = town.get(path, member).headers["ETag"]
    for token in (other, owner, town.org()[1]):
        assert town.post(f"{path}/confirm", {"code": code}, token).status_code == 404
    wrong = town.post(f"{path}/confirm", {"code": "x"}, member)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "unsupported")
    assert "4 tries are left" in wrong.json()["detail"]
    confirmed = town.post(f"{path}/confirm", {"code": code}, member)
    assert town.done(confirmed)["is_confirmed"] is True
    after = town.get(path, member)
    assert confirmed.headers["ETag"] == after.headers["ETag"] != before
    assert town.done(after)["is_confirmed"] is True
    asked = [town.post(f"{path}/test", {}, member).status_code for _ in range(TO_AN_ADDRESS)]
    assert asked[-2:] == [200, 429]
    refused = town.post("/receivers", {"address": "Ann@x.org"}, owner)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many")


def test_a_server_that_offers_none_says_so(fresh: Town) -> None:
    answer = fresh.post("/receivers", {"address": WEB})
    assert answer.status_code == 422 and "messages.yaml" in answer.json()["detail"]
    assert fresh.done(fresh.get("/receivers"))["receivers"] == []


def test_what_a_receiver_has_not_heard_is_told_with_the_error_and_the_next_try(town: Town) -> None:
    _, owner = town.org()
    made = town.done(town.post("/receivers", {"address": WEB, "for_org": True}, owner))
    assert (made["waiting"], made["says"], made["again"]) == (0, None, None)
    failing = Waiting(messages=3, says="HTTP 500", failed_us=60_000_000, again_us=90_000_000)
    town.directory.note_waiting({made["receiver"]: failing, "mail/ops": failing})
    shown = town.done(town.get(f"/receivers/{made['receiver']}", owner))
    assert (shown["waiting"], shown["says"]) == (3, "HTTP 500")
    assert (shown["failed"], shown["again"]) == ("1970-01-01T00:01:00Z", "1970-01-01T00:01:30Z")
    (listed,) = town.done(town.get("/receivers", owner))["receivers"]
    assert listed == shown
    assert set(town.directory.waiting_beside()) == {"mail/ops"}
