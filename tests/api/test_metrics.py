"""The figures of the market: what happened to owners and guests shows in the numbers."""

import re

from msgspec.structs import replace

from parkade.api.metric_table import TABLE
from parkade.control.clock import SystemClock
from parkade.control.market_figures import Durations
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.observed import EnginePhase, RankExit
from tests.api.town import Town
from tests.waits import until


def series(town: Town) -> dict[str, float]:
    """Every series of the page with its value."""
    lines = town.http.get("/metrics").text.splitlines()
    found = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in found}


def test_every_row_of_the_table_is_scraped_under_its_name_kind_and_labels(town: Town) -> None:
    town.pool()
    until(lambda: 'parkade_floor_price{market="lab"}' in series(town))
    page = town.http.get("/metrics").text
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE))
    for row in TABLE:
        assert kinds[row.shown] == row.kind, row.name
        for line in re.findall(rf"^{row.shown}(?:_bucket)?\{{(.*)\}} ", page, re.MULTILINE):
            labels = tuple(re.findall(r'(\w+)="', line))
            assert labels in (tuple(sorted(row.labels)), ("le",)), row.name


def test_what_guests_and_owners_meet_is_counted(fresh: Town) -> None:
    pool = fresh.pool(notice="5m")
    _, owner = fresh.org()
    _, guest = fresh.org()
    until(lambda: series(fresh).get('parkade_gpus{market="lab",use="idle"}') == 16)
    before = series(fresh)
    assert before['parkade_preemptions_total{cause="reclaimed",market="lab"}'] == 0
    assert before["parkade_ledger_imbalance"] == 0
    body = {"market": pool, "nodes": 4, "name": "mine"}
    fresh.done(fresh.post("/reservations", body, owner))
    fresh.done(fresh.post("/reservations/mine/lend", {"floor": "1"}, owner))
    workload = fresh.submit(pool, guest, nodes=8, gpus=2)
    attempt = fresh.wait_for_attempt(pool, workload)
    fresh.observe(pool, fresh.running(attempt))
    until(lambda: series(fresh)['parkade_workloads{market="lab",phase="running"}'] == 1)
    during = series(fresh)
    lent = during['parkade_gpus{market="lab",use="lent"}']
    assert lent > 0 and lent + during['parkade_gpus{market="lab",use="spot"}'] == 16
    assert during['parkade_attempts_started_total{market="lab"}'] == 1
    fresh.done(fresh.post("/reservations/mine/claims", {"nodes": 4}, owner))
    until(lambda: series(fresh)['parkade_workloads{market="lab",phase="preempting"}'] == 1)
    now_us = SystemClock().now_us()
    ended = replace(fresh.running(attempt), phase=EnginePhase.RELEASED, released_us=now_us)
    fresh.observe(pool, replace(ended, exits=(RankExit(rank=0, code=85, signal=None),)))
    until(lambda: series(fresh)['parkade_preemptions_total{cause="reclaimed",market="lab"}'] == 1)
    until(lambda: series(fresh)['parkade_owner_waits_total{market="lab"}'] >= 1)
    until(lambda: series(fresh)['parkade_gpus{market="lab",use="owner"}'] == 8)
    assert series(fresh)['parkade_promises_unkept_total{market="lab",promise="reclaim"}'] == 0


def test_a_refusal_is_counted_by_its_code(fresh: Town) -> None:
    fresh.get("/workloads/w99")
    fresh.get("/workloads", token="pk_wrong")
    fresh.post("/orgs", {"org": "NOT A NAME"})
    after = series(fresh)
    for code in ("not_found", "unauthenticated", "invalid"):
        assert after[f'parkade_refusals_total{{code="{code}"}}'] == 1, code
    assert after['parkade_refusals_total{code="busy"}'] == 0


def test_durations_are_counted_in_the_bucket_that_holds_them() -> None:
    durations = Durations()
    for us in (1, 1_000, 1_001, 60 * SECOND_US):
        durations.note(us)
    assert durations.counts == [2, 1, 0, 0, 0, 0, 0, 0, 1]
    assert durations.total_us == 60 * SECOND_US + 2_002
