"""The lock of a journal in PostgreSQL: one session holds it as long as its connection lives.

The data folder's own lock tells nothing to a server with another data folder. This one lies in the
database: a session-level advisory lock, on a connection that does nothing else. PostgreSQL gives it
back when the connection ends, and a server that can no longer ask through that connection must
stop. A pooler that shares sessions (PgBouncer's transaction mode) keeps no such lock.
"""

import os
import socket

import sqlalchemy as sa

from parkade.ports import AlreadyLed, StoreError
from parkade.store.driver_error import line_of
from parkade.store.postgresql import ALIVE, url_of

# "prkd"; with the schema's hash it names the lock among all advisory locks of a database.
_CLASS = 0x70726B64
_KEY = f"{_CLASS}, hashtext(coalesce(current_schema(), ''))"
# PostgreSQL needs a moment to see that a killed server is gone.
_WAIT_MS = 3_000
_CONNECT_TIMEOUT_S = 10
# A silent network is noticed by both ends within about 10 s.
_SERVER_ALIVE = "-c tcp_keepalives_idle=4 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
_HOLDER = sa.text(
    "SELECT a.pid, a.application_name, a.client_addr FROM pg_locks l JOIN pg_stat_activity a"
    " USING (pid) WHERE l.locktype = 'advisory' AND l.granted AND l.classid = :class"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class PostgresqlLeadership:
    """Implements `ports.Leadership` for servers that write to the same database."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: sa.Connection | None = None

    def acquire(self) -> None:
        """See `ports.Leadership`; StoreError where the database cannot be asked."""
        assert self._connection is None, "it is taken once"
        engine = sa.create_engine(
            url_of(self._address),
            isolation_level="AUTOCOMMIT",
            poolclass=sa.pool.NullPool,
            connect_args={
                "connect_timeout": _CONNECT_TIMEOUT_S,
                "application_name": _name(),
                "options": f"-c lock_timeout={_WAIT_MS} {_SERVER_ALIVE}",
                **ALIVE,
            },
        )
        try:
            connection = engine.connect()
        except sa.exc.DatabaseError as error:
            raise StoreError(f"{self._address} could not be opened: {line_of(error)}") from error
        try:
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({_KEY})")
        except sa.exc.DatabaseError as error:
            holder = _holder(connection)
            connection.close()
            if getattr(error.orig, "sqlstate", "") != "55P03":  # lock_not_available
                raise StoreError(f"{self._address}: no lock: {line_of(error)}") from error
            raise AlreadyLed(
                f"another Parkade server already works on {self._address}: {holder}. Two servers"
                " would run the same work twice; stop that one first, or use another database"
            ) from None
        self._connection = connection

    def is_held(self) -> bool:
        """One query through the connection of the lock: where it fails, the lock is gone."""
        if self._connection is None:
            return False
        try:
            self._connection.exec_driver_sql("SELECT 1")
        except sa.exc.DBAPIError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """See `ports.Leadership`; nothing happens where it is not held."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _name() -> str:
    """What PostgreSQL shows of this session: at most 63 bytes."""
    host = socket.gethostname().encode("ascii", "replace").decode()
    return f"parkade process {os.getpid()} on {host}"[:63]


def _holder(connection: sa.Connection) -> str:
    """The holder of the lock, as far as this database's role may see it."""
    found = connection.execute(_HOLDER, {"class": _CLASS}).first()
    if found is None:
        return "it has just ended, start again"
    at = f" from {found.client_addr}" if found.client_addr else ""
    return f"{found.application_name or 'a session'}{at} (PostgreSQL's session {found.pid})"
