"""A journal moves from its file into a database whole, or stays; an upgrade is looked at first."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parkade.control.cycle import Asked, Cycle
from parkade.control.recover import recover
from parkade.control.rules import RULES
from parkade.core.state.commands import CreateOrg
from parkade.messages.queue import Message, MessageQueue
from parkade.messages.queue_file import queue_file
from parkade.ports import AlreadyLed, StoreError
from parkade.service.backups import put_back, take_backup
from parkade.service.journal import check_database
from parkade.service.journal_place import file_leadership, journal_path, open_store, open_to_read
from parkade.service.migrating import look_ahead, migrate
from parkade.service.settings import ServiceSettings
from parkade.service.telling import OUTBOX
from parkade.store import open_sqlite, postgresql_engine, schema_of_file
from tests import builders
from tests.control.journals import a_journal, keep_snapshot
from tests.messages.test_queue import Receiver
from tests.store import postgres


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = a_journal(journal_path(tmp_path / "data"))
    keep_snapshot(path)
    return path.parent


@pytest.fixture
def database() -> Iterator[str]:
    if not postgres.IS_THERE:
        pytest.skip("no PostgreSQL")
    with postgres.server() as address:
        yield postgres.new_database(address, "parkade")


def digest_of(folder: Path) -> str:
    with contextlib.closing(open_sqlite(journal_path(folder))) as store:
        return store.entries(after=store.last_sequence() - 1, limit=1)[0].digest


def test_a_journal_in_a_database_goes_on_where_its_file_ended(data: Path, database: str) -> None:
    digest = digest_of(data)
    done = migrate(ServiceSettings(data_folder=data), database)
    assert done.digest == digest and not journal_path(data).exists()
    assert (done.aside / journal_path(data).name).is_file()
    moved = ServiceSettings(data_folder=data, database=database)
    assert check_database(moved) == done.whole
    with contextlib.closing(open_store(moved)) as store:
        cycle = Cycle(recover(store, RULES), store, RULES, check_every=1)
        cycle.open(builders.open_epoch(), cycle.world.records.now_us + 1)
        asked = Asked(command=CreateOrg(by=None, org="later"))
        cycle.take_commands(cycle.world.records.now_us + 1, [asked])
    assert check_database(moved).entries > done.whole.entries


def test_messages_that_wait_are_counted_and_the_next_start_has_them(
    data: Path, database: str
) -> None:
    waits = MessageQueue(queue_file(data / OUTBOX), {"mail/ops": Receiver()})
    waits.put(Message(name="m1", kind="incident", subject="s", body={}, at_us=1))
    waits.close()
    assert migrate(ServiceSettings(data_folder=data), database).waiting == 1
    queue = MessageQueue(postgresql_engine(database), {})
    queue.adopt(data / OUTBOX)
    assert queue.waiting() == 1
    queue.close()


def test_nothing_is_moved_into_a_database_that_holds_a_journal(data: Path, database: str) -> None:
    other = a_journal(journal_path(data.parent / "other")).parent
    migrate(ServiceSettings(data_folder=other), database)
    with pytest.raises(StoreError, match="is not empty"):
        migrate(ServiceSettings(data_folder=data), database)
    assert journal_path(data).is_file()


def test_nothing_is_moved_while_a_server_runs_on_the_file(data: Path, database: str) -> None:
    leadership = file_leadership(data / "writer.lock")
    leadership.acquire()
    try:
        with pytest.raises(AlreadyLed):
            migrate(ServiceSettings(data_folder=data), database)
    finally:
        leadership.release()
    assert journal_path(data).is_file()


def test_a_damaged_journal_stays_where_it_is(data: Path, database: str) -> None:
    with contextlib.closing(sqlite3.connect(journal_path(data))) as connection:
        connection.execute("UPDATE transfers SET micros = micros + 1")
        connection.commit()
    with pytest.raises(StoreError):
        migrate(ServiceSettings(data_folder=data), database)
    assert journal_path(data).is_file()


@pytest.mark.parametrize(
    "without_database",
    [open_store, open_to_read, lambda it: take_backup(it, it.data_folder / "backup")],
    ids=["up", "read", "backup"],
)
def test_a_folder_whose_journal_is_in_a_database_is_served_from_no_file(
    data: Path, database: str, without_database: Callable[[ServiceSettings], object]
) -> None:
    migrate(ServiceSettings(data_folder=data), database)
    with pytest.raises(StoreError, match=r"in a PostgreSQL database: name it with --database"):
        without_database(ServiceSettings(data_folder=data))
    assert not journal_path(data).exists()


def test_a_backup_is_put_back_beside_no_journal_in_a_database(data: Path, database: str) -> None:
    settings = ServiceSettings(data_folder=data)
    backup = data.parent / "backup"
    take_backup(settings, backup)
    migrate(settings, database)
    with pytest.raises(StoreError, match=r"postgresql\.head away first"):
        put_back(backup, settings)
    assert not journal_path(data).exists()
    (data / "postgresql.head").unlink()
    put_back(backup, settings)
    assert journal_path(data).is_file()


def test_a_look_ahead_reads_all_and_changes_nothing(data: Path) -> None:
    digest = digest_of(data)
    before = journal_path(data).read_bytes()
    found = look_ahead(data)
    assert found.digest == digest and found.from_schema == found.to_schema
    assert journal_path(data).read_bytes() == before
    assert not list(data.glob(".parkade-upgrade-*"))


def test_a_look_ahead_says_which_tables_a_start_would_change(data: Path) -> None:
    newest = schema_of_file(journal_path(data))
    with contextlib.closing(sqlite3.connect(journal_path(data))) as connection:
        connection.execute("DROP TABLE segments")
        connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", [str(newest - 1)])
        connection.commit()
    found = look_ahead(data)
    assert (found.from_schema, found.to_schema) == (newest - 1, newest)
    assert schema_of_file(journal_path(data)) == newest - 1, "the journal itself is as it was"


def test_a_journal_of_a_newer_program_is_refused(data: Path) -> None:
    with contextlib.closing(sqlite3.connect(journal_path(data))) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE name = 'schema'")
        connection.commit()
    with pytest.raises(StoreError, match="newer Parkade"):
        look_ahead(data)
