"""Who a person is here by what a provider claims."""

from pathlib import Path
from typing import Any

import pytest

from parkade.identity.errors import Stranger
from parkade.identity.rules import IdentityFile, person_of
from parkade.service.identity import NAME, read_provider
from parkade.service.settings import BadSettings

ML, LEADS = {"claim": "groups", "has": "ml"}, {"claim": "title", "has": "lead"}


def file(**changes: Any) -> IdentityFile:
    people = [{**LEADS, "org": "acme", "role": "owner"}, {**ML, "org": "acme"}]
    whole = {"format": 1, "issuer": "https://login.example", "client_id": "parkade"}
    return IdentityFile.model_validate({**whole, "people": people, **changes})


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "248", "preferred_username": "Ann", **more}


@pytest.mark.parametrize(
    ("told", "role"),
    [
        ({"groups": ["x", "ml"]}, "member"),
        ({"title": "lead", "groups": ["ml"]}, "owner"),
    ],
)
def test_the_first_rule_that_fits_decides(told: dict[str, Any], role: str) -> None:
    found = person_of(file(), claims(**told))
    assert (found.name, found.org, found.role, found.unix_name) == ("ann", "acme", role, None)


@pytest.mark.parametrize(
    "told", [{}, {"groups": []}, {"groups": "m"}, {"groups": ["mlx"]}, {"title": "leader"}]
)
def test_a_person_that_fits_no_rule_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(Stranger, match="ask its operator"):
        person_of(file(), claims(**told))


@pytest.mark.parametrize("name", ["ann@acme", "../x", "", "a b", None, 7, "<script>"])
def test_a_name_that_is_none_here_is_refused(name: object) -> None:
    with pytest.raises(Stranger):
        person_of(file(), claims(groups="ml", preferred_username=name))


@pytest.mark.parametrize(
    ("email", "is_verified", "name"),
    [
        ("Ann@Example.org", True, "ann"),
        ("ann@example.org", False, None),
        ("ann@example.org", "true", None),
        ("ann@evil.org", True, None),
        ("ann@example.org@evil.org", True, None),
        ("ann", True, None),
    ],
)
def test_an_address_counts_where_it_is_verified_and_of_the_domain(
    email: str, is_verified: object, name: str | None
) -> None:
    rules = file(name_claim="email", email_domain="example.org")
    told = claims(groups="ml", email=email, email_verified=is_verified)
    if name is None:
        with pytest.raises(Stranger):
            person_of(rules, told)
    else:
        assert person_of(rules, told).name == name


@pytest.mark.parametrize("name", ["\u212aim", "\u0130da", "ann\u00e9"])
def test_letters_that_lower_case_makes_plain_are_nobodys_name(name: str) -> None:
    """The first is a KELVIN SIGN: in lower case it is a k, and its bearer would be kim."""
    with pytest.raises(Stranger, match="no name here"):
        person_of(file(), claims(groups="ml", preferred_username=name))
    rules = file(name_claim="email", email_domain="example.org")
    told = claims(groups="ml", email=f"{name}@example.org", email_verified=True)
    with pytest.raises(Stranger, match="no name here"):
        person_of(rules, told)


@pytest.mark.parametrize(("unix", "is_good"), [("ann", True), ("root", False), ("a b", False)])
def test_a_unix_name_is_a_persons(unix: str, is_good: bool) -> None:
    rules, told = file(unix_name_claim="unix"), claims(groups="ml", unix=unix)
    if is_good:
        assert person_of(rules, told).unix_name == unix
    else:
        with pytest.raises(Stranger, match="Unix name"):
            person_of(rules, told)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"issuer": "http://login.example"}, "issuer"),
        ({"issuer": "https://login.example?x=1"}, "issuer"),
        ({"people": []}, "people"),
        ({"people": [{"org": "acme", "role": "operator"}]}, "members only"),
        ({"people": [{"org": "acme", "claim": "groups"}]}, "both"),
        ({"name_claim": "email"}, "email_domain"),
        ({"scopes": ["profile"]}, "openid"),
        ({"client_secret": "x"}, "client_secret"),
    ],
)
def test_a_file_that_would_let_in_the_wrong_people_is_refused(
    changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        file(**changes)


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("joserfc")
    secret = tmp_path / "secret"
    secret.write_text("a-secret-of-the-client\n")
    secret.chmod(0o644)
    (tmp_path / NAME).write_text(
        "format: 1\nissuer: https://login.example\nclient_id: parkade\n"
        f"client_secret_file: {secret}\npeople:\n  - {{org: acme}}\n"
    )
    with pytest.raises(BadSettings, match="chmod 600"):
        read_provider(tmp_path)
    secret.chmod(0o600)
    assert read_provider(tmp_path) is not None


def test_without_a_file_there_is_no_provider(tmp_path: Path) -> None:
    assert read_provider(tmp_path) is None
    (tmp_path / NAME).write_text("format: 1\n")
    with pytest.raises(BadSettings, match="issuer"):
        read_provider(tmp_path)
