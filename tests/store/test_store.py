"""The contract of a store; every store passes it unchanged."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from parkade.core.ledger.accounts import EXTERNAL, Transfer, TransferKind, Use
from parkade.core.units import bounds
from parkade.ports import (
    Batch,
    Fenced,
    JournalEntry,
    StatedTransfer,
    Store,
    StoredAnswer,
    StoredSnapshot,
    StoreError,
)
from parkade.store import open_postgresql, open_sqlite
from parkade.store.migrations import STEPS
from parkade.store.tables import metadata


def entry(sequence: int, *, at_us: int = 5) -> JournalEntry:
    body = b"%d" % sequence
    return JournalEntry(
        sequence=sequence, epoch=1, at_us=at_us, type="Thing", version=1, body=body, digest="d"
    )


USE = Use(gpus=3, price_micros=2, start_us=1, end_us=4)


def paid(sequence: int, debit: str, credit: str, *, at_us: int = 5) -> StatedTransfer:
    transfer = Transfer(kind=TransferKind.USAGE, debit=debit, credit=credit, micros=7, use=USE)
    return StatedTransfer(sequence=sequence, position=0, at_us=at_us, transfer=transfer)


def answer(key: str, *, sequence: int = 1, at_us: int = 5) -> StoredAnswer:
    return StoredAnswer(
        principal="ann", key=key, request_digest="d", body=b"{}", sequence=sequence, at_us=at_us
    )


def batch(
    *entries: JournalEntry,
    transfers: tuple[StatedTransfer, ...] = (),
    answers: tuple[StoredAnswer, ...] = (),
    after: int | None = None,
) -> Batch:
    first = entries[0].sequence - 1 if entries else 0
    return Batch(
        after=first if after is None else after,
        entries=entries,
        transfers=transfers,
        answers=answers,
    )


def test_an_sqlite_that_takes_few_variables_takes_batches_of_any_size(tmp_path: Path) -> None:
    """999 of a statement was the bound before SQLite 3.32."""

    def few(connection: sqlite3.Connection, _: object) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 600)

    sa.event.listen(sa.Engine, "connect", few)
    try:
        store = open_sqlite(tmp_path / "parkade.sqlite3")
        entries = tuple(entry(number) for number in range(1, 1_001))
        lines = tuple(paid(number, "org/a", "org/b") for number in range(1, 1_001))
        answers = tuple(answer(f"k{number}") for number in range(300))
        store.commit(batch(*entries, transfers=lines, answers=answers))
        assert len(list(store.entries(after=0, limit=2_000))) == 1_000
        assert len(store.charges(range(1, 1_001))) == 1_000
        assert store.answer("ann", "k299") == answers[-1]
        store.close()
    finally:
        sa.event.remove(sa.Engine, "connect", few)


def test_an_empty_journal_ends_at_zero(store: Store) -> None:
    assert store.last_sequence() == 0
    assert list(store.entries(after=0, limit=10)) == []
    assert list(store.snapshots()) == []


def test_what_was_committed_is_read_back_in_order_and_in_pages(store: Store) -> None:
    store.commit(batch(entry(1), entry(2)))
    store.commit(batch(entry(3)))
    assert store.last_sequence() == 3
    assert list(store.entries(after=0, limit=2)) == [entry(1), entry(2)]
    assert list(store.entries(after=2, limit=2)) == [entry(3)]


def test_a_batch_is_added_whole_or_not_at_all(store: Store) -> None:
    store.commit(batch(entry(1), answers=(answer("k"),)))
    twice = batch(entry(2), transfers=(paid(2, "a", "b"),), answers=(answer("k"),))
    with pytest.raises(Fenced):
        store.commit(twice)
    assert store.last_sequence() == 1
    assert list(store.statement("a", from_us=None, to_us=None, until=9)) == []


def test_a_writer_that_fell_behind_is_fenced(store: Store) -> None:
    store.commit(batch(entry(1)))
    with pytest.raises(Fenced, match="another server writes"):
        store.commit(batch(entry(1)))


def test_a_writer_that_fell_behind_is_fenced_even_without_events(store: Store) -> None:
    store.commit(batch(entry(1)))
    with pytest.raises(Fenced):
        store.commit(batch(answers=(answer("k"),), after=0))


def test_the_primary_key_refuses_a_second_event_of_one_sequence(tmp_path: Path) -> None:
    path = tmp_path / "parkade.sqlite3"
    store = open_sqlite(path)
    store.commit(batch(entry(1)))
    with sqlite3.connect(path) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO journal VALUES (1, 2, 3, 'Thing', 1, x'00', 'd')")
    connection.close()
    store.close()


def test_an_answer_is_found_under_its_principal_and_key(store: Store) -> None:
    store.commit(batch(entry(1), answers=(answer("k"),)))
    assert store.answer("ann", "k") == answer("k")
    assert store.answer("ben", "k") is None


def test_old_answers_are_forgotten_and_others_kept(store: Store) -> None:
    store.commit(batch(entry(1), answers=(answer("old", at_us=1), answer("new", at_us=9))))
    store.forget_answers(before_us=9)
    assert store.answer("ann", "old") is None
    assert store.answer("ann", "new") is not None


def test_a_statement_has_both_sides_in_the_order_of_the_journal(store: Store) -> None:
    lines = (
        paid(1, EXTERNAL, "org/a", at_us=1),
        paid(2, "org/a", "org/b", at_us=2),
        paid(3, "org/b", "org/a", at_us=3),
    )
    entries = tuple(entry(line.sequence, at_us=line.at_us) for line in lines)
    store.commit(batch(*entries, transfers=lines))
    assert tuple(store.statement("org/a", from_us=None, to_us=None, until=9)) == lines
    assert tuple(store.statement("org/a", from_us=2, to_us=3, until=9)) == lines[1:2]
    assert tuple(store.statement("org/b", from_us=3, to_us=None, until=9)) == lines[2:]
    amount = lines[0].transfer.micros
    befores = [store.balance("org/a", before_us=at_us, until=9) for at_us in (1, 2, 3, 4)]
    assert befores == [0, amount, 0, amount]
    assert store.balance("org/nowhere", before_us=9, until=9) == 0
    assert tuple(store.statement("org/a", from_us=None, to_us=None, until=2)) == lines[:2]
    assert [store.balance("org/a", before_us=None, until=last) for last in (1, 2, 3)] == befores[1:]


def test_a_statement_is_read_in_pages_and_none_of_its_lines_is_lost(store: Store) -> None:
    lines = []
    for number in range(1, 6):
        first = paid(number, "org/a", "clearing/m", at_us=number)
        lines += [first, replace(paid(number, "clearing/m", "org/a", at_us=number), position=1)]
    entries = tuple(entry(number, at_us=number) for number in range(1, 6))
    store.commit(batch(*entries, transfers=tuple(lines)))
    read: list[StatedTransfer] = []
    after = (0, -1)
    while page := store.statement_page("org/a", from_us=2, to_us=5, after=after, until=9, limit=3):
        assert len(page) <= 3
        read += page
        after = (page[-1].sequence, page[-1].position)
    assert read == lines[2:8]


def test_what_an_account_moved_is_added_up_by_kind_and_workload(store: Store) -> None:
    def of(sequence: int, workload: str | None, debit: str, credit: str) -> StatedTransfer:
        line = paid(sequence, debit, credit, at_us=sequence)
        return replace(line, transfer=replace(line.transfer, workload=workload))

    long = Use(gpus=7, price_micros=2, start_us=5, end_us=3_000_000_017)
    big = of(3, "w2", "org/a", "clearing/m")
    lines = (
        of(1, "w1", "org/a", "clearing/m"),
        of(2, "w1", "org/a", "clearing/m"),
        replace(big, transfer=replace(big.transfer, use=long)),
        of(4, None, "clearing/m", "org/a"),
        of(5, "w1", "org/b", "clearing/m"),
    )
    entries = tuple(entry(line.sequence, at_us=line.at_us) for line in lines)
    store.commit(batch(*entries, transfers=lines))
    moved = store.moved("org/a", from_us=1, to_us=9, until=9, limit=9)
    assert [(it.is_paid, it.workload, it.micros, it.gpu_us) for it in moved] == [
        (False, None, 7, 9),
        (True, "w1", 14, 18),
        (True, "w2", 7, 7 * 3_000_000_012),
    ]
    assert moved[:2] == store.moved("org/a", from_us=1, to_us=9, until=9, limit=2)
    (only,) = store.moved("org/a", from_us=2, to_us=3, until=9, limit=9)
    assert only.micros == 7


def test_entries_of_one_type_are_found_in_order(store: Store) -> None:
    other = replace(entry(2), type="Other")
    store.commit(batch(entry(1), other, entry(3), entry(4)))
    assert list(store.entries_of("Thing", after=1, limit=9)) == [entry(3), entry(4)]
    assert list(store.entries_of("Thing", after=0, limit=1)) == [entry(1)]
    assert list(store.entries_of("Other", after=0, limit=9)) == [other]


def test_what_an_account_moved_is_added_exactly_beyond_64_bits(store: Store) -> None:
    """The most that one transfer can move, ten times in and nine times out."""
    most = bounds.BALANCE_MICROS.most
    ways = [(EXTERNAL, "org/a")] * 10 + [("org/a", EXTERNAL)] * 9
    lines = []
    for number, (debit, credit) in enumerate(ways, 1):
        line = paid(number, debit, credit, at_us=number)
        lines.append(replace(line, transfer=replace(line.transfer, micros=most)))
    entries = tuple(entry(line.sequence, at_us=line.at_us) for line in lines)
    store.commit(batch(*entries, transfers=tuple(lines)))
    assert store.balance("org/a", before_us=11, until=99) == 10 * most
    assert store.balance(EXTERNAL, before_us=11, until=99) == -10 * most
    assert dict(store.account_sums()) == {"org/a": most, EXTERNAL: -most}


def test_the_newest_snapshots_are_kept(store: Store) -> None:
    for sequence in range(1, 6):
        snapshot = StoredSnapshot(sequence=sequence, version=1, body=b"x" * sequence)
        store.keep_snapshot(snapshot, keep=2)
        store.keep_snapshot(snapshot, keep=2)
    assert [snapshot.sequence for snapshot in store.snapshots()] == [5, 4]


def test_a_torn_snapshot_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "parkade.sqlite3"
    store = open_sqlite(path)
    for sequence in (1, 2):
        store.keep_snapshot(StoredSnapshot(sequence=sequence, version=1, body=b"whole"), keep=3)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE snapshots SET body = x'77' WHERE sequence = 2")
    connection.close()
    assert [snapshot.sequence for snapshot in store.snapshots()] == [1]
    store.close()


def test_what_was_committed_is_there_after_the_store_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "parkade.sqlite3"
    first = open_sqlite(path)
    first.commit(batch(entry(1)))
    first.close()
    second = open_sqlite(path)
    assert list(second.entries(after=0, limit=9)) == [entry(1)]
    second.close()


def test_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "parkade.sqlite3"
    before = os.umask(0)
    try:
        store = open_sqlite(path)
        store.commit(batch(entry(1)))
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(modes) > 1
    assert set(modes.values()) == {0o600}
    store.close()


def test_every_commit_is_synced_to_disk(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "parkade.sqlite3")
    with store._readers.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    store.close()


def test_a_database_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "parkade.sqlite3"
    open_sqlite(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", [len(STEPS) + 1])
    connection.close()
    with pytest.raises(StoreError, match="newer Parkade"):
        open_sqlite(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "parkade.sqlite3"
    path.write_bytes(b"not a database at all, but long enough to be read as one" * 99)
    with pytest.raises(StoreError, match="could not be opened"):
        open_sqlite(path)


@pytest.mark.parametrize("name", ["meta", "snapshots", "transfers, journal"])
def test_a_database_that_lost_a_table_is_refused_with_what_to_do(
    database: str, tmp_path: Path, name: str
) -> None:
    head = tmp_path / "postgresql.head"
    store = open_postgresql(database, head=head)
    store.commit(batch(entry(1)))
    store.close()
    engine = sa.create_engine(sa.make_url(database).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE {name}")
    engine.dispose()

    def opened() -> None:
        again = open_postgresql(database, head=head)
        try:
            list(again.snapshots())
        finally:
            again.close()

    with pytest.raises(StoreError, match=r"[Rr]estore a backup"):
        opened()


@pytest.mark.parametrize(
    ("default", "used"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")]
)
def test_a_commit_is_on_disk_when_it_is_answered_whatever_the_databases_default_is(
    database: str, tmp_path: Path, default: str, used: str
) -> None:
    url = sa.make_url(database).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(
            f"ALTER DATABASE {url.database} SET synchronous_commit TO {default}"
        )
    engine.dispose()
    store = open_postgresql(database, head=tmp_path / "head")
    store.commit(batch(entry(1)))
    with store._writer.connect() as connection:
        found = connection.exec_driver_sql("SHOW synchronous_commit").scalar()
    store.close()
    assert found == used


def test_the_migrations_lead_to_the_tables_that_are_used(tmp_path: Path) -> None:
    path = tmp_path / "parkade.sqlite3"
    open_sqlite(path).close()
    wanted = sa.create_engine("sqlite://")
    metadata.create_all(wanted)
    migrated = sa.create_engine(f"sqlite:///{path}")
    assert schema_of(migrated) == schema_of(wanted)
    migrated.dispose()
    wanted.dispose()


def schema_of(engine: sa.Engine) -> dict[str, tuple[object, ...]]:
    """Columns, primary key and indexes of each table: a column added later is written otherwise
    in SQLite's own text, and is the same column."""
    found = sa.inspect(engine)
    return {
        table: (
            [
                (column["name"], str(column["type"]), column["nullable"], column["default"])
                for column in found.get_columns(table)
            ],
            found.get_pk_constraint(table)["constrained_columns"],
            sorted(
                (it["name"] or "", tuple(it["column_names"])) for it in found.get_indexes(table)
            ),
        )
        for table in found.get_table_names()
    }
