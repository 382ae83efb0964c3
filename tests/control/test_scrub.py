"""What a start does not read is read while the server runs, and what differs ends it by name."""

import contextlib
import queue
from pathlib import Path

import pytest

from parkade.control.scrub import Scrub
from parkade.ports import StoreError
from parkade.store import open_sqlite
from tests.control.journals import a_journal, keep_snapshot
from tests.control.test_whole import REPLACE_BODY, damage
from tests.waits import until

WAIT_S = 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal whose newest snapshot is at its end, so that a start reads none of its entries."""
    path = a_journal(tmp_path / "j.sqlite3")
    keep_snapshot(path)
    return path


def found(path: Path) -> str:
    told: queue.Queue[StoreError] = queue.Queue()
    with contextlib.closing(open_sqlite(path)) as store:
        scrub = Scrub(store, on_damage=told.put)
        scrub.start()
        try:
            return str(told.get(timeout=WAIT_S))
        finally:
            scrub.stop()


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (REPLACE_BODY, "entry 3 of the journal is not what was written"),
        ("DELETE FROM journal WHERE sequence = 2", "lacks entry 2"),
        ("UPDATE transfers SET micros = micros + 1 WHERE sequence = 4", "lines of entry 4"),
        ("UPDATE journal SET body = x'00' WHERE sequence = 1", "entry 1 of the journal"),
    ],
)
def test_damage_before_the_newest_snapshot_is_named(path: Path, statement: str, says: str) -> None:
    damage(path, statement)
    told = found(path)
    assert says in told and "restore a backup" in told


def test_a_whole_journal_is_read_and_nothing_is_told(path: Path) -> None:
    told: list[StoreError] = []
    with contextlib.closing(open_sqlite(path)) as store:
        scrub = Scrub(store, on_damage=told.append)
        scrub.start()
        until(lambda: scrub.entries == store.last_sequence())
        scrub.stop()
    assert told == []
