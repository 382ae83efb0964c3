"""The lock of a journal in PostgreSQL: one session holds it as long as its connection lives.

The data folder's own lock tells nothing to a server with another data folder. This one lies in the
database: a session-level advisory lock, on a connection that does nothing else. PostgreSQL gives it
back when the connection ends, and a server that can no longer ask through that connection must
stop. A pooler that shares sessions (PgBouncer's transaction mode) keeps no such lock.

The holder asks through that connection each second: its *beat*. PostgreSQL notes when a session was
last asked anything, by its own clock, so a standby sees a holder whose beat has stopped, as that of
a process that was stopped or a machine that hangs, and may end the holder's sessions. What the
holder had begun to write is undone then, and what it still tries is refused by the journal's terms
(`terms.py`).
"""

import threading
from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from parkade.ports import AlreadyLed, StoreError
from parkade.store.driver_error import line_of
from parkade.store.postgresql import (
    ALIVE,
    CONNECT_TIMEOUT_S,
    SERVER_ALIVE,
    SESSIONS,
    session_name,
    url_of,
)

# "prkd"; with the schema's hash it names the lock among all advisory locks of a database.
_CLASS = 0x70726B64
_KEY = f"{_CLASS}, hashtext(coalesce(current_schema(), ''))"
# PostgreSQL needs a moment to see that a killed server is gone.
_WAIT_MS = 3_000
BEAT_S = 1.0
# A question through the lock's connection that is not answered for so long is no answer.
SILENT_S = 8.0
_HOLDER = sa.text(
    "SELECT a.pid, a.application_name, a.client_addr,"
    " extract(epoch FROM clock_timestamp() - a.state_change)"
    " FROM pg_locks l JOIN pg_stat_activity a"
    " USING (pid) WHERE l.locktype = 'advisory' AND l.granted AND l.classid = :class"
    " AND l.objid = (hashtext(coalesce(current_schema(), ''))::bigint & 4294967295)::oid"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_SESSIONS_OF = sa.text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name"
    " AND datname = current_database() AND pid <> pg_backend_pid()"
)


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The holder of the lock. `session` names all its sessions. `silent_s`: how long ago it was
    last heard, None where PostgreSQL does not tell this role."""

    pid: int
    session: str
    place: str | None
    silent_s: float | None

    @property
    def is_ours(self) -> bool:
        """Whether it is a process of this program, and not another that took the same lock."""
        return self.session.startswith(SESSIONS)

    def __str__(self) -> str:
        at = f" from {self.place}" if self.place else ""
        return f"{self.session or 'a session'}{at} (PostgreSQL's session {self.pid})"


class PostgresqlLeadership:
    """Implements `ports.Leadership` for servers that write to the same database.

    `on_lost` is called once, from a thread of its own, when the lock was lost: the process may be
    in the middle of something that no longer ends.
    """

    def __init__(self, address: str, *, on_lost: Callable[[], None] | None = None) -> None:
        self._address = address
        self._on_lost = on_lost
        self._connection: sa.Connection | None = None
        self._asking = threading.Lock()
        self._released = threading.Event()

    def acquire(self) -> None:
        """See `ports.Leadership`; StoreError where the database cannot be asked."""
        assert self._connection is None, "it is taken once"
        connection = connect(self._address, lock_timeout_ms=_WAIT_MS)
        try:
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({_KEY})")
        except sa.exc.DatabaseError as error:
            found = holder(connection)
            connection.close()
            if getattr(error.orig, "sqlstate", "") != "55P03":  # lock_not_available
                raise StoreError(f"{self._address}: no lock: {line_of(error)}") from error
            by = "it has just ended, start again" if found is None else str(found)
            raise AlreadyLed(
                f"another Parkade server already works on {self._address}: {by}. Two servers"
                " would run the same work twice; stop that one first, use another database, or"
                " start this one with --standby"
            ) from None
        self._connection = connection
        self._released.clear()
        threading.Thread(target=self._beat, name="parkade-lock", daemon=True).start()

    def is_held(self) -> bool:
        """One query through the connection of the lock: where it fails, the lock is gone. False,
        too, where an earlier query is not answered."""
        if not self._asking.acquire(timeout=SILENT_S):
            return False
        try:
            if self._connection is None:
                return False
            self._connection.exec_driver_sql("SELECT 1")
        except sa.exc.DBAPIError:
            self._drop()
            return False
        finally:
            self._asking.release()
        return True

    def release(self) -> None:
        """See `ports.Leadership`; nothing happens where it is not held."""
        self._released.set()
        is_asked = not self._asking.acquire(timeout=BEAT_S)
        try:
            self._drop()
        finally:
            if not is_asked:
                self._asking.release()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _beat(self) -> None:
        while not self._released.wait(BEAT_S):
            if not self.is_held():
                if not self._released.is_set() and self._on_lost is not None:
                    self._on_lost()
                return


class LockWatch:
    """What a standby sees of the lock, and can do about a holder that hangs."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: sa.Connection | None = None

    def holder(self) -> Holder | None:
        """The holder of the lock; None: it is free. StoreError where PostgreSQL does not answer."""
        found: Holder | None = self._ask(holder)
        return found

    def end(self, found: Holder) -> None:
        """Ends all sessions of a holder, which undoes what they have not committed."""
        assert found.is_ours, "another program is left alone"
        self._ask(lambda it: it.execute(_SESSIONS_OF, {"name": found.session}).all())

    def close(self) -> None:
        """Lets go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, question: Callable[[sa.Connection], Any]) -> Any:
        try:
            if self._connection is None:
                self._connection = connect(self._address)
            return question(self._connection)
        except sa.exc.DatabaseError as error:
            self.close()
            raise StoreError(f"{self._address} does not answer: {line_of(error)}") from error


def connect(address: str, *, lock_timeout_ms: int = 0) -> sa.Connection:
    """A connection of its own, each statement a transaction. StoreError."""
    engine = sa.create_engine(
        url_of(address),
        isolation_level="AUTOCOMMIT",
        poolclass=sa.pool.NullPool,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": session_name(),
            "options": f"-c lock_timeout={lock_timeout_ms} {SERVER_ALIVE}",
            **ALIVE,
        },
    )
    try:
        return engine.connect()
    except sa.exc.DatabaseError as error:
        raise StoreError(f"{address} could not be opened: {line_of(error)}") from error


def holder(connection: sa.Connection) -> Holder | None:
    """The holder of the lock, as far as this database's role may see it."""
    found = connection.execute(_HOLDER, {"class": _CLASS}).first()
    if found is None:
        return None
    pid, session, place, silent_s = found
    return Holder(
        pid=pid,
        session=session or "",
        place=None if place is None else str(place),
        silent_s=None if silent_s is None else float(silent_s),
    )
