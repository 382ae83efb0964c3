"""Maintenance windows on the command line."""

import json

import pytest

from tests.api.town import Town
from tests.cli.test_cli import Run, as_user, run

__all__ = ["run"]


def test_a_window_is_scheduled_changed_listed_and_cancelled(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.pool()
    as_user(monkeypatch, fresh, fresh.operator)
    node = json.loads(run("node", "list", "--json").stdout)["nodes"][0]["node"]
    assert "No maintenance windows" in run("maintenance", "list").output
    window = ("--start", "+40d", "--end", "+41d", "-r", "firmware")
    made = json.loads(run("maintenance", "schedule", node, *window, "--json").stdout)
    assert (made["maintenance"], made["state"], made["nodes"]) == ("m1", "scheduled", [node])
    assert made["empties"] < made["start"] < made["end"]
    again = run("maintenance", "schedule", node, *window, exit_code=3).stderr
    assert "in maintenance window m1" in again
    assert "m1 from" in run("node", "list").output
    assert "give --start, --end" in run("maintenance", "change", "m1", exit_code=2).stderr
    later = json.loads(run("maintenance", "change", "m1", "--end", "+42d", "--json").stdout)
    assert later["end"] > made["end"] and later["start"] == made["start"]
    assert "firmware" in run("maintenance", "list").output
    assert "m1: cancelled" in run("maintenance", "cancel", "m1").output
    assert "No maintenance windows" in run("maintenance", "list").output


def test_a_window_that_begins_now_closes_its_node_until_it_is_cancelled(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.pool()
    as_user(monkeypatch, fresh, fresh.operator)
    node = json.loads(run("node", "list", "--json").stdout)["nodes"][0]["node"]
    run("maintenance", "schedule", node, "--end", "+1h", "-r", "firmware")
    assert "maintenance:m1" in run("node", "list").output
    assert "drained" in run("maintenance", "list").output
    assert "only the holder" in run("node", "uncordon", node, exit_code=5).stderr
    run("maintenance", "cancel", "m1")
    assert "maintenance:m1" not in run("node", "list").output


def test_members_see_when_and_how_many_nodes_but_not_which(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.pool()
    as_user(monkeypatch, fresh, fresh.operator)
    node = json.loads(run("node", "list", "--json").stdout)["nodes"][0]["node"]
    run("maintenance", "schedule", node, "--end", "+1h", "-r", "secret plans")
    _, owner = fresh.org()
    as_user(monkeypatch, fresh, owner)
    (seen,) = json.loads(run("maintenance", "list", "--json").stdout)["maintenance"]
    assert (seen["nodes"], seen["reason"], seen["waits_for"]) == ([], "", [])
    assert sum(it["nodes"] for it in seen["takes"]) == 1
    window = ("--end", "+1h", "-r", "x")
    assert "operator" in run("maintenance", "schedule", node, *window, exit_code=5).stderr
    assert "operator" in run("maintenance", "cancel", "m1", exit_code=5).stderr
