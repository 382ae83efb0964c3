"""`parkade mars status, events, incidents, stop, start, budget` against a real server."""

import json
from pathlib import Path
from typing import get_args

import pytest

from parkade.cli.mars.incidents import KINDS
from parkade.control.clock import SystemClock
from parkade.core.state import events
from tests.api.test_mars import Reporter
from tests.api.town import Town
from tests.cli.test_cli import Run, as_user, run
from tests.core.repairing.sick import verdict

__all__ = ["run"]


@pytest.fixture
def told(fresh: Town, run: Run, monkeypatch: pytest.MonkeyPatch) -> Reporter:
    """One incident that is over."""
    as_user(monkeypatch, fresh, fresh.operator)
    reporter = Reporter(fresh)
    reporter.report(verdict("lab-3", at_us=SystemClock().now_us()))
    reporter.repaired()
    return reporter


def test_an_incident_is_told_as_text_json_and_a_page(
    told: Reporter, run: Run, tmp_path: Path
) -> None:
    listed = run("mars", "incidents").output
    assert "incident-1" in listed and "returned" in listed and "lab-3" in listed
    story = run("mars", "incidents", "incident-1").output
    for words in ("fatal xid/79", "reboot ordered", "validate ordered", "back in service", "NVRM"):
        assert words in story
    kept = json.loads(run("mars", "incidents", "incident-1", "--json").output)
    assert kept["format"] == 1 and kept["lines"][0]["kind"] == "opened"
    page = tmp_path / "story.html"
    run("mars", "incidents", "incident-1", "--html", str(page))
    text = page.read_text()
    assert text.startswith("<!doctype html>") and "Fell off the bus." in text
    assert "http" not in text and "<script" not in text, "it loads nothing"
    run("mars", "incidents", "--html", str(page), exit_code=2)
    told_none = run("mars", "incidents", "incident-9", exit_code=4).output
    assert "there is no incident-9" in told_none


def test_status_shows_what_is_automatic_and_one_command_stops_it(told: Reporter, run: Run) -> None:
    assert "acts by itself" in run("mars", "status").output
    stopped = run("mars", "stop", "-r", "night shift").output
    assert "is stopped, set by operator at " in stopped and ": night shift" in stopped
    assert json.loads(run("mars", "status", "--json").output)["is_on"] is False
    assert "acts by itself" in run("mars", "start", "-r", "morning").output
    changed = run("mars", "budget", "--fabric", "1/4", "-r", "young nodes").output
    assert "1/4 of a fabric" in changed
    run("mars", "budget", "-r", "nothing", exit_code=2)


def test_what_a_stop_holds_says_that_mars_was_stopped(told: Reporter, run: Run) -> None:
    run("mars", "stop", "-r", "night shift")
    told.report(verdict("lab-2", "v2", at_us=SystemClock().now_us()))
    for words in (("--open",), ("incident-2",)):
        shown = run("mars", "incidents", *words).output
        assert "held: Mars was stopped" in " ".join(shown.split())
        assert "observe" not in shown
    run("mars", "start", "-r", "morning")
    assert "was stopped" not in run("mars", "incidents", "--open").output


def test_events_of_mars_are_those_of_sick_nodes_alone(told: Reporter, run: Run) -> None:
    lines = run("mars", "events", "--json").output.splitlines()
    kinds = [json.loads(line)["type"] for line in lines]
    assert kinds[-1] == "IncidentClosed" and "PoolOpened" not in kinds
    assert "RepairOrdered" in run("mars", "events").output


def test_no_event_of_healing_is_left_out() -> None:
    assert {kind.__name__ for kind in get_args(events.HealingEvent)} <= KINDS


def test_status_names_the_incidents_whose_action_waits_for_a_person(
    told: Reporter, run: Run
) -> None:
    assert "WAITS" not in run("mars", "status").output
    run("mars", "stop", "-r", "night shift")
    told.report(verdict("lab-2", at_us=SystemClock().now_us()))
    shown = run("mars", "status").output
    line = next(each for each in shown.splitlines() if "incident-2" in each)
    assert "lab-2" in line and "xid/79" in line and "reboot" in line
    assert "WAITS" in shown


def test_events_say_no_reason_that_is_not_there(told: Reporter, run: Run) -> None:
    shown = run("mars", "events", "--after", "0").output.splitlines()
    assert any(each.endswith("node lab-3 is healthy") for each in shown)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("status",), "`parkade mars run` serves what stands as metrics"),
        (("events",), "tells verdicts and drains on stderr"),
        (("incidents",), "tells verdicts and drains on stderr"),
        (("incidents", "incident-1"), "tells verdicts and drains on stderr"),
        (
            ("stop", "-r", "x"),
            "end `parkade mars run`, then lift its drains with `parkade mars undo",
        ),
        (("start", "-r", "x"), "start `parkade mars run --config FILE`"),
        (("budget", "-r", "x", "--lift"), "`most` in the file of `parkade mars run`"),
    ],
)
@pytest.mark.parametrize(("token", "exit_code"), [("", 2), ("pk_x", 6)])
def test_without_a_server_each_command_says_what_to_do_alone(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: tuple[str, ...],
    hint: str,
    token: str,
    exit_code: int,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PARKADE_SERVER", "http://127.0.0.1:1")
    monkeypatch.setenv("PARKADE_TOKEN", token)
    assert hint in run("mars", *words, exit_code=exit_code).output


def test_help_says_which_commands_need_a_server(run: Run) -> None:
    shown = run("mars", "--help").output
    alone, _, served = shown.partition("With a server")
    assert "Without a server" in alone
    for name in ("scan", "explain", "run", "undo", "export", "policy"):
        assert f" {name} " in alone and f" {name} " not in served
    for name in ("status", "events", "incidents", "stop", "start", "budget"):
        assert f" {name} " in served
