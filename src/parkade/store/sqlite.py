"""What is particular to SQLite: its file, its pragmas, and how a transaction begins.

The driver's own guesses about transactions are switched off: a writing one takes the lock when it
begins, so that looking at the journal's end and adding to it are one step.
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from parkade.ports import StoreError
from parkade.store.driver_error import line_of
from parkade.store.head import HeadFile
from parkade.store.migrations import schema_version
from parkade.store.segments import ENTRIES
from parkade.store.sql import SqlStore, no_crash_point

_BUSY_TIMEOUT_MS = 5_000
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}",
)


def open_sqlite(
    path: Path,
    *,
    crash_point: Callable[[str], None] = no_crash_point,
    segment_entries: int = ENTRIES,
) -> SqlStore:
    """The store in this file, made if it is missing; only its owner can read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)))
    sa.event.listen(engine, "connect", _on_connect)
    sa.event.listen(engine, "begin", _on_begin)
    return _opened(
        engine,
        path,
        crash_point=crash_point,
        is_read_only=False,
        segment_entries=segment_entries,
    )


def open_sqlite_read_only(path: Path) -> SqlStore:
    """The store in a file that is there, also while a server writes to it. Nothing is changed.

    Without a write-ahead log beside it no server has the file open, and it is read as it stands:
    so a backup on a medium that cannot be written is read too.
    """
    if not path.is_file():
        raise StoreError(
            f"{path} is not there: name a server's data folder (--data-folder), or a backup"
        )
    is_at_rest = not path.with_name(f"{path.name}-wal").exists()
    address = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if is_at_rest else ''}"
    engine = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(address, uri=True, check_same_thread=False),
        poolclass=sa.pool.QueuePool,
    )
    sa.event.listen(engine, "connect", _on_connect_to_read)
    sa.event.listen(engine, "begin", _on_begin)
    return _opened(engine, path, crash_point=no_crash_point, is_read_only=True)


def schema_of_file(path: Path) -> int:
    """How many steps the tables of a file have seen, also while a server writes to it."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    engine = sa.create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(address, uri=True, check_same_thread=False)
    )
    try:
        with engine.connect() as connection:
            return schema_version(connection)
    except sa.exc.DatabaseError as error:
        raise StoreError(f"{path} could not be read: {line_of(error)}") from error
    finally:
        engine.dispose()


def _opened(
    engine: sa.Engine,
    path: Path,
    *,
    crash_point: Callable[[str], None],
    is_read_only: bool,
    segment_entries: int = ENTRIES,
) -> SqlStore:
    head = HeadFile(path.with_name(f"{path.name}.head"))
    try:
        return SqlStore(
            engine,
            head=head,
            crash_point=crash_point,
            is_read_only=is_read_only,
            segment_entries=segment_entries,
        )
    except sa.exc.DatabaseError as error:
        engine.dispose()
        raise StoreError(
            f"{path} could not be opened as a journal: {line_of(error)}. If it is there and may be"
            " read and written, it is damaged or no journal: restore a backup with `parkade admin"
            " restore`"
        ) from error
    except BaseException:
        engine.dispose()
        raise


def _on_connect_to_read(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}").close()


def _on_connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma).close()


def _on_begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("parkade_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
