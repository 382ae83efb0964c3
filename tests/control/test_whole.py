"""A whole journal is read from its first entry; what differs is named by its entry."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from parkade.control.rules import RULES
from parkade.control.whole import WholeJournal, check_whole
from parkade.ports import StoreError
from parkade.store import open_sqlite, open_sqlite_read_only
from tests.control.journals import a_journal, keep_snapshot

REPLACE_BODY = """UPDATE journal SET body =
    CAST(replace(CAST(body AS TEXT), 'acme', 'acne') AS BLOB) WHERE sequence = 3"""


def damage(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def checked(path: Path) -> WholeJournal:
    with contextlib.closing(open_sqlite_read_only(path)) as store:
        return check_whole(store, RULES)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with a snapshot in its middle."""
    path = a_journal(tmp_path / "j.sqlite3")
    keep_snapshot(path)
    return a_journal(path)


def test_a_whole_journal_passes_and_nothing_is_changed(path: Path) -> None:
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    found = checked(path)
    assert (found.transfers, found.entries > 6, found.snapshot) == (4, True, 6)
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before


def test_a_journal_is_checked_while_a_server_has_it_open(path: Path) -> None:
    with contextlib.closing(open_sqlite(path)) as store:
        assert path.with_name("j.sqlite3-wal").exists()
        assert checked(path).entries == store.last_sequence()


def test_a_backup_without_a_head_file_is_checked(path: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup" / "monday.sqlite3"
    backup.parent.mkdir()
    damage(path, f"VACUUM INTO '{backup}'")
    assert checked(backup) == checked(path)
    assert [file.name for file in backup.parent.iterdir()] == [backup.name]


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (REPLACE_BODY, "entry 3 of the journal is not what was written"),
        ("DELETE FROM journal WHERE sequence = 2", "lacks entry 2"),
        ("UPDATE transfers SET micros = micros + 1 WHERE sequence = 4", "lines of entry 4"),
        ("UPDATE transfers SET kind = 'gift' WHERE sequence = 4", "line of entry 4"),
        ("DELETE FROM transfers WHERE sequence = 5", "lines of entry 5"),
        ("UPDATE transfers SET sequence = 999 WHERE sequence = 5", "line of entry 999"),
    ],
)
def test_damage_before_the_newest_snapshot_is_named(path: Path, statement: str, told: str) -> None:
    damage(path, statement)
    with pytest.raises(StoreError, match=rf"{told}.*restore a backup"):
        checked(path)


def test_a_snapshot_of_another_world_is_refused(path: Path) -> None:
    other = path.with_name("o.sqlite3")
    a_journal(other, org="zeta")
    keep_snapshot(other)
    damage(
        path,
        f"ATTACH '{other}' AS other",
        "DELETE FROM snapshots",
        "INSERT INTO snapshots SELECT * FROM other.snapshots",
    )
    with pytest.raises(StoreError, match="snapshot at entry 6 is not the world"):
        checked(path)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not there"):
        checked(tmp_path / "missing")
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(StoreError, match="holds no journal"):
        checked(empty)


def test_an_older_schema_is_refused_and_left_as_it_is(path: Path) -> None:
    damage(path, "UPDATE meta SET value = '1' WHERE name = 'schema'")
    with pytest.raises(StoreError, match="start the server"):
        checked(path)
