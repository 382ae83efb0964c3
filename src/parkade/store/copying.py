"""A whole journal from one database to another, whatever kind they are: for backups.

The source is read in one transaction, so that what a server adds meanwhile is left out whole.
"""

import sqlalchemy as sa

from parkade.ports import StoreError
from parkade.store.driver_error import line_of
from parkade.store.tables import OF_ONE_PLACE, metadata

_ROWS = 1_000
# Held at once; a segment is as large as a thousand rows of the journal.
_ROWS_OF = {"segments": 8, "snapshots": 1}


def copy_tables(source: sa.Engine, target: sa.Engine) -> None:
    """Every row. The target has the same tables, which hold nothing but their schema's number;
    StoreError where they do."""
    try:
        with (
            source.connect().execution_options(isolation_level=_one_state(source)) as reading,
            target.begin() as writing,
        ):
            for table in metadata.sorted_tables:
                _copy(table, reading, writing)
    except sa.exc.DatabaseError as error:
        raise StoreError(f"the journal could not be copied: {line_of(error)}") from error


def _copy(table: sa.Table, reading: sa.Connection, writing: sa.Connection) -> None:
    if table.name == "meta":
        _copy_meta(table, reading, writing)
        return
    if writing.execute(sa.select(sa.func.count()).select_from(table)).scalar():
        raise StoreError(
            f"the table `{table.name}` is not empty: restore into a new database, so that nothing"
            " is overwritten"
        )
    order = list(table.primary_key.columns)
    most = _ROWS_OF.get(table.name, _ROWS)
    found = reading.execution_options(yield_per=most).execute(sa.select(table).order_by(*order))
    for rows in found.mappings().partitions(most):
        writing.execute(table.insert(), [dict(row) for row in rows])


def _copy_meta(table: sa.Table, reading: sa.Connection, writing: sa.Connection) -> None:
    """A copy has no data folder yet: the one that it is put into becomes its own."""
    writing.execute(table.delete())
    rows = reading.execute(sa.select(table).where(table.c.name.not_in(OF_ONE_PLACE))).mappings()
    writing.execute(table.insert(), [dict(row) for row in rows])


def _one_state(engine: sa.Engine) -> str:
    return "SERIALIZABLE" if engine.dialect.name == "sqlite" else "REPEATABLE READ"
