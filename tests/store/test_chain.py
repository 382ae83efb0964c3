"""A journal that lost its tail, or was changed, is refused in words; the head file tells."""

import contextlib
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parkade.control.recover import recover
from parkade.control.rules import RULES
from parkade.core.state.chain import GENESIS, link
from parkade.ports import StoreError
from parkade.store import open_sqlite
from parkade.store.head import Head, HeadFile
from tests.control.journals import a_journal, keep_snapshot


def sql(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


def reopened(path: Path) -> None:
    store = open_sqlite(path)
    try:
        recover(store, RULES)
    finally:
        store.close()


def test_a_whole_journal_opens_again_and_again(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "j.sqlite3")
    reopened(path)
    reopened(path)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("DELETE FROM transfers; DELETE FROM journal WHERE sequence > 5", "ends at entry 5"),
        ("DELETE FROM transfers; DELETE FROM journal", "ends at entry 0"),
        (
            "UPDATE journal SET body = CAST(replace(CAST(body AS TEXT), 'acme', 'acne') AS BLOB)",
            "entry 3",
        ),
        ("UPDATE journal SET at_us = at_us + 1 WHERE sequence = 4", "entry 4"),
        ("UPDATE journal SET digest = 'x' WHERE sequence = 2", "entry 2"),
        ("DELETE FROM transfers; DELETE FROM journal WHERE sequence = 3", "lacks entry 3"),
        ("UPDATE journal SET body = CAST(body AS TEXT) WHERE sequence = 3", "entry 3 .* type"),
        ("UPDATE journal SET type = 'a' || char(10) WHERE sequence = 3", "entry 3"),
        ("UPDATE transfers SET micros = micros + 1000000 WHERE sequence = 4", "lines of external"),
        ("UPDATE transfers SET credit = 'org/other' WHERE sequence = 4", "lines of org/acme-1"),
        ("UPDATE transfers SET micros = 'x' WHERE sequence = 4", "lines of external"),
        ("UPDATE transfers SET micros = 9223372036854775807", "lines of external"),
        ("DELETE FROM transfers", "lines of external"),
    ],
)
def test_what_was_changed_or_lost_is_found_when_the_journal_is_read(
    tmp_path: Path, damage: str, told: str
) -> None:
    path = a_journal(tmp_path / "j.sqlite3")
    for statement in damage.split(";"):
        sql(path, statement)
    with pytest.raises(StoreError, match=told):
        reopened(path)


def test_an_older_copy_of_the_journal_is_refused_until_the_head_is_moved_away(
    tmp_path: Path,
) -> None:
    path = a_journal(tmp_path / "j.sqlite3")
    old = tmp_path / "old.sqlite3"
    shutil.copy(path, old)
    a_journal(path)
    shutil.copy(old, path)
    with pytest.raises(StoreError, match=r"move .*head away"):
        reopened(path)
    path.with_name("j.sqlite3.head").unlink()
    reopened(path)


def test_another_journal_of_the_same_length_is_refused(tmp_path: Path) -> None:
    path, other = a_journal(tmp_path / "j.sqlite3"), a_journal(tmp_path / "o.sqlite3", org="zeta")
    shutil.copy(other, path)
    with pytest.raises(StoreError, match="another digest"):
        reopened(path)


@pytest.mark.parametrize(
    "tear",
    [
        lambda head: head[:128] + b"\0" * 128,
        lambda head: b"\xff" * 128 + head[128:],
        lambda head: head[:200],
    ],
)
def test_a_torn_head_leaves_the_other_slot(tmp_path: Path, tear: Callable[[bytes], bytes]) -> None:
    path = a_journal(tmp_path / "j.sqlite3")
    head = path.with_name("j.sqlite3.head")
    head.write_bytes(tear(head.read_bytes()))
    assert HeadFile(head).read() is not None
    reopened(path)


@pytest.mark.parametrize("fields", ["1 5", "1 five abc", "1 5 abc more", "1 -5 abc"])
def test_a_head_that_names_no_entry_is_refused(tmp_path: Path, fields: str) -> None:
    path = a_journal(tmp_path / "j.sqlite3")
    slot = f"{fields} {zlib.crc32(fields.encode()):08x}\n".encode().ljust(128)
    path.with_name("j.sqlite3.head").write_bytes(slot * 2)
    with pytest.raises(StoreError, match=r"head holds .* not an entry"):
        reopened(path)


def test_the_head_is_the_newer_of_its_slots(tmp_path: Path) -> None:
    file = HeadFile(tmp_path / "head")
    assert file.read() is None
    for sequence in (1, 2, 5):
        file.write(Head(sequence=sequence, digest="d" * 64))
    assert file.read() == Head(sequence=5, digest="d" * 64)
    file.close()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("UPDATE journal SET digest = 'x' WHERE sequence = {last}", "digest of entry"),
        ("UPDATE transfers SET micros = micros + 1000000 WHERE sequence = 4", "lines of external"),
    ],
)
def test_damage_before_a_snapshot_is_found_at_the_start(
    tmp_path: Path, damage: str, told: str
) -> None:
    path = a_journal(tmp_path / "j.sqlite3")
    last = keep_snapshot(path)
    path.with_name("j.sqlite3.head").unlink()
    sql(path, damage.format(last=last))
    with pytest.raises(StoreError, match=told):
        reopened(path)


def test_a_snapshot_of_another_type_is_passed_over(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "j.sqlite3")
    keep_snapshot(path)
    sql(path, "UPDATE snapshots SET body = CAST(body AS TEXT)")
    with contextlib.closing(open_sqlite(path)) as store:
        assert list(store.snapshots()) == []
    reopened(path)


def test_a_journal_of_the_first_schema_gets_its_chain(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "j.sqlite3")
    path.with_name("j.sqlite3.head").unlink()
    with contextlib.closing(open_sqlite(path)) as before:
        digests = [entry.digest for entry in before.entries(after=0, limit=99)]
    sql(path, "ALTER TABLE journal DROP COLUMN digest")
    sql(path, "ALTER TABLE answers DROP COLUMN digest")
    sql(path, "DROP TABLE receivers")
    sql(path, "DROP TABLE segments")
    sql(path, "INSERT INTO answers VALUES ('ann', 'k', 'd', x'7b7d', 3, 1)")
    sql(path, "UPDATE meta SET value = '1' WHERE name = 'schema'")
    with contextlib.closing(open_sqlite(path)) as after:
        assert [entry.digest for entry in after.entries(after=0, limit=99)] == digests
        assert [answer.key for answer in after.answers()] == ["k"]


def test_every_field_of_an_entry_is_bound() -> None:
    entry: dict[str, Any] = {
        "sequence": 1,
        "epoch": 1,
        "at_us": 1,
        "type": "T",
        "version": 1,
        "body": b"{}",
    }
    other: dict[str, Any] = {
        "sequence": 2,
        "epoch": 2,
        "at_us": 2,
        "type": "U",
        "version": 2,
        "body": b"{ }",
    }
    digest = link(GENESIS, **entry)
    for field, value in other.items():
        assert link(GENESIS, **{**entry, field: value}) != digest
    assert link("1" * 64, **entry) != digest
