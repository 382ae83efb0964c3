"""Keeps the journal, snapshots, answers and statements, in SQLite or PostgreSQL.

Everything but `sqlite.py` and `postgresql.py` is the same SQL for every database.
"""

from parkade.store.lock import Holder, LockWatch, PostgresqlLeadership
from parkade.store.postgresql import open_postgresql, postgresql_engine
from parkade.store.sql import SqlStore
from parkade.store.sqlite import open_sqlite, open_sqlite_read_only, schema_of_file

__all__ = [
    "Holder",
    "LockWatch",
    "PostgresqlLeadership",
    "SqlStore",
    "open_postgresql",
    "open_sqlite",
    "open_sqlite_read_only",
    "postgresql_engine",
    "schema_of_file",
]
