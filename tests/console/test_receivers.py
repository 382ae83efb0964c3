"""Receivers in the console: set, confirmed by the code of a mail, tried, shown where they fail."""

import html
import re
from collections.abc import Iterator

import pytest

from parkade.messages.addresses import AddressRules
from parkade.messages.queue import Waiting
from parkade.messages.receivers import MailServer, PeopleRules
from tests.api.town import Town
from tests.api.town import town as running
from tests.console.test_reserving import seen
from tests.console.test_small_forms import fault
from tests.console.visitor import Visitor, visitor

WEB = "https://hooks.example.org/x"
ALL = {f"about_{kind}": "yes" for kind in ("started", "ended", "notice", "at_risk", "budget")}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    mail = MailServer(host="127.0.0.1", port=9, sender="p@x.org", domains=("x.org",))
    rules = PeopleRules(addresses=AddressRules(), mail=mail)
    with running(tmp_path_factory.mktemp("receivers"), people=rules) as made:
        yield made


def add(person: Visitor, address: str, **fields: str) -> str:
    """The page that answers a new one."""
    page = person.text("/receivers")
    sent = person.submit("/receivers", page, address=address, **(ALL | fields))
    assert sent.status_code == 200, sent.text
    return sent.text


def own(town: Town, token: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = town.done(town.get("/receivers", token))["receivers"]
    return found


def test_a_webhook_is_set_and_its_secret_is_shown_once(town: Town) -> None:
    token = town.user(town.org()[0])
    person = visitor(town.url, token)
    page = add(person, WEB, about_budget="")
    secret = re.search(r'id="secret">([0-9a-f]{64})<', page)
    assert secret is not None and secret[1] not in person.text("/receivers")
    (made,) = own(town, token)
    assert made["about"] == ["notice", "at_risk", "started", "ended"]
    assert "of your work, when" in seen(page) and "a budget" not in seen(page.split('id="new"')[0])
    again = person.submit("/receivers", page, address=WEB, **ALL)
    assert again.status_code == 422 and "is one already" in fault(again.text, "address")
    assert len(own(town, token)) == 1, "a form that is sent twice makes one"
    sent = person.submit(f"/receivers/{made['receiver']}/test", page)
    assert f"A message is on its way to {WEB}" in html.unescape(sent.text)
    assert person.submit(f"/receivers/{made['receiver']}/remove", page).status_code == 303
    assert own(town, token) == [] and "Nowhere yet" in person.text("/receivers")


def test_an_address_of_mail_is_sent_a_code_and_confirmed_with_it(town: Town) -> None:
    token = town.user(town.org()[0])
    person = visitor(town.url, token)
    page = add(person, "ann@x.org")
    assert "A code is on its way there, and nothing else" in seen(page)
    (made,) = own(town, token)
    name, place = made["receiver"], f"/receivers/{made['receiver']}/confirm"
    code = dict(town.directory.take_tests())[str(name)]
    assert code is not None and f"code-{name}" in page
    for typed, says in (("", "missing"), ("12", "4 tries are left")):
        sent = person.submit(place, page, code=typed)
        assert sent.status_code == 422 and says in fault(sent.text, f"code-{name}"), sent.text
    sent = person.submit(f"/receivers/{name}/test", page)
    assert "Another code is on its way to ann@x.org" in seen(sent.text)
    other = dict(town.directory.take_tests())[str(name)]
    assert other is not None
    assert person.submit(place, page, code=other).status_code == 303
    assert own(town, token)[0]["is_confirmed"] is True
    assert "unconfirmed" not in person.text("/receivers")


def test_too_many_codes_are_refused_on_the_page(town: Town) -> None:
    token = town.user(town.org()[0])
    person = visitor(town.url, token)
    page = add(person, "often@x.org")
    name = own(town, token)[0]["receiver"]
    sent = [person.submit(f"/receivers/{name}/test", page) for _ in range(10)][-1]
    assert sent.status_code == 429 and 'class="refused" role="alert"' in sent.text
    assert "often@x.org" in sent.text, "the list stands below what is wrong"


def test_what_is_wrong_with_an_address_stands_beside_it(town: Town) -> None:
    person = visitor(town.url, town.user(town.org()[0]))
    page = person.text("/receivers")
    for address in ("https://169.254.169.254/", "ann@example.org", "x" * 2001, ""):
        sent = person.submit("/receivers", page, address=address, about_ended="yes")
        assert sent.status_code == 422 and fault(sent.text, "address"), address
    sent = person.submit("/receivers", page, address=WEB)
    assert sent.status_code == 422 and fault(sent.text, "about") == "choose of what"


def test_each_sees_and_sets_its_own_and_an_owner_its_orgs(town: Town) -> None:
    org, owner = town.org()
    member = town.user(org)
    of_owner, of_member = visitor(town.url, owner), visitor(town.url, member)
    page = add(of_owner, WEB, of="org")
    assert f"of all work of {org}" in seen(page)
    (made,) = own(town, owner)
    assert made["user"] is None and 'name="of"' not in of_member.text("/receivers")
    assert WEB not in of_member.text("/receivers")
    for verb in ("test", "remove", "confirm"):
        place, other = f"/receivers/{made['receiver']}/{verb}", of_member.text("/receivers")
        assert of_member.submit(place, other, code="1").status_code == 404
    sent = of_member.submit(
        "/receivers", of_member.text("/receivers"), address=WEB, of="org", **ALL
    )
    assert sent.status_code == 403
    assert "a node is sick" not in page
    assert "a node is sick" in visitor(town.url, town.operator).text("/receivers")
    assert visitor(town.url, town.user(org, "partner")).get("/receivers").status_code == 403


def test_one_that_fails_is_shown_with_the_reason_and_needs_its_person(town: Town) -> None:
    token = town.user(town.org()[0])
    person = visitor(town.url, token)
    add(person, WEB)
    name = str(own(town, token)[0]["receiver"])
    at_us = 4_000_000_000_000_000
    failing = Waiting(messages=3, says="HTTP 500", failed_us=60_000_000, again_us=at_us)
    town.directory.note_waiting({name: failing})
    try:
        page = person.text("/receivers")
        assert "takes no messages: HTTP 500; 3 not heard, again in" in seen(page)
        front = person.text("/")
        assert f"{WEB} takes no messages: HTTP 500" in html.unescape(front)
        assert 'href="/receivers"' in front.split('id="needs"')[1]
    finally:
        town.directory.note_waiting({})


def test_a_server_that_takes_none_says_so_in_place_of_the_form(fresh: Town) -> None:
    page = visitor(fresh.url, fresh.operator).text("/receivers")
    assert "messages.yaml" in page and 'name="address"' not in page
