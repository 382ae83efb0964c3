"""`parkade user delete` and `parkade org delete`."""

import json

import pytest

from tests.api.town import Town
from tests.cli.test_cli import Run, as_user, run

__all__ = ["run"]


def names(run: Run, kind: str, *options: str) -> list[str]:
    return [it[kind] for it in json.loads(run(kind, "list", *options, "--json").stdout)[f"{kind}s"]]


def test_an_org_and_its_user_are_deleted_and_their_statement_stays(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    org, owner = fresh.org("12.50")
    as_user(monkeypatch, fresh, owner)
    denied = run("org", "delete", org, "--yes", exit_code=5).stderr
    assert "only an operator" in denied
    (user,) = names(run, "user")
    as_user(monkeypatch, fresh, fresh.operator)
    first = run("org", "delete", org, "--yes", exit_code=3).stderr
    for says in (f"parkade org disable {org}", f"parkade disburse {org} 12.50", "user delete"):
        assert says in " ".join(first.split())
    assert "give --yes" in run("org", "disable", org, exit_code=2).stderr
    assert "it has no work to end" in run("org", "disable", org, "--yes").stderr
    run("disburse", org, "12.50", "--reason", "it leaves")
    assert "give --yes" in run("user", "delete", user, exit_code=2).stderr
    assert "stays under its name" in run("user", "delete", user, "--yes").output
    assert "stay under its name" in run("org", "delete", org, "--yes").output
    for kind, name in (("user", user), ("org", org)):
        assert name not in names(run, kind) and name in names(run, kind, "--deleted")
        line = next(it for it in run(kind, "list", "--deleted").stdout.splitlines() if name in it)
        assert line.split()[-1] == "deleted"
    assert "is not given again" in " ".join(run("org", "create", org, exit_code=3).stderr.split())
    assert "12.50" in run("statement", "--account", f"org/{org}").stdout
    told = run("events").stdout
    assert f"org {org} deleted" in told and f"user {user} deleted" in told
