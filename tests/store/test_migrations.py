"""A database of the version before opens, is what it was, and goes on."""

import contextlib
import sqlite3
from pathlib import Path

import sqlalchemy as sa

from parkade.control.recover import recover
from parkade.control.rules import RULES
from parkade.control.whole import WholeJournal, check_whole
from parkade.store import SqlStore, open_postgresql, open_sqlite
from parkade.store.migrations import STEPS
from tests.control.journals import a_journal

KEPT = Path(__file__).parent / "schema_4.sql"
END = "8fefb7830b5c2f723484579fae581b23f71cb825d57bc0d10d4c6fc68ab7b39e"
OLD_US = 10**18


def kept(path: Path) -> Path:
    """Eleven entries and four transfers, as a server of schema 4 left them."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(KEPT.read_text())
    return path


def is_what_it_was(store: SqlStore) -> None:
    assert store.entries(after=10, limit=9)[0].digest == END
    assert check_whole(store, RULES) == WholeJournal(
        entries=11, transfers=4, snapshot=11, last_workload=1
    )


def test_a_file_of_schema_4_goes_on_and_is_archived(tmp_path: Path) -> None:
    path = kept(tmp_path / "j.sqlite3")
    with contextlib.closing(open_sqlite(path, segment_entries=5)) as store:
        is_what_it_was(store)
        found = store.fold(before_us=OLD_US)
        assert found is not None
        assert (found.first, found.last) == (1, 5)
        is_what_it_was(store)
    a_journal(path)
    with contextlib.closing(open_sqlite(path)) as store:
        recover(store, RULES)
        assert check_whole(store, RULES).entries > 11


def test_a_database_of_schema_4_goes_on_and_is_archived(database: str, tmp_path: Path) -> None:
    """Its tables are made by the steps of then, its rows are the file's."""
    engine = sa.create_engine(sa.make_url(database).set(drivername="postgresql+psycopg"))
    source = sqlite3.connect(kept(tmp_path / "j.sqlite3"))
    with contextlib.closing(source), engine.begin() as connection:
        for step in STEPS[:4]:
            step(connection)
        tables = sa.MetaData()
        tables.reflect(connection)
        for table in tables.sorted_tables:
            names = table.columns.keys()
            found = source.execute(f"SELECT {', '.join(names)} FROM {table.name}")
            rows = [dict(zip(names, row, strict=True)) for row in found]
            if rows:
                connection.execute(table.insert(), rows)
        assert sa.inspect(connection).get_foreign_keys("transfers")
    engine.dispose()
    with contextlib.closing(
        open_postgresql(database, head=tmp_path / "head", segment_entries=5)
    ) as store:
        is_what_it_was(store)
        assert store.fold(before_us=OLD_US) is not None
        is_what_it_was(store)
