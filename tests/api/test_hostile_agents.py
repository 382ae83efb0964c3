"""An agent that lies: reports with forged values break nothing and fill no journal."""

import json
import random
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from parkade.control.clock import SystemClock
from parkade.core.healing.incident import RepairKind, RepairReport
from parkade.core.healing.topology import Surroundings
from parkade.core.workloads.observed import Checkpoint, ObservedAttempt, RankExit
from parkade.ports import (
    Capabilities,
    FolderReport,
    HealthReport,
    KeptOfOrg,
    LogStates,
    Observation,
    Phase,
    SensorState,
    WorkloadFolder,
)
from parkade.service.journal import check_journal
from tests.api import hostile
from tests.api.town import Town
from tests.api.town import town as running
from tests.core.repairing.sick import verdict

POOL = "lab"
SHOWN = ("nodes", "mars", "mars/incidents", "workloads", "pools", "orgs", "events?follow=false")


class Liar:
    """A server and the token of its pool's agent."""

    def __init__(self, town: Town) -> None:
        self.town = town
        town.pool(nodes=8)
        self.org, self.owner = town.org()
        self.token = town.done(town.post(f"/pools/{POOL}/agent-tokens"))["secret"]

    def bid(self) -> None:
        """One more that may run; refused where a lie says that nothing can."""
        self.town.post("/workloads", {"spec": self.town.spec()}, self.owner)

    def reports(self) -> dict[str, Any]:
        """Good reports of each kind, with every field filled in."""
        now_us = SystemClock().now_us()
        seen = tuple(
            ObservedAttempt(
                attempt=each.attempt,
                generation=each.generation,
                phase=Phase.RUNNING,
                started_us=now_us,
                released_us=None,
                exits=(RankExit(rank=0, code=0, signal=None),),
                checkpoint=Checkpoint(step=1, at_us=now_us),
                devices=(("lab-1", (0,)),),
                launch_error=None,
                engine_state="up",
                ordered_us=each.ordered_us,
                lapsed_us=now_us,
                report_problem="torn",
            )
            for each in self.town.desired(POOL).attempts
        )
        engine = Capabilities(
            engine="local",
            version="1",
            isolates_users=True,
            has_containers=False,
            keeps_memory_limits=False,
        )
        return {
            "observation": Observation(
                pool=POOL, at_us=now_us, is_complete=True, attempts=seen, capabilities=engine
            ),
            "health": HealthReport(
                pool=POOL,
                at_us=now_us,
                verdicts=(verdict("lab-2", at_us=now_us),),
                repairs=(
                    RepairReport(
                        order="incident-1.1",
                        node="lab-2",
                        is_done=True,
                        exit_code=0,
                        says="done",
                        began_us=now_us,
                        ended_us=now_us,
                    ),
                ),
                kinds=(RepairKind.VALIDATE,),
                sensors=(SensorState(node="lab-1", sensor="nvml", state="read"),),
                symptoms=(("kernel_log", 3),),
                logs=LogStates(unread_bytes=1, gaps=1, gap_end_us=now_us),
                surroundings=(Surroundings(node="lab-1", rack="r", switch="s", driver="d"),),
            ),
            "folders": FolderReport(
                pool=POOL,
                folders=(
                    WorkloadFolder(
                        workload="w1",
                        org=self.org,
                        launches=(("w1.1", 1, now_us),),
                        until_us=now_us,
                    ),
                ),
                kept=(KeptOfOrg(org=self.org, folders=1, bytes=5, is_counted=True),),
            ),
        }

    def say(self, kind: str, report: Any) -> httpx.Response:
        return self.town.http.post(
            f"/v1/pools/{POOL}/{kind}",
            content=json.dumps(report).encode(),
            headers=self.town.headers(self.token),
        )


@pytest.fixture(scope="module")
def liar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Liar]:
    with running(tmp_path_factory.mktemp("liar")) as town:
        yield Liar(town)


def nothing_broke(town: Town) -> None:
    for path in SHOWN:
        answer = town.http.get(f"/v1/{path}", headers=town.headers(None))
        assert answer.is_success, (path, answer.text)
    metrics = town.http.get("/metrics")
    assert metrics.is_success and "parkade_up 1.0" in metrics.text
    assert "parkade_internal_refusals_total 0.0" in metrics.text


def test_a_report_of_megabytes_adds_little_to_the_journal(fresh: Town) -> None:
    liar = Liar(fresh)
    fresh.wait_for_attempt(POOL, fresh.submit(POOL, liar.owner))
    report = msgspec.to_builtins(liar.reports()["observation"])
    assert liar.say("observation", report).is_success
    many = [{**each, "devices": [["lab-1", list(range(500_000))]]} for each in report["attempts"]]
    many += [
        builtin | {"attempt": f"w{number}.1", "devices": []}
        for builtin in report["attempts"][:1]
        for number in range(900, 5_900)
    ]
    before = check_journal(liar.town.folder).entries
    size = sum(file.stat().st_size for file in liar.town.folder.iterdir())
    report |= {"attempts": many, "at_us": SystemClock().now_us()}
    assert liar.say("observation", report).is_success
    assert check_journal(liar.town.folder).entries < before + 100
    assert sum(file.stat().st_size for file in liar.town.folder.iterdir()) < size + 1_000_000
    nothing_broke(liar.town)


@pytest.mark.parametrize(
    "seeds", [range(45), pytest.param(range(45, 6_000), marks=pytest.mark.slow)]
)
def test_no_forged_report_breaks_the_server_or_what_is_shown(liar: Liar, seeds: range) -> None:
    for seed in seeds:
        chance = random.Random(seed)
        if seed % 15 == 0:
            liar.bid()
        kind, good = chance.choice(list(liar.reports().items()))
        report = msgspec.to_builtins(good)
        for _ in range(chance.choice((0, 1, 1, 2))):
            report = hostile.changed(report, chance)
        answer = liar.say(kind, report)
        assert answer.status_code in (200, 204, 422), (seed, answer.text)
        if seed % 15 == 14:
            nothing_broke(liar.town)
    assert check_journal(liar.town.folder).entries > 1
