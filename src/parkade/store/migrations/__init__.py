"""Numbered steps from an empty database to the tables of today; a landed step is never edited.

Each step runs in one transaction with its number, so a database stands on a whole number. There
is no way back but a backup: what is written for ever is only added to.
"""

from collections.abc import Callable

import sqlalchemy as sa

from parkade.ports import StoreError
from parkade.store.migrations import (
    m0001_journal,
    m0002_chain,
    m0003_answers,
    m0004_receivers,
    m0005_segments,
)

STEPS: tuple[Callable[[sa.Connection], None], ...] = (
    m0001_journal.apply,
    m0002_chain.apply,
    m0003_answers.apply,
    m0004_receivers.apply,
    m0005_segments.apply,
)

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
    version = _known_version(connection)
    for step in STEPS[version:]:
        step(connection)
    if version < len(STEPS):
        connection.execute(sa.delete(_meta).where(_meta.c.name == _SCHEMA))
        connection.execute(sa.insert(_meta).values(name=_SCHEMA, value=str(len(STEPS))))


def require_newest(connection: sa.Connection) -> None:
    """StoreError where the database does not stand on the newest step. Nothing is written."""
    version = _known_version(connection)
    if version == 0:
        raise StoreError("the database holds no journal: name the file of a server or its backup")
    if version < len(STEPS):
        raise StoreError(
            f"the database has schema {version}, this program reads {len(STEPS)}: start the server"
            " on it, or on a copy, once; that brings it to the newest"
        )


def _known_version(connection: sa.Connection) -> int:
    version = schema_version(connection)
    if version > len(STEPS):
        raise StoreError(
            f"the database has schema {version}, this program knows {len(STEPS)}: it was made by "
            "a newer Parkade; install that version or restore a backup made by this one"
        )
    return version
