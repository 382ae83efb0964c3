"""Metrics of Mars at the server: after an incident, and asked by the real Prometheus."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from parkade.control.clock import SystemClock
from parkade.mars.shipped import shipped_text
from tests.api.test_mars import Reporter
from tests.api.town import Town
from tests.core.repairing.sick import verdict
from tests.mars.test_prometheus import BETWEEN_S, BIN, PATIENCE_S, Prometheus
from tests.waits import until


def series(town: Town) -> dict[str, float]:
    """Every series of the page with its value."""
    lines = town.http.get("/metrics").text.splitlines()
    found = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in found}


def test_an_incident_shows_in_every_number_that_it_changes(fresh: Town) -> None:
    reporter = Reporter(fresh)
    before = series(fresh)
    assert before['parkade_mars_verdicts_total{level="fatal"}'] == 0, "there before the first"
    assert before["parkade_mars_automation_on"] == 1
    reporter.report(verdict("lab-3", at_us=SystemClock().now_us()))
    until(lambda: series(fresh)['parkade_nodes{health="repairing"}'] == 1)
    assert series(fresh)['parkade_mars_incidents{state="acting"}'] == 1
    reporter.repaired()
    until(lambda: series(fresh)['parkade_nodes{health="healthy"}'] == 8)
    after = series(fresh)
    assert after['parkade_mars_verdicts_total{level="fatal"}'] == 1
    assert after['parkade_mars_repairs_total{kind="reboot",result="done"}'] == 1
    assert after['parkade_mars_incidents_closed_total{outcome="returned"}'] == 1
    assert after['parkade_mars_budget_taken_nodes{budget="fleet"}'] == 1
    assert after['parkade_buffer_held_nodes{fabric="f1",market="lab"}'] == 2
    assert after['parkade_mars_sensors{pool="lab",state="read"}'] == 1
    assert after['parkade_mars_reported_log_unread_bytes{pool="lab"}'] == 9
    assert after['parkade_mars_reported_log_behind_seconds{pool="lab"}'] == 2.5
    assert after['parkade_mars_reported_log_gaps_total{pool="lab"}'] == 2
    assert after['parkade_mars_reported_log_gap_end_timestamp_seconds{pool="lab"}'] == 1


def test_what_a_guard_holds_and_what_is_not_believed_is_counted(fresh: Town) -> None:
    reporter = Reporter(fresh)
    fresh.done(fresh.post("/mars/automation", {"reason": "works", "is_on": False}))
    reporter.report(verdict("lab-1", at_us=SystemClock().now_us()))
    reporter.report(verdict("elsewhere", at_us=SystemClock().now_us()))
    until(lambda: series(fresh)['parkade_mars_incidents{state="held"}'] == 1)
    after = series(fresh)
    assert after['parkade_mars_holds_total{reason="observe_only"}'] == 1
    assert after['parkade_mars_rejected_total{reason="not_found"}'] == 1
    assert after["parkade_mars_automation_on"] == 0


def expressions() -> list[str]:
    """Every expression of the rules, without what it is compared with, and of the dashboard."""
    rules = yaml.safe_load(shipped_text("marketplace-rules.yaml"))
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    asked = [each.removeprefix("absent(parkade_up) or ") for each in asked]
    bare = [re.split(r" (?:>|<|==|!=) \d+$", each)[0] for each in asked]
    board = json.loads(shipped_text("marketplace-dashboard.json"))
    return bare + [target["expr"] for panel in board["panels"] for target in panel["targets"]]


@pytest.fixture
def prometheus(fresh: Town, tmp_path: Path) -> Iterator[Prometheus]:
    """It scrapes the town each second, with the shipped rules."""
    target = fresh.url.removeprefix("http://")
    (tmp_path / "rules.yaml").write_text(shipped_text("marketplace-rules.yaml"))
    config: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "parkade", "static_configs": [{"targets": [target]}]}],
    }
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    found = Prometheus(tmp_path)
    yield found
    found.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not (BIN / "prometheus").exists(), reason="no Prometheus")
def test_every_expression_of_rules_and_dashboard_has_data_in_the_real_prometheus(
    fresh: Town, prometheus: Prometheus
) -> None:
    reporter = Reporter(fresh)
    ends_at = time.monotonic() + PATIENCE_S
    while not prometheus.query('parkade_mars_verdicts_total{level="fatal"}'):
        assert time.monotonic() < ends_at
        time.sleep(BETWEEN_S)
    reporter.report(verdict("lab-3", at_us=SystemClock().now_us()))
    reporter.repaired()
    while not prometheus.query('ALERTS{alertname="ParkadeFatalVerdict", alertstate="firing"}'):
        assert time.monotonic() < ends_at, "it never fired"
        time.sleep(BETWEEN_S)
    while not prometheus.query("rate(parkade_mars_reported_symptoms_total[5m])"):
        assert time.monotonic() < ends_at, "a rate needs two scrapes"
        time.sleep(BETWEEN_S)
    for expression in expressions():
        assert prometheus.query(expression), expression


@pytest.mark.skipif(not (BIN / "promtool").exists(), reason="no Prometheus")
def test_the_marketplaces_rules_pass_the_checks_of_promtool(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(shipped_text("marketplace-rules.yaml"))
    subprocess.run([str(BIN / "promtool"), "check", "rules", str(rules)], check=True)
