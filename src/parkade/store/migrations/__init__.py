"""Numbered steps from an empty database to the tables of today; a landed step is never edited.

Each step runs in one transaction with its number, so a database stands on a whole number. There
is no way back but a backup: what is written for ever is only added to.
"""

from collections.abc import Callable

import sqlalchemy as sa

from parkade.ports import StoreError
from parkade.store.migrations import m0001_journal, m0002_chain

STEPS: tuple[Callable[[sa.Connection], None], ...] = (m0001_journal.apply, m0002_chain.apply)

_meta = sa.table("meta", sa.column("name"), sa.column("value"))
_SCHEMA = "schema"


def schema_version(connection: sa.Connection) -> int:
    """How many steps this database has seen."""
    if not sa.inspect(connection).has_table("meta"):
        return 0
    found = connection.execute(sa.select(_meta.c.value).where(_meta.c.name == _SCHEMA)).scalar()
    return int(found or 0)


def migrate(connection: sa.Connection) -> None:
    """Brings the database to the newest step, inside the caller's transaction."""
    version = schema_version(connection)
    if version > len(STEPS):
        raise StoreError(
            f"the database has schema {version}, this program knows {len(STEPS)}: it was made by "
            "a newer Parkade; install that version or restore a backup made by this one"
        )
    for step in STEPS[version:]:
        step(connection)
    if version < len(STEPS):
        connection.execute(sa.delete(_meta).where(_meta.c.name == _SCHEMA))
        connection.execute(sa.insert(_meta).values(name=_SCHEMA, value=str(len(STEPS))))
