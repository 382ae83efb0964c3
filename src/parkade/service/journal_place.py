"""Where a journal lies, how it is opened and how it is locked: for servers, and for what reads or
changes a journal without one. Light to import: no API, no console."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from parkade.control.leadership import FileLeadership, JointLeadership
from parkade.control.writer import LeadershipLost
from parkade.ports import Leadership, Store, StoreError
from parkade.service.settings import ServiceSettings
from parkade.store import (
    PostgresqlLeadership,
    SqlStore,
    open_postgresql,
    open_sqlite,
    open_sqlite_read_only,
)

_log = structlog.get_logger(__name__)

# Written by `foreign.accept`, and gone once the epoch is opened, or a backup is put back.
MARK = "accept-agents"
# There from when a backup is put back until agents are accepted.
RESTORED = "restored"
# There where the folder's journal is in a database.
DATABASE_HEAD = "postgresql.head"


def journal_path(data_folder: Path) -> Path:
    """The journal's file in a data folder."""
    return data_folder / "parkade.sqlite3"


def file_journal(data_folder: Path) -> Path:
    """The same, of a folder whose journal is in that file. StoreError where it is in a database:
    what a server wrote to the file would be a second journal, which no agent obeys."""
    head = data_folder / DATABASE_HEAD
    if head.exists():
        raise StoreError(
            f"the journal of {data_folder} is in a PostgreSQL database: name it with --database, or"
            " PARKADE_SERVER_DATABASE. Only where that database is gone for good, and a backup in"
            f" a file is to take its place: move {head} away first"
        )
    return journal_path(data_folder)


def open_store(
    settings: ServiceSettings, *, crash_point: Callable[[str], None] | None = None
) -> SqlStore:
    """The journal's store, made where it is missing. StoreError where it is not what it was."""
    crash_point = crash_point or nothing
    if not settings.database:
        return open_sqlite(file_journal(settings.data_folder), crash_point=crash_point)
    head = head_path(settings)
    return open_postgresql(settings.database, head=head, crash_point=crash_point)


def open_to_read(settings: ServiceSettings) -> SqlStore:
    """The journal's store, also while a server writes to it. Nothing is changed."""
    if not settings.database:
        return open_sqlite_read_only(file_journal(settings.data_folder))
    return open_postgresql(settings.database, head=head_path(settings), is_read_only=True)


def head_path(settings: ServiceSettings) -> Path:
    """The journal's head file."""
    if settings.database:
        return settings.data_folder / DATABASE_HEAD
    path = journal_path(settings.data_folder)
    return path.with_name(f"{path.name}.head")


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """The mark: agents obey the next epoch, of at least number `least`, of the journal that ends
    with entry `sequence` of this digest. The digest covers every entry, so it names one journal."""

    version: int = 1
    least: int
    sequence: int
    digest: str


def end_of(store: Store) -> tuple[int, str]:
    """The journal's last sequence and digest; 0 and nothing where it is empty."""
    last = store.last_sequence()
    entries = store.entries(after=last - 1, limit=1) if last else ()
    return (last, entries[0].digest) if entries else (0, "")


def accepted(store: Store, data_folder: Path) -> int | None:
    """The least number of the epoch that accepts agents; None where no operator said so of this
    journal as it stands."""
    try:
        mark = msgspec.json.decode((data_folder / MARK).read_bytes(), type=Acceptance)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError):
        mark = None
    if mark is not None and (mark.sequence, mark.digest) == end_of(store):
        return mark.least
    _log.warning("acceptance_void", done="agents were accepted for another journal than this one")
    return None


def nothing(_name: str) -> None:
    """No test is watching."""


def file_leadership(path: Path) -> Leadership:
    """A lock on a file of this machine."""
    return FileLeadership(path, holder="Parkade server")


def whole_leadership(
    settings: ServiceSettings,
    make_leadership: Callable[[Path], Leadership],
    on_fatal: Callable[[BaseException], None] | None = None,
) -> Leadership:
    """All that the only server of a journal holds: the data folder's lock, and the database's.
    `on_fatal` hears that the database's was lost."""
    of_folder = make_leadership(settings.data_folder / "writer.lock")
    if not settings.database:
        return of_folder
    return JointLeadership((of_folder, database_leadership(settings, on_fatal)))


def database_leadership(
    settings: ServiceSettings, on_fatal: Callable[[BaseException], None] | None
) -> PostgresqlLeadership:
    """The database's lock alone."""

    def lost() -> None:
        if on_fatal is not None:
            on_fatal(LeadershipLost("the journal's lock is gone: another server may write"))

    return PostgresqlLeadership(settings.database, on_lost=lost)
