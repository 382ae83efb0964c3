"""Reservations that are planned and change, on the command line."""

import json

import pytest

from tests.api.town import Town
from tests.cli.test_cli import Run, as_user, run

__all__ = ["run"]


def test_a_reservation_costs_what_its_plan_says_and_changes(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.pool()
    _, owner = fresh.org()
    as_user(monkeypatch, fresh, owner)
    window = ("3", "--name", "right", "--end", "+5h")
    plan = json.loads(run("reserve", *window, "--plan", "--json").stdout)
    assert "in all" in run("reserve", *window, "--plan").output
    assert "No reservations" in run("reservations").output, "a plan buys nothing"
    sold = json.loads(run("reserve", *window, "--json").stdout)
    assert (sold["rate"], sold["shape"]) == (plan["rate"], plan["shape"])
    later = json.loads(run("extend", "right", "--end", "+9h", "--json").stdout)
    assert later["end"] > sold["end"]
    part = json.loads(run("split", "right", "1", "--name", "part", "--json").stdout)
    assert part["nodes"] == 1 and part["end"] == later["end"]
    assert "owed as a whole" in run("shrink", "right", "1", exit_code=3).stderr
    assert "ask an operator" in run("split", "right", "1", "--org", "x", exit_code=5).stderr
