"""The terms of a journal's writers: the last word on which of two servers may write.

Leadership is a lock, and a lock can be lost unnoticed: by a process that was stopped and goes on,
or a machine that was cut off. So each writer begins a term before it reads the journal, and every
commit looks, in its own transaction, whether that term is still the newest. The row is locked
against a change while it is looked at: a new term waits for a commit under way, and reads what that
wrote; a commit that comes later is refused. Terms only grow.
"""

from typing import Any

import msgspec
import sqlalchemy as sa

from parkade.ports import Fenced, StoreError
from parkade.store.tables import LEADER, meta

# SQLite, which has one writer at a time, knows no `FOR UPDATE` and is not told it.
_NEWEST = sa.select(meta.c.value).where(meta.c.name == LEADER)
_NEWEST_SHARED = _NEWEST.with_for_update(read=True)


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """The row, as JSON. `address` is where this writer is reached; empty: it told nothing."""

    version: int = 1
    term: int
    address: str = ""


def begin(connection: sa.Connection, address: str) -> int:
    """The number of a new term, which is the newest once the transaction is committed."""
    before = _read(connection, _NEWEST.with_for_update())
    number = 1 if before is None else before.term + 1
    value = msgspec.json.encode(Term(term=number, address=address)).decode()
    if before is None:
        connection.execute(meta.insert(), [{"name": LEADER, "value": value}])
    else:
        connection.execute(meta.update().where(meta.c.name == LEADER).values(value=value))
    return number


def require(connection: sa.Connection, term: int) -> None:
    """Fenced where a newer term has begun; until the transaction ends none begins."""
    found = _read(connection, _NEWEST_SHARED)
    if found is None or found.term != term:
        newest = "none" if found is None else str(found.term)
        raise Fenced(
            f"this writer's term is {term}, the journal's is {newest}: another server leads now."
            " This one stops, and nothing that it was asked is lost"
        )


def address(connection: sa.Connection) -> str | None:
    """Where the writer of the newest term is reached."""
    found = _read(connection, _NEWEST)
    return None if found is None or not found.address else found.address


def _read(connection: sa.Connection, query: "sa.Select[Any]") -> Term | None:
    found: str | None = connection.execute(query).scalar()
    if found is None:
        return None
    try:
        return msgspec.json.decode(found, type=Term)
    except msgspec.MsgspecError as error:
        raise StoreError(
            f"the row `{LEADER}` of `meta` cannot be read ({error}): it was changed. Restore a"
            " backup, or delete that row while no server runs"
        ) from error
