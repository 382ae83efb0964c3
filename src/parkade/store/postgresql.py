"""What is particular to PostgreSQL: its address, and how a connection behaves.

Needs psycopg (`pip install 'parkade[postgresql]'`). A password never stands in the address, which
process lists show: libpq finds it in PGPASSFILE or `~/.pgpass`.
"""

import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from parkade.ports import StoreError
from parkade.store.driver_error import line_of
from parkade.store.head import HeadFile
from parkade.store.segments import ENTRIES
from parkade.store.sql import SqlStore, no_crash_point

SESSIONS = "parkade process "
"""How the names of the program's sessions begin."""
CONNECT_TIMEOUT_S = 10
_STATEMENT_TIMEOUT_MS = 60_000
# A silent network is noticed by both ends within about 5 s.
ALIVE = {
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5_000,
}
SERVER_ALIVE = "-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3"
_RANDOM = secrets.token_hex(4)


def session_name() -> str:
    """What PostgreSQL shows of every session of this process, and of no other: at most 63 bytes."""
    host = socket.gethostname().encode("ascii", "replace").decode()
    return f"{SESSIONS}{os.getpid()} ({_RANDOM}) on {host}"[:63]


def open_postgresql(
    address: str,
    *,
    head: Path,
    crash_point: Callable[[str], None] = no_crash_point,
    is_read_only: bool = False,
    segment_entries: int = ENTRIES,
) -> SqlStore:
    """The store in this database, like `postgresql://parkade@db.example/parkade`, whose tables are
    made where they are missing. `head` is the path of its head file. StoreError where it cannot be
    used."""
    engine = postgresql_engine(address)
    try:
        return SqlStore(
            engine,
            head=HeadFile(head),
            crash_point=crash_point,
            is_read_only=is_read_only,
            segment_entries=segment_entries,
        )
    except sa.exc.DatabaseError as error:
        engine.dispose()
        raise StoreError(
            f"{address} could not be opened as a journal: {line_of(error)}. If the server answers"
            " and lets this user in, a table of it is missing or another's: restore a backup into a"
            " new database with `parkade admin restore`"
        ) from error
    except StoreError:
        engine.dispose()
        raise


def postgresql_engine(address: str) -> sa.Engine:
    """Connections that notice a silent network, under the names of this process's sessions."""
    engine = sa.create_engine(
        url_of(address),
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": session_name(),
            "options": f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} {SERVER_ALIVE}",
            **ALIVE,
        },
        pool_pre_ping=True,
    )
    sa.event.listen(engine, "connect", _on_connect)
    return engine


def _on_connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """A commit is on the server's disk when it is answered, whatever the database's default is."""
    cursor = connection.cursor()
    try:
        cursor.execute("SELECT current_setting('synchronous_commit')")
        if cursor.fetchone() == ("off",):
            cursor.execute("SET synchronous_commit TO on")
        connection.commit()
    finally:
        cursor.close()


def shown(address: str) -> str:
    """The address for people, also one that `url_of` refuses: without a password, and without what
    stands behind a question mark."""
    try:
        return sa.make_url(address).set(query={}).render_as_string(hide_password=True)
    except sa.exc.ArgumentError:
        return "the database"


def url_of(address: str) -> sa.URL:
    """The address for SQLAlchemy. StoreError where it is none, or holds a password."""
    try:
        url = sa.make_url(address)
    except sa.exc.ArgumentError:
        raise StoreError("database: write postgresql://USER@SERVER/NAME") from None
    if url.get_backend_name() != "postgresql":
        raise StoreError(f"database: {url.get_backend_name()} is not known; write postgresql://…")
    if url.password is not None or any("password" in key.lower() for key in url.query):
        raise StoreError(
            "database: leave the password out, process lists would show it; put it into ~/.pgpass"
        )
    return url.set(drivername="postgresql+psycopg")
