"""Caps of orgs and users on the command line."""

import json
import os
import pty
import subprocess
import sys
from decimal import Decimal

import pytest

from parkade.cli.caps import capped
from parkade.wire.people import Capped, StoppedByCap
from tests.api.town import Town
from tests.cli.test_cli import Run, as_user, run
from tests.waits import PATIENCE_S

__all__ = ["run"]


def test_an_operator_sets_a_cap_that_an_owner_sees_and_does_not_lift(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    org, owner = fresh.org()
    as_user(monkeypatch, fresh, fresh.operator)
    said = run("org", "cap", org, "5000", "--per", "month", "--gpus", "64").output
    assert f"{org}: cap 5000.00 a month, spent 0.00 this month" in said
    assert f"{org}: at most 64 GPUs at once, 0 held" in said
    as_user(monkeypatch, fresh, owner)
    assert "5000.00 a month, 0 of 64 GPUs" in " ".join(run("org", "list").output.split())
    assert "only an operator changes it" in run("org", "cap", org, "none", exit_code=5).stderr


def test_an_owner_caps_its_users_and_lifts_the_cap(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    org, owner = fresh.org()
    as_user(monkeypatch, fresh, owner)
    user = json.loads(run("user", "create", fresh.name("user"), "--org", org, "--json").stdout)
    name = user["user"]
    assert f"{name}: cap 20.00, spent 0.00" in run("user", "cap", name, "20").output
    both = run("user", "cap", name, "--gpus", "4").output
    assert "cap 20.00" in both and "at most 4 GPUs at once" in both
    only_gpus = run("user", "cap", name, "none").output
    assert "no cap on money" in only_gpus and "at most 4 GPUs at once" in only_gpus
    made = json.loads(run("user", "cap", name, "--gpus", "none", "--json").stdout)
    assert (made["cap"], made["most_gpus"], made["gpus_held"]) == (None, None, None)
    assert "period" in run("user", "cap", name, "2", "--per", "week", exit_code=3).stderr
    assert "most_gpus" in run("user", "cap", name, "--gpus", "few", exit_code=3).stderr
    assert "give its amount" in run("user", "cap", name, "--per", "month", exit_code=2).stderr


def test_a_look_at_a_cap_or_bounds_changes_neither(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    org, _ = fresh.org()
    as_user(monkeypatch, fresh, fresh.operator)
    user = fresh.name("user")
    run("user", "create", user, "--org", org)
    bounded = run("org", "bounds", org, "--open", "500", "--submits", "60").output
    assert "0 of 500 workloads open, 60 submissions and 60,000 starts" in bounded
    capped = run("org", "cap", org, "5000", "--per", "month", "--gpus", "64").output
    of_user = run("user", "cap", user, "800", "--gpus", "8").output
    for _ in range(2):
        assert run("org", "bounds", org).output == bounded
        assert run("org", "cap", org).output == capped
        assert run("user", "cap", user).output == of_user
    assert "6000.00 a month" in run("org", "cap", org, "6000").output
    assert "at most 64 GPUs" in run("org", "cap", org).output
    assert (
        "500 workloads open, 70 submissions" in run("org", "bounds", org, "--submits", "70").output
    )
    shown = " ".join(run("org", "show", org).output.split())
    for words in ("balance 1000.00", "cap 6000.00 a month", "at most 64 GPUs", "70 submissions"):
        assert words in shown
    assert "cap 800.00" in run("user", "show", user).output
    default = run("org", "bounds", org, "--default", "--starts", "9").output
    assert "100,000 workloads open, 60,000 submissions and 9 starts" in default


def test_what_runs_counts_as_spent_and_the_answer_of_a_cap_names_what_it_stops(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = fresh.pool()
    org, owner = fresh.org(money="1000000")
    as_user(monkeypatch, fresh, owner)
    workload = fresh.submit(pool, owner, gpus=2, limit_price="1000")
    attempt = fresh.wait_for_attempt(pool, workload)
    assert fresh.observe(pool, fresh.running(attempt)).is_success

    def spent() -> Decimal:
        found = json.loads(run("status", workload, "--json").stdout)
        return Decimal(found["spent"])

    while not spent():
        pass
    least = spent()
    listed = json.loads(run("org", "list", "--json").stdout)["orgs"]
    assert all(Decimal(it["spent"]) >= least for it in listed if it["org"] == org)
    users = json.loads(run("user", "list", "--json").stdout)["users"]
    (mine,) = [it for it in users if it["org"] == org]
    assert Decimal(mine["spent"]) >= least and Decimal(mine["spent_this_month"]) >= least
    refused = run("change", workload, "--max-spend", "0.000001", exit_code=3).stderr
    assert "it has spent 0.00 " not in refused
    said = run("user", "cap", mine["user"], "0.000001").output
    assert "all of it is spent, so no bid starts" in said
    assert f"the next clearing gives notice to {workload}" in said


def test_the_answer_of_a_cap_on_gpus_names_the_bids_that_it_stops(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = fresh.pool()
    org, owner = fresh.org(money="1000000")
    as_user(monkeypatch, fresh, owner)
    workload = fresh.submit(pool, owner, gpus=2, limit_price="1000")
    attempt = fresh.wait_for_attempt(pool, workload)
    assert fresh.observe(pool, fresh.running(attempt)).is_success
    enough = json.loads(run("org", "cap", org, "--gpus", "2", "--json").stdout)
    assert enough["stops"] == {"workloads": [], "total": 0}
    assert "gives notice" not in run("org", "cap", org, "--gpus", "2").output
    made = run("org", "cap", org, "--gpus", "1", "--json")
    assert f"gives notice to {workload}" in made.stderr, "a script is told, and goes on"
    less = json.loads(made.stdout)
    assert less["stops"] == {"workloads": [workload], "total": 1}
    listed = json.loads(run("org", "list", "--json").stdout)["orgs"]
    assert [it["stops"] for it in listed if it["org"] == org] == [None]


def test_a_cap_says_before_it_is_set_which_work_it_stops_and_a_person_is_asked(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = fresh.pool()
    org, owner = fresh.org(money="1000000")
    as_user(monkeypatch, fresh, owner)
    workload = fresh.submit(pool, owner, gpus=2, limit_price="1000")
    attempt = fresh.wait_for_attempt(pool, workload)
    assert fresh.observe(pool, fresh.running(attempt)).is_success
    (user,) = fresh.done(fresh.get("/users", owner))["users"]
    assert run("org", "cap", org, "--gpus", "2").stderr == ""
    for noun, name, answer, most in (
        ("org", org, b"n\n", 2),
        ("user", user["user"], b"n\n", None),
        ("user", user["user"], b"y\n", 1),
    ):
        ours, theirs = pty.openpty()
        words = [sys.executable, "-m", "parkade.cli", noun, "cap", name, "--gpus", "1"]
        with subprocess.Popen(words, stdin=theirs, stderr=subprocess.PIPE) as asked:
            os.write(ours, answer)
            _, said = asked.communicate(timeout=PATIENCE_S)
        asks = " ".join(said.decode().split())
        assert f"{name}: the next clearing gives notice to {workload}" in asks
        assert "Go on?" in asks
        assert fresh.done(fresh.get(f"/{noun}s/{name}", owner))["most_gpus"] == most
        os.close(ours)
        os.close(theirs)


def test_of_much_work_that_a_cap_stops_the_first_is_named_and_the_rest_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stops = StoppedByCap(workloads=tuple(f"w{n}" for n in range(100)), total=250)
    capped("lab", Capped(cap=Decimal(5), spent=Decimal(5), stops=stops))
    said = " ".join(capsys.readouterr().out.split())
    assert said.endswith("gives notice to w0, w1, w2, w3, w4, w5, w6, w7, w8, w9 and 240 more")
    capped("lab", Capped(cap=Decimal(5), spent=Decimal(5)))
    assert "gives notice" not in capsys.readouterr().out, "an older server says nothing of it"


def test_an_org_is_described_and_shown_so_where_there_is_room(
    run: Run, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    org, _ = town.org()
    as_user(monkeypatch, town, town.operator)
    said = run("org", "set", org, "--title", "The lab", "--contact", "lab@example.com").output
    assert "title The lab, contact lab@example.com" in " ".join(said.split())
    wide = " ".join(run("org", "list", "--wide").output.split())
    assert "The lab lab@example.com" in wide
    assert "lab@example.com" not in run("org", "list").output
    run("org", "set", org, "--title", "")
    assert town.done(town.get(f"/orgs/{org}"))["title"] is None
    assert "--title" in run("org", "set", org, exit_code=2).stderr
