"""Folds the old part of a journal by hand, or says what that would save.

To look changes nothing and stops no server. To fold wants the server stopped, as every writer is
alone; a running one folds by itself.
"""

import contextlib
import sqlite3
from collections.abc import Iterable

import msgspec

from parkade.ports import Segment, StoreError
from parkade.service.damage import damage_told
from parkade.service.foreign import stopped
from parkade.service.journal_place import file_journal, open_store, open_to_read
from parkade.service.settings import ServiceSettings


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """What was folded, or would be. `until_us`: the time of its last entry, None where there is
    nothing. `row_bytes`: what the entries hold as rows; `bytes`: what the segments hold."""

    segments: int = 0
    entries: int = 0
    until_us: int | None = None
    row_bytes: int = 0
    bytes: int = 0


class Vacuumed(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of the journal's file."""

    before: int
    after: int


def would_archive(settings: ServiceSettings, *, before_us: int) -> Archived:
    """Packs what is old and throws it away. StoreError where it is not what was written."""
    with damage_told(), contextlib.closing(open_to_read(settings)) as store:
        return _added(store.foldable(before_us=before_us))


def archive(settings: ServiceSettings, *, before_us: int) -> Archived:
    """Folds what is old. AlreadyLed while a server runs; StoreError where the entries are not what
    was written: what is folded by then stays folded."""
    with (
        stopped(settings),
        damage_told(),
        contextlib.closing(open_store(settings)) as store,
    ):
        store.begin_term("")
        return _added(iter(lambda: store.fold(before_us=before_us), None))


def vacuum(settings: ServiceSettings) -> Vacuumed:
    """Gives the room that was freed back to the file system. AlreadyLed while a server runs;
    StoreError in PostgreSQL, or without as much free room as the file's content has."""
    if settings.database:
        raise StoreError(
            "--vacuum is for a journal in a file. PostgreSQL uses the freed room again by itself;"
            " `VACUUM FULL journal` in psql gives it back, with the server stopped"
        )
    path = file_journal(settings.data_folder)
    with stopped(settings):
        before = path.stat().st_size
        try:
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise StoreError(
                f"{path} could not be made smaller ({error}): it is as it was. VACUUM copies it"
                " once, so make room on its disk"
            ) from error
        return Vacuumed(before=before, after=path.stat().st_size)


def _added(segments: Iterable[Segment | None]) -> Archived:
    found = Archived()
    for it in segments:
        assert it is not None, "None is the end"
        found = Archived(
            segments=found.segments + 1,
            entries=found.entries + it.entries,
            until_us=it.last_at_us,
            row_bytes=found.row_bytes + it.row_bytes,
            bytes=found.bytes + it.bytes,
        )
    return found
