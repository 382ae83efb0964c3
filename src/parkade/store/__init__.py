"""Keeps the journal, snapshots, answers and statements, in SQLite today.

Everything but `sqlite.py` is the same SQL for every database.
"""

from parkade.store.sqlite import open_sqlite, open_sqlite_read_only

__all__ = ["open_sqlite", "open_sqlite_read_only"]
