"""Deadlines on the command line."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.town import Town
from tests.cli.test_cli import Run, as_user, run
from tests.waits import until

__all__ = ["run"]

SPOT = ("--limit", "2", "--workdir", "/tmp", "--name", "due")


def test_a_plan_says_when_and_for_how_much_and_the_workload_keeps_it(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.pool()
    _, owner = fresh.org()
    as_user(monkeypatch, fresh, owner)
    asked = (*SPOT, "--deadline", "+5h", "--duration", "2h")
    said = run("plan", *asked, "--", "true").output
    assert "becomes on-demand at" in said and "set aside until then" in said
    plan = json.loads(run("plan", *asked, "--json", "--", "true").stdout)
    made = json.loads(run("submit", *asked, "--json", "--", "true").stdout)
    assert plan["fallback_cost"] is not None and plan["falls_back"] <= made["falls_back"]
    assert (made["spec"]["duration"], made["spec"]["fallback"]) == ("2h", "on-demand")
    assert made["spec"]["deadline"] > made["falls_back"]
    assert "becomes on-demand at" in run("why", "due").output


def test_a_deadline_that_nothing_makes_is_refused(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.pool()
    _, owner = fresh.org()
    as_user(monkeypatch, fresh, owner)
    late = (*SPOT, "--deadline", "+1h", "--duration", "2h")
    assert "late" in run("submit", *late, "--", "true", exit_code=3).stderr
    alone = (*SPOT, "--deadline", "+1h")
    assert "duration" in run("submit", *alone, "--", "true", exit_code=3).stderr
    held = (*SPOT, "--deadline", "+5h", "--duration", "2h", "--hold")
    assert "may start" in run("submit", *held, "--", "true", exit_code=3).stderr


def test_what_became_on_demand_is_not_submitted_again_without_its_deadline(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.pool()
    _, owner = fresh.org()
    as_user(monkeypatch, fresh, owner)

    def asked(deadline: datetime) -> tuple[str, ...]:
        by = deadline.isoformat(timespec="seconds")
        return ("--limit", "0.01", "--workdir", "/tmp", "--name", "late", "--deadline", by)

    def planned(*words: str) -> Any:
        return json.loads(run("plan", *words, "--duration", "2h", "--json", "--", "true").stdout)

    far = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=5)
    slack = far - datetime.fromisoformat(planned(*asked(far))["falls_back"])
    soon = asked(datetime.now(UTC) + slack + timedelta(seconds=15))
    run("submit", *soon, "--duration", "2h", "--", "true")

    def became() -> Any:
        return json.loads(run("status", "late", "--json").stdout)["became_on_demand"]

    until(became)
    assert "on-demand since" in run("status", "late").output
    for words in ((), ("--limit-price", "3")):
        said = run("resubmit", "late", *words, exit_code=3).stderr
        assert "became on-demand" in said and "--capacity on-demand" in said
    assert len(json.loads(run("ps", "--json").stdout)["workloads"]) == 1
