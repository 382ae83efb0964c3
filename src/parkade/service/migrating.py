"""Moves a journal from its file into a database, and looks whether this program can go on with one.

A move needs the server stopped. It loses nothing: the copy is read whole in its new place, and its
last entry must have the digest that the file's has, which covers every entry before it. Only then
is the file set aside, so that no start goes on with it by mistake.
"""

import contextlib
import tempfile
from pathlib import Path

import msgspec
from msgspec.structs import replace

from parkade.control.rules import RULES
from parkade.control.whole import WholeJournal, check_whole
from parkade.messages.queue_file import waiting_in
from parkade.ports import JournalEntry, Store, StoreError
from parkade.service.backups import copy_file, move_aside
from parkade.service.damage import damage_told
from parkade.service.settings import ServiceSettings
from parkade.service.telling import OUTBOX
from parkade.service.wiring import file_journal, file_leadership, head_path, whole_leadership
from parkade.store import open_postgresql, open_sqlite, open_sqlite_read_only, schema_of_file
from parkade.store.head import Head, HeadFile


class Migrated(msgspec.Struct, frozen=True, kw_only=True):
    """The whole journal is in the database; the file of before is in `aside`. `waiting`: messages
    in the folder that are not heard yet; the server's next start takes them into the database."""

    whole: WholeJournal
    waiting: int
    digest: str
    aside: Path


class Upgrade(msgspec.Struct, frozen=True, kw_only=True):
    """What a start of this program would do: bring the tables from one number to another, and go on
    where the journal ends."""

    from_schema: int
    to_schema: int
    whole: WholeJournal
    digest: str


def migrate(settings: ServiceSettings, database: str) -> Migrated:
    """Moves the data folder's journal into a database that holds none yet. AlreadyLed while a
    server runs on either; StoreError where the copy differs, and the file stays in place then."""
    if settings.database:
        raise StoreError(
            "the settings name a database already (PARKADE_SERVER_DATABASE); only a journal in a"
            " file is moved"
        )
    source = file_journal(settings.data_folder)
    to = replace(settings, database=database)
    open_sqlite_read_only(source).close()  # Before a lock is made beside what is not there.
    leadership = whole_leadership(to, file_leadership)
    leadership.acquire()
    try:
        with damage_told(), contextlib.closing(open_sqlite_read_only(source)) as store:
            before, last = check_whole(store, RULES), _last(store)
            move_aside(head_path(to).with_suffix(""))  # Of a database that was tried before.
            with contextlib.closing(open_postgresql(database, head=head_path(to))) as target:
                store.copy_to(target)
                after, moved = check_whole(target, RULES), _last(target)
        if (after, moved.digest) != (before, last.digest):
            raise StoreError(
                f"the copy in {database} is not the journal: entry {last.sequence} has the digest"
                f" {last.digest[:12]}, its copy {moved.digest[:12]}. The file was not touched; try"
                " again with a new database"
            )
        head = HeadFile(head_path(to))
        head.write(Head(sequence=last.sequence, digest=last.digest))
        head.close()
        aside = move_aside(source)
        assert aside is not None, "the file was there"
    finally:
        leadership.release()
    waiting = waiting_in(settings.data_folder / OUTBOX)
    return Migrated(whole=after, waiting=waiting, digest=last.digest, aside=aside)


def look_ahead(place: Path) -> Upgrade:
    """Reads a copy of a journal as this program would after a start, and changes nothing; also
    while a server of an earlier version writes to it. `place`: a data folder, or a backup.
    StoreError where this program cannot go on with it."""
    source = file_journal(place) if place.is_dir() else place
    if not source.is_file():
        raise StoreError(
            f"{source} is not there: name a server's data folder (--data-folder), or a backup"
        )
    from_schema = schema_of_file(source)
    with tempfile.TemporaryDirectory(prefix=".parkade-upgrade-", dir=source.parent) as folder:
        copy = Path(folder) / "journal.sqlite3"
        copy_file(source, copy)
        with damage_told(), contextlib.closing(open_sqlite(copy)) as store:
            whole, last = check_whole(store, RULES), _last(store)
        to_schema = schema_of_file(copy)
    return Upgrade(from_schema=from_schema, to_schema=to_schema, whole=whole, digest=last.digest)


def _last(store: Store) -> JournalEntry:
    last = store.last_sequence()
    found = store.entries(after=last - 1, limit=1)
    if not found:
        raise StoreError("the journal is empty: no server has run on it")
    return found[0]
