"""Receivers on the command line."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.messages.addresses import AddressRules
from parkade.messages.queue import Waiting
from parkade.messages.receivers import MailServer, PeopleRules
from tests.api.town import Town
from tests.api.town import town as running
from tests.cli.test_cli import Run, as_user, run

__all__ = ["run"]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    mail = MailServer(host="127.0.0.1", port=9, sender="p@x.org", domains=("x.org",))
    rules = PeopleRules(addresses=AddressRules(), mail=mail)
    with running(tmp_path, people=rules) as made:
        yield made


def test_a_person_is_told_at_a_webhook_until_it_is_removed(
    run: Run, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, town, town.org()[1])
    web = "https://hooks.example.org/x"
    said = run("notify", "add", web, "--about", "notice", "--about", "ended").output
    name = re.findall(r"webhook-[0-9a-f]{12}", said)[0]
    secret = re.findall(r"[0-9a-f]{64}", said)[0]
    assert "told of notice, ended" in said
    listed = run("notify", "list").output
    assert name in listed and web in listed and secret not in listed
    assert name in run("notify", "test", name).output
    assert "told nowhere" in run("notify", "remove", name).output
    inside = run("notify", "add", "https://127.0.0.1/", exit_code=3).stderr
    assert "not an address" in inside


def test_a_receiver_that_fails_is_shown_with_its_error_and_its_next_try(
    run: Run, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, town, town.org()[1])
    said = run("notify", "add", "https://hooks.example.org/x").output
    name = re.findall(r"webhook-[0-9a-f]{12}", said)[0]
    assert "failed" not in run("notify", "list").output
    failing = Waiting(messages=3, says="HTTP 500", failed_us=60_000_000, again_us=120_000_000)
    town.directory.note_waiting({name: failing})
    listed = " ".join(run("notify", "list").output.split())
    assert f"{name} failed at 1970-01-01 00:01: HTTP 500; 3 messages not heard" in listed
    assert "tried again at 1970-01-01 00:02" in listed


def test_an_address_of_mail_is_told_once_its_code_was_given(
    run: Run, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, town, town.org()[1])
    said = run("notify", "add", "ann@x.org", "--about", "ended").output
    name = re.findall(r"mail-[0-9a-f]{12}", said)[0]
    assert "A code is on its way to ann@x.org" in said and f"confirm {name} CODE" in said
    listed = " ".join(run("notify", "list").output.split())
    assert f"{name} is told nothing until parkade notify confirm" in listed
    assert "Another code is on its way" in run("notify", "test", name).output
    ((_, code),) = town.directory.take_tests()
    assert code is not None
    assert "not the code" in run("notify", "confirm", name, "none", exit_code=3).stderr
    assert f"{name} is told of ended" in run("notify", "confirm", name, code).output
    assert "is told nothing" not in run("notify", "list").output
    assert "A message is on its way" in run("notify", "test", name).output
