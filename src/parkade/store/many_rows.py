"""Many rows in few statements.

SQLite's driver gives the interpreter's lock away for each row of a statement that it is handed with
many. Beside an event loop that is busy it gets it back only after milliseconds, and while a commit
waits for that, every client waits (decision record 233).
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

MOST = 64
"""Rows of a statement. With the powers of two below it makes all numbers, so that a database
prepares few statements."""
MOST_VARIABLES = 500
"""Values of a statement: SQLite before 3.32 takes 999, and a build may take fewer."""


def add_rows(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows that have the same columns in the same order; nothing where there are none."""
    place = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    begin = 0
    while begin < len(rows):
        most = min(len(rows) - begin, MOST, MOST_VARIABLES // len(rows[0]))
        count = 1 << (most.bit_length() - 1)
        some = rows[begin : begin + count]
        values = tuple(value for row in some for value in row.values())
        connection.exec_driver_sql(_insert(table.name, tuple(rows[0]), count, place), values)
        begin += count


@cache
def _insert(table: str, columns: tuple[str, ...], count: int, place: str) -> str:
    row = f"({', '.join([place] * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * count)}"
