"""What an operator accepts holds for the journal that was looked at, and for no other."""

import contextlib
from pathlib import Path

import msgspec
import pytest

from parkade.agent import memory
from parkade.ports import AlreadyLed, Obeyed, StoreError
from parkade.service.backups import put_back, take_backup
from parkade.service.foreign import accept, look, stopped
from parkade.service.journal_place import MARK, accepted, file_leadership, journal_path
from parkade.service.settings import ServiceSettings
from parkade.store import open_sqlite
from tests.control.journals import a_journal


@pytest.fixture
def settings(tmp_path: Path) -> ServiceSettings:
    return ServiceSettings(data_folder=a_journal(journal_path(tmp_path / "data")).parent)


def agent_refuses(settings: ServiceSettings) -> None:
    """An agent of this machine has obeyed an entry that no journal of the test has."""
    folder = settings.data_folder / "pools" / "box" / "agent"
    folder.mkdir(parents=True)
    kept = memory.Memory(last=(7, 1), obeyed=Obeyed(epoch=7, position=900, digest="lost"))
    (folder / memory.FILE).write_bytes(msgspec.json.encode(kept))


def accepted_by_a_start(settings: ServiceSettings) -> int | None:
    with contextlib.closing(open_sqlite(journal_path(settings.data_folder))) as store:
        return accepted(store, settings.data_folder)


def looked_and_accepted(settings: ServiceSettings) -> None:
    with stopped(settings):
        accept(settings, look(settings))


def test_an_acceptance_holds_for_the_journal_that_was_looked_at(
    settings: ServiceSettings,
) -> None:
    agent_refuses(settings)
    assert accepted_by_a_start(settings) is None
    looked_and_accepted(settings)
    assert accepted_by_a_start(settings) == 8
    a_journal(journal_path(settings.data_folder), org="later")
    assert accepted_by_a_start(settings) is None


def test_an_acceptance_of_before_says_nothing_about_a_later_restore(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    agent_refuses(settings)
    backup = tmp_path / "monday.sqlite3"
    take_backup(settings, backup)
    looked_and_accepted(settings)
    put_back(backup, settings)
    assert not (settings.data_folder / MARK).exists()
    # A mark of an earlier program names no journal.
    (settings.data_folder / MARK).write_text("8\n")
    assert accepted_by_a_start(settings) is None


def test_nothing_is_accepted_where_nothing_refuses(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="nothing refuses"):
        looked_and_accepted(settings)
    assert not (settings.data_folder / MARK).exists()
    # Agents on other machines are not seen from here, and may refuse what was put back.
    backup = tmp_path / "monday.sqlite3"
    take_backup(settings, backup)
    put_back(backup, settings)
    looked_and_accepted(settings)
    assert accepted_by_a_start(settings) == 1


def test_nothing_is_accepted_under_a_server_that_runs(settings: ServiceSettings) -> None:
    agent_refuses(settings)
    running = file_leadership(settings.data_folder / "writer.lock")
    running.acquire()
    with pytest.raises(AlreadyLed):
        looked_and_accepted(settings)
    running.release()
    assert not (settings.data_folder / MARK).exists()
