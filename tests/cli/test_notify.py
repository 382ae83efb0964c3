"""Receivers on the command line."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.messages.addresses import AddressRules
from parkade.messages.receivers import PeopleRules
from tests.api.town import Town
from tests.api.town import town as running
from tests.cli.test_cli import Run, as_user, run

__all__ = ["run"]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    rules = PeopleRules(addresses=AddressRules(), mail=None)
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
