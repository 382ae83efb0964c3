"""`parkade admin archive` as an operator runs it, on both kinds of database."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from parkade.control.cycle import Asked, Cycle
from parkade.control.recover import recover
from parkade.control.rules import RULES
from parkade.core.state.commands import CreateOrg
from parkade.core.units.time import DAY_US
from parkade.ports import AlreadyLed, StoreError
from parkade.service import archiving
from parkade.service.backups import put_back, take_backup
from parkade.service.journal import check_database
from parkade.service.journal_place import file_leadership, journal_path, open_store, open_to_read
from parkade.service.migrating import migrate
from parkade.service.settings import ServiceSettings
from parkade.store import open_sqlite
from tests import builders
from tests.control.journals import keep_snapshot
from tests.store import postgres
from tests.waits import PATIENCE_S

PARKADE = [sys.executable, "-c", "from parkade.cli import main; main()"]
FIRST_US = 1_000 * DAY_US
BEFORE_US = FIRST_US + DAY_US
ORGS = 2_100


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two segments' worth of entries of 27 September 1972, and a snapshot at the end."""
    path = journal_path(tmp_path / "data")
    with contextlib.closing(open_sqlite(path)) as store:
        cycle = Cycle(recover(store, RULES), store, RULES, check_every=0)
        cycle.open(builders.open_epoch(), FIRST_US)
        names = [f"org-{number}" for number in range(ORGS)]
        cycle.take_commands(FIRST_US, [Asked(command=CreateOrg(by=None, org=it)) for it in names])
    keep_snapshot(path)
    return path.parent


def settings_of(data: Path, database: str = "") -> ServiceSettings:
    return ServiceSettings(data_folder=data, database=database)


def digests(settings: ServiceSettings) -> list[str]:
    with contextlib.closing(open_store(settings)) as store:
        return [it.digest for it in store.entries(after=0, limit=10 * ORGS)]


def run(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PARKADE, "admin", "archive", "--data-folder", str(data), *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.system
def test_what_is_told_before_is_what_is_done_and_the_file_gets_smaller(data: Path) -> None:
    before = digests(settings_of(data))
    would = run(data, "--before", "1972-09-28", "--dry-run").stdout
    assert would.startswith(f"{data}: 2 segments of 2000 entries until 1972-09-27 00:00 UTC would")
    assert digests(settings_of(data)) == before
    done = run(data, "--before", "1972-09-28", "--vacuum")
    assert done.stdout.splitlines()[0] == would.strip().replace("would hold", "hold"), done.stderr
    assert done.stdout.splitlines()[1].startswith("The file has ")
    assert "no segment to fold" in run(data).stdout
    assert digests(settings_of(data)) == before


@pytest.mark.system
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--before", "soon"), "--before"),
        (("--dry-run", "--vacuum"), "leave one out"),
    ],
)
def test_what_makes_no_sense_is_refused(data: Path, words: tuple[str, ...], told: str) -> None:
    done = run(data, *words)
    assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr


@pytest.mark.system
def test_a_server_folds_what_is_old_and_another_time_lets_it_be(data: Path) -> None:
    before = digests(settings_of(data))
    command = [*PARKADE, "up", "--data-folder", str(data), "--port", "0"]
    command += ["--token-file", str(data / "token"), "--log-format", "json"]
    for after, is_folded in (("off", False), ("90d", True)):
        environment = os.environ | {"PARKADE_SERVER_ARCHIVE_AFTER": after}
        server = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        awaited = "journal_archived" if is_folded else "journal_scrubbed"
        assert server.stdout is not None
        assert any(awaited in line for line in server.stdout)
        server.terminate()
        server.communicate(timeout=PATIENCE_S)
        with contextlib.closing(open_to_read(settings_of(data))) as store:
            left = [it.last for it in store.foldable(before_us=BEFORE_US)]
        assert left == ([] if is_folded else [1_000, 2_000])
        assert digests(settings_of(data))[: len(before)] == before


def test_vacuum_gives_room_back(data: Path) -> None:
    found = archiving.archive(settings_of(data), before_us=BEFORE_US)
    assert found.row_bytes > 5 * found.bytes
    sizes = archiving.vacuum(settings_of(data))
    assert sizes.before - sizes.after > found.row_bytes / 2
    assert sizes.after == journal_path(data).stat().st_size
    assert check_database(settings_of(data)).entries == ORGS + 1


def test_nothing_is_folded_beside_a_server_but_it_can_be_looked_at(data: Path) -> None:
    running = file_leadership(data / "writer.lock")
    running.acquire()
    for act in (archiving.vacuum, lambda it: archiving.archive(it, before_us=BEFORE_US)):
        with pytest.raises(AlreadyLed):
            act(settings_of(data))
    assert archiving.would_archive(settings_of(data), before_us=BEFORE_US).segments == 2
    running.release()


def test_an_archived_journal_is_backed_up_restored_and_moved(data: Path, tmp_path: Path) -> None:
    if not postgres.IS_THERE:
        pytest.skip("PostgreSQL or psycopg is not installed")
    settings = settings_of(data)
    before, whole = digests(settings), check_database(settings)
    with contextlib.closing(open_store(settings)) as store:
        assert store.fold(before_us=BEFORE_US) is not None
    backup = tmp_path / "monday.sqlite3"
    assert take_backup(settings, backup) == whole
    put_back(backup, settings)
    assert digests(settings) == before
    with postgres.server() as server:
        address = postgres.new_database(server, "archived")
        migrate(settings, address)
        moved = settings_of(data, address)
        assert (digests(moved), check_database(moved)) == (before, whole)
        assert archiving.archive(moved, before_us=BEFORE_US).segments == 1
        assert (digests(moved), check_database(moved)) == (before, whole)
        with pytest.raises(StoreError, match="PostgreSQL uses the freed room"):
            archiving.vacuum(moved)
        again = tmp_path / "tuesday.sqlite3"
        assert take_backup(moved, again) == whole
    fresh = settings_of(tmp_path / "fresh")
    fresh.data_folder.mkdir()
    put_back(again, fresh)
    assert (digests(fresh), check_database(fresh)) == (before, whole)
    assert archiving.would_archive(fresh, before_us=BEFORE_US).segments == 0
