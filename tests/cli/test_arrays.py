"""Arrays on the command line: names with brackets, and what lists show."""

import json

import pytest

from tests.api.town import Town
from tests.cli.test_cli import Run, as_user, run

__all__ = ["run"]


@pytest.fixture
def sweep(run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch) -> str:
    """An array of ten, of which four are open and wait."""
    pool, (_, owner) = fresh.pool(), fresh.org()
    as_user(monkeypatch, fresh, owner)
    return fresh.submit(pool, owner, name="sweep", array="0-9%4", limit_price="0.01")


def told(run: Run, *words: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(run(*words, "--json").stdout)
    return found


def test_members_are_meant_by_brackets_behind_the_name_or_the_id(run: Run, sweep: str) -> None:
    counts = told(run, "cancel", "sweep[0,8-9]")["members"]
    assert isinstance(counts, dict) and counts["cancelled"] == 3
    counts = told(run, "retry", f"{sweep}[8]")["members"]
    assert isinstance(counts, dict) and counts["cancelled"] == 2
    run("bid", "sweep[1]", "0.02")
    assert told(run, "status", "sweep[1]")["limit_price"] == "0.02"
    run("change", "sweep[1]", "--max-duration", "2h")
    assert told(run, "status", "sweep[1]")["spec"]["max_duration"] == "2h"  # type: ignore[index]
    run("change", "sweep", "--max-spend", "40", "--max-duration", "none")
    assert told(run, "status", "sweep")["spec"]["max_spend"] == "40.00"  # type: ignore[index]
    run("change", "sweep", exit_code=2)
    run("hold", "sweep[1-2]")
    assert told(run, "status", f"{sweep}_2")["phase"] == "held"
    assert "is_held" not in told(run, "why", f"{sweep}_2")


def test_ps_has_one_row_for_an_array_and_its_members_when_asked_for(run: Run, sweep: str) -> None:
    table = run("ps").stdout
    assert "0 run, 0 of 10 ended" in table and f"{sweep}_" not in table
    members = run("ps", "--array", "sweep").stdout
    assert all(f"{sweep}_{index}" in members for index in range(4))
    shown = run("status", "sweep").stdout
    assert "4 queued, 6 wait of 10" in shown


def test_a_bracket_that_names_no_array_is_a_pattern(run: Run, sweep: str) -> None:
    run("cancel", "sweepe[12]", exit_code=4)
    assert "sweep[0-1] names 2 members" in run("why", "sweep[0-1]", exit_code=3).stderr
