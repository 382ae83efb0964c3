"""Reservations that are planned and change, on the command line."""

import json
import re
from decimal import Decimal

import pytest

from parkade.wire.scalars import format_amount
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
    said = run("reserve", *window, "--plan").output
    assert "in all" in said and "UTC" in said.split("window")[1].split("rate")[0]
    opened = run("reserve", "1", "--plan").output
    assert "UTC – open" in opened and "it ends with the period that is paid then" in opened
    assert "No reservations" in run("reservations").output, "a plan buys nothing"
    sold = json.loads(run("reserve", *window, "--json").stdout)
    assert (sold["rate"], sold["shape"]) == (plan["rate"], plan["shape"])
    later = json.loads(run("extend", "right", "--end", "+9h", "--json").stdout)
    assert later["end"] > sold["end"]
    part = json.loads(run("split", "right", "1", "--name", "part", "--json").stdout)
    assert part["nodes"] == 1 and part["end"] == later["end"]
    assert "owed as a whole" in run("shrink", "right", "1", exit_code=3).stderr
    assert "ask an operator" in run("split", "right", "1", "--org", "x", exit_code=5).stderr


def test_a_window_that_is_given_up_names_what_is_kept_before_and_after(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.pool()
    _, owner = fresh.org()
    as_user(monkeypatch, fresh, owner)
    window = ("2", "--name", "later", "--start", "+2h", "--end", "+5h")
    plan = json.loads(run("reserve", *window, "--plan", "--json").stdout)
    now = plan["now"]
    half = format_amount(Decimal(now) / 2)
    kept = f"{now} is paid at the sale, and kept if it is given up before it begins"
    assert kept in plan["cost"]["says"]
    sold = json.loads(run("reserve", *window, "--json").stdout)
    assert sold["paid"] == now and kept in sold["cost"]["says"]
    money = [json.loads(run("statement", "--json").stdout)["balance"]]
    for words in (("end", "later"), ("shrink", "later", "1")):
        refused = run(*words, stdin="y\n", exit_code=2).stderr
        assert f"{half if 'shrink' in words else now} " in refused and "give --yes" in refused
    assert json.loads(run("reservations", "--json").stdout)["reservations"][0]["state"] == "sold"
    said = run("end", "later", "--yes").output
    assert f"given up; {now} that was paid for it is kept" in said
    assert f"at most {now}; given up before it began" in said
    assert re.search("state +given up", said) and re.search("window +given up before it", said)
    assert "given up" in run("reservations").output
    money.append(json.loads(run("statement", "--json").stdout)["balance"])
    assert money[0] == money[1], "nothing more is charged and nothing is given back"


def test_a_change_is_planned_in_words_and_changes_nothing(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.pool()
    _, owner = fresh.org()
    as_user(monkeypatch, fresh, owner)
    run("reserve", "3", "--name", "right", "--end", "+5h")
    run("reserve", "3", "--name", "later", "--start", "+9h", "--end", "+12h")
    before = run("reservations", "--json").stdout
    for words, says in (
        (("extend", "right", "--end", "+9h"), "nothing is charged now; the added time costs"),
        (("split", "right", "1", "--name", "part"), "both cost together what it costs now"),
        (("shrink", "later", "1"), "is given up now"),
        (("end", "later"), "that was paid for it is kept, and not given back"),
    ):
        assert says in run(*words, "--plan").output.replace("\n", " ")
        assert json.loads(run(*words, "--plan", "--json").stdout)["now"] == "0.00"
    assert run("reservations", "--json").stdout == before
    assert "owed as a whole" in run("shrink", "right", "1", "--plan", exit_code=3).stderr


def test_all_of_a_reservation_is_ended_and_not_shrunk(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.pool()
    _, owner = fresh.org()
    as_user(monkeypatch, fresh, owner)
    run("reserve", "1", "--name", "one")
    assert "parkade end ends it" in run("shrink", "one", "1", exit_code=3).stderr
