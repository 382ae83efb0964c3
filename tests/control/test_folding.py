"""The old part of a journal is folded while a server runs, and what hinders it ends nothing."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.control.folding import Folding
from parkade.control.recover import recover
from parkade.control.rules import RULES
from parkade.control.scrub import Scrub
from parkade.control.whole import check_whole
from parkade.core.units.time import HOUR_US
from parkade.ports import StoreError
from parkade.store import SqlStore, open_sqlite
from tests.clocks import HandClock
from tests.control.journals import a_journal, keep_snapshot
from tests.waits import until


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """Eleven entries, a snapshot at the last."""
    path = tmp_path / "j.sqlite3"
    a_journal(path)
    a_journal(path)
    keep_snapshot(path)
    with contextlib.closing(open_sqlite(path, segment_entries=3)) as opened:
        yield opened


def rows(store: SqlStore) -> int:
    with store._readers.connect() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM journal").scalar() or 0)


def test_what_is_old_is_folded_and_everything_is_read_as_before(store: SqlStore) -> None:
    before = store.entries(after=0, limit=99)
    whole = check_whole(store, RULES)
    folding = Folding(store, HandClock(), after_us=HOUR_US)
    folding.start()
    until(lambda: rows(store) == 2)
    folding.stop()
    assert store.entries(after=0, limit=99) == before
    assert check_whole(store, RULES) == whole
    assert recover(store, RULES).sequence == 11


def test_a_scrub_reads_what_was_folded(store: SqlStore) -> None:
    while store.fold(before_us=10**18) is not None:
        pass
    told: list[StoreError] = []
    scrub = Scrub(store, on_damage=told.append)
    scrub.start()
    until(lambda: scrub.entries == 11)
    scrub.stop()
    assert told == []


@pytest.mark.parametrize("after_us", [None, 10**17])
def test_what_is_young_or_not_to_be_folded_stays(store: SqlStore, after_us: int | None) -> None:
    folding = Folding(store, HandClock(), after_us=after_us)
    folding.start()
    folding.stop()
    assert rows(store) == 11


def test_a_full_disk_is_told_and_ends_nothing(
    store: SqlStore, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    class Full:
        asked = 0

        def foldable(self, *, before_us: int) -> Iterator[object]:
            raise AssertionError("only folded")

        def fold(self, *, before_us: int) -> None:
            self.asked += 1
            raise StoreError("the disk is full")

    full = Full()
    folding = Folding(full, HandClock(), after_us=HOUR_US)  # type: ignore[arg-type]
    folding.start()
    until(lambda: full.asked == 1)
    folding.stop()
    assert "the disk is full" in capfd.readouterr().err + caplog.text
