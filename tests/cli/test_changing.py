"""Other bounds of workloads that live, and what ended submitted again, on the command line."""

import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from tests.api.town import Town
from tests.cli.test_cli import Run, as_user, run
from tests.waits import PATIENCE_S

__all__ = ["run"]


@pytest.fixture
def train(run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch) -> str:
    """One below the floor, so that no market starts it."""
    pool, (_, owner) = fresh.pool(), fresh.org()
    as_user(monkeypatch, fresh, owner)
    return fresh.submit(pool, owner, name="train", max_spend="9", limit_price="0.01")


def told(run: Run, *words: str) -> Any:
    return json.loads(run(*words, "--json").stdout)


def test_what_is_not_named_stays_and_none_takes_a_bound_away(run: Run, train: str) -> None:
    spec = told(run, "change", "train", "--max-duration", "36h")["spec"]
    assert (spec["max_spend"], spec["max_duration"]) == ("9.00", "36h")
    spec = told(run, "change", train, "--max-spend", "none")["spec"]
    assert spec.get("max_spend") is None
    assert "give --max-spend" in run("change", train, exit_code=2).stderr
    assert "max_duration" in run("change", train, "--max-duration", "soon", exit_code=3).stderr


def test_what_ended_goes_on_under_its_id_or_is_submitted_anew(run: Run, train: str) -> None:
    run("cancel", train)
    again = told(run, "resubmit", "train", "--resume", "--max-spend", "12")
    assert (again["workload"], again["phase"]) == (train, "queued")
    assert again["spec"]["max_spend"] == "12.00"
    assert "is queued" in run("resubmit", train, "--resume", exit_code=3).stderr
    run("cancel", train)
    other = told(run, "resubmit", train, "--limit-price", "0.02")
    assert other["workload"] != train and other["limit_price"] == "0.02"
    assert other["spec"]["command"] == again["spec"]["command"]


@pytest.fixture
def runs(fresh: Town, monkeypatch: pytest.MonkeyPatch) -> str:
    """One that runs on two nodes, alone in its market."""
    pool, (_, owner) = fresh.pool(), fresh.org()
    as_user(monkeypatch, fresh, owner)
    workload = fresh.submit(pool, owner, limit_price="9", nodes=2, gpus=2)
    attempt = fresh.wait_for_attempt(pool, workload)
    assert fresh.observe(pool, fresh.running(attempt)).is_success
    return workload


def test_a_limit_by_which_seats_are_lost_says_so_before(run: Run, runs: str) -> None:
    assert run("bid", runs, "8").stderr == ""
    said = run("bid", runs, "0.01").stderr
    assert f"{runs} job (4 GPUs on lab-" in said and "would be told to leave" in said
    assert "the next clearing is at most" in said and "is gone within" in said


def test_a_limit_that_takes_the_seats_of_others_says_so_before(
    run: Run, fresh: Town, runs: str
) -> None:
    asked = ("--limit", "0.5", "--nodes", "8", "--gpus", "2", "--workdir", "/tmp")
    waits = json.loads(run("submit", "--json", *asked, "--", "true").stdout)
    assert waits["phase"] == "queued"
    assert run("bid", waits["workload"], "0.6").stderr == ""
    said = run("bid", waits["workload"], "20").stderr
    assert f"{runs} job (4 GPUs on lab-" in said and "would be told to leave" in said


def test_of_many_that_wait_the_first_are_planned(
    run: Run, train: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parkade.cli.workloads.MOST_PLANNED", 0)
    assert "without a look at what would leave" in run("bid", train, "0.02").stderr


def test_a_person_at_a_terminal_is_asked_before_seats_are_lost(
    run: Run, fresh: Town, runs: str
) -> None:
    for answer, limit in ((b"n\n", "9.00"), (b"y\n", "0.01")):
        ours, theirs = pty.openpty()
        words = [sys.executable, "-m", "parkade.cli", "bid", runs, "0.01"]
        with subprocess.Popen(words, stdin=theirs, stderr=subprocess.PIPE) as asked:
            os.write(ours, answer)
            _, said = asked.communicate(timeout=PATIENCE_S)
        assert b"Go on?" in said
        assert fresh.done(fresh.get(f"/workloads/{runs}"))["limit_price"] == limit
        os.close(ours)
        os.close(theirs)
    assert run("bid", runs, "0.02", "--yes").exit_code == 0


def test_what_a_person_agreed_to_is_changed_or_nothing_is(fresh: Town, runs: str) -> None:
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "parkade.cli", "bid", runs, "0.01"]
    with subprocess.Popen(words, stdin=theirs, stderr=subprocess.PIPE) as asked:
        assert asked.stderr is not None
        said = b""
        while b"Go on?" not in said:
            read = os.read(asked.stderr.fileno(), 4096)
            assert read, said
            said += read
        fresh.done(fresh.post(f"/workloads/{runs}/bid", {"limit_price": "7"}))
        os.write(ours, b"y\n")
        _, told = asked.communicate(timeout=PATIENCE_S)
    assert asked.returncode == 3 and b"it was changed while you looked" in told
    assert fresh.done(fresh.get(f"/workloads/{runs}"))["limit_price"] == "7.00"
    os.close(ours)
    os.close(theirs)


def test_of_a_pattern_the_work_that_ends_is_said_before(
    run: Run, fresh: Town, train: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = fresh.submit("lab", os.environ["PARKADE_TOKEN"], name="train-2", limit_price="0.01")
    assert run("cancel", train).stderr == ""
    third = fresh.submit("lab", os.environ["PARKADE_TOKEN"], name="train-3", limit_price="0.01")
    said = run("cancel", "train*").stderr
    assert f"ends 2 workloads: {third}, {second}" in said or f"{second}, {third}" in said


def test_other_bounds_are_planned_and_a_person_at_a_terminal_is_asked(
    run: Run, fresh: Town, runs: str
) -> None:
    words = ("change", runs, "--max-spend", "80")
    said = run(*words, "--plan").stdout
    assert "max_spend: 80.00 instead of none" in said
    assert fresh.done(fresh.get(f"/workloads/{runs}"))["spec"]["max_spend"] is None
    assert json.loads(run(*words, "--plan", "--json").stdout)["at_most"] == "80.00"
    run(*words, "--yes")
    for answer, spend in ((b"n\n", "80.00"), (b"y\n", "90.00")):
        ours, theirs = pty.openpty()
        asked = [sys.executable, "-m", "parkade.cli", "change", runs, "--max-spend", "90"]
        with subprocess.Popen(asked, stdin=theirs, stderr=subprocess.PIPE) as program:
            os.write(ours, answer)
            _, told = program.communicate(timeout=PATIENCE_S)
        assert b"Go on?" in told and b"it costs at most 90.00 in all" in told
        assert fresh.done(fresh.get(f"/workloads/{runs}"))["spec"]["max_spend"] == spend
        os.close(ours)
        os.close(theirs)
    assert "it costs at most 95.00 in all" in run("change", runs, "--max-spend", "95").stderr


def test_prices_by_which_work_would_leave_say_so_before(
    run: Run, fresh: Town, runs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sheet,) = fresh.done(fresh.get("/prices"))["prices"]
    as_user(monkeypatch, fresh, fresh.operator)
    assert run("price", "sheet", "set", sheet["market"], "--public-floor", "2").stderr == ""
    warned = run("price", "sheet", "set", sheet["market"], "--public-floor", "9.5").stderr
    assert f"{runs} job (4 GPUs on lab-" in warned and "would be told to leave" in warned
