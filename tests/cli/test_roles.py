"""`parkade user set`: the role of a user, set after it was made."""

import json

import pytest

from tests.api.town import Town
from tests.cli.test_cli import Run, as_user, run

__all__ = ["run"]


def test_an_owner_sets_the_role_of_a_user_of_its_org_but_makes_no_operator(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    org, owner = fresh.org()
    as_user(monkeypatch, fresh, owner)
    user = json.loads(run("user", "create", fresh.name("user"), "--org", org, "--json").stdout)
    name = user["user"]
    assert f"{name}: owner of {org}" in run("user", "set", name, "--role", "owner").output
    listed = json.loads(run("user", "list", "--json").stdout)["users"]
    assert [it["role"] for it in listed if it["user"] == name] == ["owner"]
    assert json.loads(run("user", "set", name, "--role", "member", "--json").stdout)["role"] == (
        "member"
    )
    denied = run("user", "set", name, "--role", "operator", exit_code=5).stderr
    assert "only an operator makes operators" in denied
    assert "role" in run("user", "set", name, "--role", "king", exit_code=3).stderr
