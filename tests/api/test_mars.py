"""Mars over HTTP: a report of an agent becomes an incident, a repair, a story; who may see it."""

import msgspec
import pytest
from typer.testing import CliRunner

from parkade.cli import screen
from parkade.cli.app import app
from parkade.control.clock import SystemClock
from parkade.core.healing.incident import RepairKind, RepairReport
from parkade.core.healing.verdict import Verdict
from parkade.ports import HealthReport, LogStates, SensorState
from tests.api.town import Town
from tests.core.repairing.sick import verdict
from tests.waits import until


class Reporter:
    """The agent of the town's pool, as a test plays it."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.pool = town.pool(nodes=8, buffer_nodes=2)
        self.token = town.done(town.post(f"/pools/{self.pool}/agent-tokens"))["secret"]

    def report(self, *verdicts: Verdict, repairs: tuple[RepairReport, ...] = ()) -> int:
        """The status of the answer."""
        body = HealthReport(
            pool=self.pool,
            at_us=SystemClock().now_us(),
            verdicts=verdicts,
            repairs=repairs,
            kinds=tuple(RepairKind),
            sensors=(SensorState(node="lab-1", sensor="kernel_log", state="read"),),
            symptoms=(("kernel_log", 7),),
            logs=LogStates(unread_bytes=9, behind_us=2_500_000, gaps=2, gap_end_us=1_000_000),
        )
        answer = self.town.http.post(
            f"/v1/pools/{self.pool}/health",
            content=msgspec.json.encode(body),
            headers=self.town.headers(self.token),
        )
        return answer.status_code

    def repaired(self) -> list[str]:
        """Everything that is ordered ends well until no incident is open; the kinds, in order."""
        made: list[str] = []
        while self.town.done(self.town.get("/mars"))["open_incidents"]:
            orders = self.town.desired(self.pool).repairs
            now_us = SystemClock().now_us()
            done = tuple(
                RepairReport(
                    order=it.order,
                    node=it.node,
                    is_done=True,
                    exit_code=0,
                    says="ok",
                    began_us=now_us,
                    ended_us=now_us,
                )
                for it in orders
            )
            made += [it.kind.value for it in orders]
            if done:
                assert self.report(repairs=done) == 204
        return made


@pytest.fixture
def reporter(fresh: Town) -> Reporter:
    return Reporter(fresh)


def test_a_verdict_becomes_an_incident_whose_story_is_told(reporter: Reporter, fresh: Town) -> None:
    assert reporter.report(verdict("lab-3", at_us=SystemClock().now_us())) == 204
    until(lambda: fresh.desired(reporter.pool).repairs)
    status = fresh.done(fresh.get("/mars"))
    assert status["health"]["repairing"] == 1 and status["open_incidents"] == 1
    assert status["sensors"][0]["state"] == "read"
    assert {it["budget"]: it["taken"] for it in status["budgets"]} == {"fleet": 1, "lab/f1": 1}
    assert reporter.repaired() == ["reboot", "validate"]
    (told,) = fresh.done(fresh.get("/mars/incidents"))["incidents"]
    assert told == fresh.done(fresh.get("/mars/incidents/incident-1"))
    assert (told["format"], told["outcome"], told["node"]) == (1, "returned", "lab-3")
    assert told["verdicts"][0]["evidence"][0]["line"].startswith("NVRM: Xid")
    assert told["verdicts"][0]["policy"] == "test 1"
    assert told["lines"][-1]["kind"] == "returned"
    assert fresh.done(fresh.get("/mars/incidents", open=True))["incidents"] == []


def test_a_credit_in_the_statement_says_which_node_was_down_since_when_and_why(
    fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.pool(nodes=2, buffer_nodes=0)
    reporter, (_, owner) = Reporter(fresh), fresh.org()
    fresh.done(fresh.post("/reservations", {"nodes": 2, "name": "acme"}, owner))
    assert reporter.report(verdict("lab-1", at_us=SystemClock().now_us())) == 204
    until(lambda: fresh.desired(reporter.pool).repairs)
    opened = fresh.done(fresh.get("/mars/incidents/incident-1"))["opened"]
    claim = fresh.done(fresh.post("/reservations/acme/claims", {"nodes": 2}, owner))["claim"]
    until(lambda: fresh.done(fresh.get("/claims", owner))["claims"][0]["why"])
    fresh.done(fresh.post(f"/claims/{claim}/unclaim", {}, owner))
    lines = fresh.done(fresh.get("/statement", owner))["transfers"]
    (credit,) = [line for line in lines if line["kind"] == "credit"]
    (missing,) = credit["missing"]
    assert (missing["node"], missing["incident"]) == ("lab-1", "incident-1")
    assert missing["health"] == "repairing" and "xid/79" in missing["why"]
    assert missing["since"] == opened
    monkeypatch.setenv("PARKADE_SERVER", fresh.url)
    monkeypatch.setenv("PARKADE_TOKEN", owner)
    monkeypatch.setattr(screen.console, "_width", 100)
    printed = CliRunner().invoke(app, ["statement"]).output
    (why,) = [line for line in printed.splitlines() if "lab-1" in line]
    assert "credit" in why and "xid/79" in why and "(incident-1)" in why and "since" in why


def test_one_call_stops_and_starts_all_automatic_action(reporter: Reporter, fresh: Town) -> None:
    stopped = fresh.done(fresh.post("/mars/automation", {"reason": "works", "is_on": False}))
    assert (stopped["is_on"], stopped["reason"]) == (False, "works")
    reporter.report(verdict("lab-1", at_us=SystemClock().now_us()))
    (told,) = fresh.done(fresh.get("/mars/incidents"))["incidents"]
    assert told["held"] == "observe_only" and not fresh.desired(reporter.pool).repairs
    assert fresh.post("/mars/automation", {"reason": "nothing"}).status_code == 422
    fresh.done(fresh.post("/mars/automation", {"reason": "over", "fabric_share": "1/4"}))
    assert fresh.done(fresh.get("/mars"))["fabric_share"] == "1/4"


def test_members_see_no_incident_and_stop_nothing(reporter: Reporter, fresh: Town) -> None:
    _, owner = fresh.org()
    reporter.report(verdict("lab-1", at_us=SystemClock().now_us()))
    for path in ("/mars", "/mars/incidents", "/mars/incidents/incident-1"):
        assert fresh.get(path, owner).status_code == 403, path
    answer = fresh.post("/mars/automation", {"reason": "x", "is_on": False}, owner)
    assert answer.status_code == 403
    seen = fresh.get("/events", owner, follow=False).text
    assert "Xid" not in seen and "incident" not in seen


def test_a_report_about_another_pools_node_changes_nothing(reporter: Reporter, fresh: Town) -> None:
    assert reporter.report(verdict("elsewhere-1", at_us=SystemClock().now_us())) == 204
    assert fresh.done(fresh.get("/mars/incidents"))["incidents"] == []
    wrong = fresh.http.post(
        f"/v1/pools/{reporter.pool}/health", content=b"{", headers=fresh.headers(reporter.token)
    )
    assert wrong.status_code == 422
