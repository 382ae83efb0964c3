"""Copies of a journal: taken while a server writes, checked before they count, put back.

A backup is one SQLite file that holds the whole journal, also one that was in PostgreSQL. Taking
one changes nothing and stops no server. Putting one back needs the server stopped, moves the
present journal aside instead of dropping it, and tells what the backup lacks.
"""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import msgspec

from parkade.control.rules import RULES
from parkade.control.whole import WholeJournal, check_whole
from parkade.ports import JournalEntry, StoreError
from parkade.service.damage import damage_told
from parkade.service.folders import write_owner_only
from parkade.service.settings import ServiceSettings
from parkade.service.wiring import (
    MARK,
    RESTORED,
    file_journal,
    file_leadership,
    head_path,
    journal_path,
    whole_leadership,
)
from parkade.service.withdrawn import Withdrawn, withdrawn_after
from parkade.store import open_postgresql, open_sqlite, open_sqlite_read_only
from parkade.store.head import Head, HeadFile

_BESIDE = ("", "-wal", "-shm", ".head")


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """`backup` was put back; `aside` is where the journal of before is, and `lost` how many of its
    entries the backup lacks: None where there was none, or it cannot be read. `withdrawn`: what it
    refused that the backup lets in again; None where that is not known."""

    backup: WholeJournal
    aside: Path | None
    lost: int | None
    withdrawn: Withdrawn | None


def take_backup(settings: ServiceSettings, to: Path) -> WholeJournal:
    """A new file with all that is committed now. StoreError where it is there already, or where the
    copy is not a whole journal; nothing is left behind then."""
    if to.exists():
        raise StoreError(f"{to} is there already and is not overwritten; name another file")
    beside = to.with_name(f".{to.name}.part")
    beside.unlink(missing_ok=True)
    os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        if settings.database:
            _copy_database(settings, beside)
        else:
            copy_file(file_journal(settings.data_folder), beside)
        with damage_told(), contextlib.closing(open_sqlite_read_only(beside)) as store:
            found = check_whole(store, RULES)
        _sync(beside)
        os.link(beside, to)
    except FileExistsError as error:
        raise StoreError(f"{to} is there already; name another file") from error
    finally:
        beside.unlink(missing_ok=True)
    _sync(to.parent)
    return found


def put_back(backup: Path, settings: ServiceSettings) -> Restored:
    """Makes the backup the server's journal. AlreadyLed while a server runs there; StoreError where
    the backup is not whole, and nothing is changed then. A database must hold no journal yet."""
    folder = settings.data_folder
    if not settings.database:
        file_journal(folder)
    # Before the lock: a backup that is refused makes no folder.
    with damage_told(), contextlib.closing(open_sqlite_read_only(backup)) as store:
        whole = check_whole(store, RULES)
        last = store.entries(after=whole.entries - 1, limit=1)[0]
    leadership = whole_leadership(settings, file_leadership)
    leadership.acquire()
    try:
        (folder / MARK).unlink(missing_ok=True)
        write_owner_only(folder / RESTORED, str(last.sequence))
        fill = _fill_database if settings.database else _fill_folder
        aside, lost, withdrawn = fill(settings, backup, last)
        head = HeadFile(head_path(settings))
        head.write(Head(sequence=last.sequence, digest=last.digest))
        head.close()
        _sync(folder)
    finally:
        leadership.release()
    return Restored(backup=whole, aside=aside, lost=lost, withdrawn=withdrawn)


def _fill_folder(
    settings: ServiceSettings, backup: Path, last: JournalEntry
) -> tuple[Path | None, int | None, Withdrawn | None]:
    target = journal_path(settings.data_folder)
    fresh = target.with_name(f".{target.name}.restoring")
    fresh.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    copy_file(backup, fresh)
    _sync(fresh)
    lost, withdrawn = _lost(target, last)
    aside = move_aside(target)
    fresh.rename(target)
    return aside, lost, withdrawn


def _fill_database(
    settings: ServiceSettings, backup: Path, _last: JournalEntry
) -> tuple[Path | None, int | None, Withdrawn | None]:
    aside = move_aside(head_path(settings).with_suffix(""))
    with (
        contextlib.closing(open_sqlite_read_only(backup)) as source,
        contextlib.closing(open_postgresql(settings.database, head=head_path(settings))) as target,
    ):
        source.copy_to(target)
    return aside, None, None


def _copy_database(settings: ServiceSettings, to: Path) -> None:
    head = head_path(settings)
    with (
        contextlib.closing(
            open_postgresql(settings.database, head=head, is_read_only=True)
        ) as source,
        contextlib.closing(open_sqlite(to)) as target,
    ):
        source.copy_to(target)
    with contextlib.closing(sqlite3.connect(to)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


def _lost(target: Path, last: JournalEntry) -> tuple[int | None, Withdrawn | None]:
    """(how many entries of the present journal the backup lacks, what they refuse); each None where
    the journal does not tell."""
    if not target.is_file():
        return None, None
    lost = None
    try:
        with damage_told(), contextlib.closing(open_sqlite_read_only(target)) as store:
            lost = max(0, store.last_sequence() - last.sequence)
            return lost, withdrawn_after(store, last)
    except StoreError:
        return lost, None


def move_aside(target: Path) -> Path | None:
    """Moves a journal's file and what belongs to it into a new folder beside it, which is returned;
    None where there is none."""
    present = [target.with_name(target.name + ending) for ending in _BESIDE]
    present = [path for path in present if path.exists()]
    if not present:
        return None
    number = 1
    while (aside := target.with_name(f"replaced-{number}")).exists():
        number += 1
    aside.mkdir(mode=0o700)
    for path in present:
        path.rename(aside / path.name)
    return aside


def copy_file(source: Path, to: Path) -> None:
    """One consistent state, in a file that needs no other beside it."""
    if not source.is_file():
        raise StoreError(
            f"{source} is not there: name a server's data folder (--data-folder), or a backup"
        )
    if os.statvfs(source.parent).f_flag & os.ST_RDONLY:
        _copy_from_read_only(source, to)
    else:
        _copy_open(source, to)


def _copy_from_read_only(source: Path, to: Path) -> None:
    """From a file system that cannot be written, as after an error of the disk: SQLite cannot read
    a write-ahead log there, and no server writes one."""
    with tempfile.TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as name:
        try:
            for ending in ("", "-wal"):
                path = source.with_name(source.name + ending)
                if path.exists():
                    shutil.copyfile(path, Path(name) / path.name)
        except OSError as error:
            raise StoreError(f"{source} could not be copied: {error.strerror}") from error
        _copy_open(Path(name) / source.name, to)


def _copy_open(source: Path, to: Path) -> None:
    address = f"{source.absolute().as_uri()}?mode=ro"
    try:
        with (
            contextlib.closing(sqlite3.connect(address, uri=True)) as reading,
            contextlib.closing(sqlite3.connect(to)) as writing,
        ):
            reading.execute("PRAGMA busy_timeout=5000")
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise StoreError(f"{source} could not be copied to {to}: {error}") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
