"""The database of a queue where it is an SQLite file of its own."""

import os
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from parkade.messages.tables import messages, metadata


class QueueUnreachable(Exception):
    """The database of the queue does not answer, or refuses; look at it, the queue tries again."""


def queue_file(path: Path) -> sa.Engine:
    """An SQLite file for a queue, made where it is missing: its messages are of all orgs, and only
    the server's own user reads them."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).chmod(0o600)
    except OSError as error:
        raise QueueUnreachable(f"{path}: {error.strerror}") from error
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
    sa.event.listen(engine, "connect", _write_ahead)
    return engine


def waiting_in(path: Path) -> int:
    """How many messages wait in a queue's file that no server has open; 0 where there is none."""
    if not path.exists():
        return 0
    engine = queue_file(path)
    try:
        metadata.create_all(engine)
        query = (
            sa.select(sa.func.count()).select_from(messages).where(messages.c.ended_us.is_(None))
        )
        with engine.connect() as connection:
            return int(connection.execute(query).scalar_one())
    except sa.exc.DatabaseError as error:
        raise QueueUnreachable(f"{path}: {error.orig}") from error
    finally:
        engine.dispose()


def _write_ahead(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.close()
