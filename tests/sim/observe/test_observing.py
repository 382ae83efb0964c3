"""The whole report, from traces of a real Slurm that `record.py` made."""

import re
from decimal import Decimal
from functools import cache
from pathlib import Path

import msgspec
import pytest

from parkade.sim.observe.figures import REPORT_VERSION, ObserveReport
from parkade.sim.observe.observing import Asked, observe
from parkade.sim.observe.page import observe_page
from parkade.sim.observe.tables import observe_tables
from parkade.sim.replay.tables import BadData
from tests.sim.observe.record import KEPT
from tests.sim.observe.traces import row, write_sacct

ENTITLEMENTS = {"fifo": None, "backfill": KEPT / "backfill.csv"}


def asked(folder: Path, name: str, entitlements: Path | None) -> Asked:
    """What is asked of a recorded trace."""
    return Asked(
        sacct=folder / f"{name}.sacct",
        sinfo=folder / f"{name}.sinfo",
        entitlements=entitlements,
        floors=(Decimal("0.5"), Decimal(1)),
        limit=Decimal(2),
        fee="1/10",
        notice_s=120,
        saves_percent=50,
        spread_percent=25,
        seed=1,
        most_jobs=500,
        backfill_interval_s=3,
    )


@cache
def report(name: str) -> ObserveReport:
    """Of a kept trace."""
    return observe(asked(KEPT, name, ENTITLEMENTS[name]), lambda *_: None)


def is_near(found: ObserveReport) -> bool:
    """Utilisation within 2 points, and the median wait within 20 %."""
    policy = found.policy
    used = abs(policy.utilisation - policy.utilisation_replayed)
    median = abs(policy.waits.p50_s - policy.waits_replayed.p50_s)
    return used <= 0.02 and median <= 0.2 * policy.waits.p50_s


@pytest.mark.parametrize("name", ["fifo", "backfill"])
def test_the_policy_of_a_real_slurm_is_found_and_replayed(name: str) -> None:
    found = report(name)
    assert ("without backfill" in found.policy.policy) is (name == "fifo")
    assert is_near(found), found.policy


def test_a_short_trace_is_replayed_several_times_and_the_report_says_how_they_differ() -> None:
    policy = report("backfill").policy
    assert policy.replays > 5
    assert policy.utilisations is not None and policy.median_waits_s is not None
    assert policy.utilisations[0] <= policy.utilisation_replayed <= policy.utilisations[1]
    assert policy.median_waits_s[0] <= policy.waits_replayed.p50_s <= policy.median_waits_s[1]
    said = observe_tables(report("backfill"))[0].says
    assert f"the median of {policy.replays} replays" in said


def test_hours_add_up() -> None:
    for name in ("fifo", "backfill"):
        found = report(name)
        assert 0 < found.used_hours <= found.fleet_hours
        assert found.servable_hours <= min(found.queued_hours, found.fleet_hours - found.used_hours)
        assert sum(it.used_hours for it in found.accounts) == pytest.approx(found.used_hours)
        assert sum(it.queued_hours for it in found.accounts) == pytest.approx(found.queued_hours)
        assert sum(it.entitled_gpus for it in found.accounts) <= found.fleet.gpus


def test_the_report_says_how_many_guests_were_reclaimed_moved_and_outbid() -> None:
    found = report("backfill")
    (table,) = [it for it in observe_tables(found) if "Owners" in it.title]
    at = [table.columns.index(word) for word in ("reclaimed", "moved", "outbid")]
    for floor, cells in zip(found.floors, table.rows, strict=True):
        shown = {table.columns[it]: int(cells[it].replace(",", "")) for it in at}
        assert shown == floor.notices
    assert any(sum(it.notices.values()) for it in found.floors)


def test_what_guests_pay_is_paid_out_or_is_the_operators() -> None:
    for it in report("fifo").floors:
        assert it.lent_hours > 0
        assert it.paid == pytest.approx(it.earned + it.fees, abs=0.001)
        assert sum(account.paid for account in it.accounts) == pytest.approx(it.paid)


def test_the_same_files_give_the_same_events() -> None:
    again = observe(asked(KEPT, "fifo", None), lambda *_: None)
    assert [it.digest for it in again.floors] == [it.digest for it in report("fifo").floors]


def test_a_sample_is_named(tmp_path: Path) -> None:
    few = msgspec.structs.replace(asked(KEPT, "fifo", None), most_jobs=20)
    found = observe(few, lambda *_: None)
    assert not found.parts[0].is_whole
    assert "A SAMPLE" in observe_page(found)


def test_the_page_loads_nothing_and_escapes_what_the_file_says(tmp_path: Path) -> None:
    rows = [
        row(it, at_s=it, start_s=it, end_s=it + 50, Account="<script>alert(1)</script>")
        for it in range(1, 5)
    ]
    plain = msgspec.structs.replace(
        asked(tmp_path, "jobs", None), sacct=write_sacct(tmp_path, *rows, "<b>"), sinfo=None
    )
    found = observe(plain, lambda *_: None)
    assert found.fleet.is_inferred
    page = observe_page(found)
    assert "&lt;script&gt;" in page and "&lt;b&gt;" in page
    assert not re.search(r"<script|<link|src=|href=|url\(|@import", page)
    for table in observe_tables(found):
        assert {len(cells) for cells in table.rows} <= {len(table.columns)}


def test_a_cluster_that_counts_no_gpus_is_told_what_to_set(tmp_path: Path) -> None:
    file = write_sacct(tmp_path, row(1, ReqTRES="cpu=4", AllocTRES="cpu=4"))
    plain = msgspec.structs.replace(asked(tmp_path, "jobs", None), sacct=file, sinfo=None)
    with pytest.raises(BadData, match="AccountingStorageTRES"):
        observe(plain, lambda *_: None)


def test_a_kept_report_can_still_be_read() -> None:
    text = (KEPT / "report-1.json").read_bytes()
    found = msgspec.json.decode(text, type=ObserveReport)
    assert found.version == 1 <= REPORT_VERSION
    assert observe_page(found)
