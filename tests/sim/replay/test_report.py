import re
from functools import cache
from pathlib import Path

import msgspec

from parkade.sim.replay.figures import ParkingReport, ResaleReport
from parkade.sim.replay.report.tables import tables_of
from parkade.sim.replay.resale import replay, runs_of
from parkade.sim.replay.running import page_of
from parkade.sim.replay.scenario import Sweeps
from tests.sim.replay.replays import demand, scenario, trace

KEPT = Path(__file__).parent / "kept"


@cache
def report() -> ResaleReport:
    minutes = 60
    busy = [0] * 20 + [16] * 40
    given = trace(acme=(16, busy, [0] * minutes), birch=(16, [9] * minutes, [20] * minutes))
    asked = scenario(name="<b>& small", sweeps=Sweeps(keep=(50,)))
    seen: list[str] = []
    found = replay(asked, demand(given), lambda run, _: seen.append(run))
    assert tuple(dict.fromkeys(seen)) == runs_of(asked)
    return found


def test_all_fleets_stand_side_by_side() -> None:
    assert [(it.policy, it.keep_percent) for it in report().policies] == [
        ("reserved", 0),
        ("shared", 0),
        ("killing", 0),
        ("parkade", 0),
        ("parkade", 50),
    ]


def test_lending_is_more_useful_than_not_lending() -> None:
    reserved, _, killing, parkade, _ = report().policies
    assert reserved.guests.served_share == 0
    assert min(killing.utilisation, parkade.utilisation) > reserved.utilisation
    assert parkade.money.fleet_cost < reserved.money.fleet_cost
    assert (parkade.money.owner_cost or 0) < (reserved.money.owner_cost or 0)


def test_the_page_loads_nothing_and_escapes_names() -> None:
    page = page_of(report())
    assert "&lt;b&gt;&amp; small" in page and "<b>& small" not in page
    assert not re.search(r"<script|<link|src=|href=|url\(|@import", page)
    assert page.count("<svg") == 6


def test_every_row_of_every_table_is_as_wide_as_its_head() -> None:
    for table in tables_of(report()):
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_kept_reports_can_still_be_read() -> None:
    resale = msgspec.json.decode((KEPT / "resale-1.json").read_bytes(), type=ResaleReport)
    parking = msgspec.json.decode((KEPT / "parking-1.json").read_bytes(), type=ParkingReport)
    assert {resale.version, parking.version} == {1}
    assert page_of(resale) and page_of(parking)
