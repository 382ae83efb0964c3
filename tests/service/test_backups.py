"""Backups are taken while a server writes, are checked, and are put back without a loss."""

import contextlib
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from parkade.control.cycle import Asked, Cycle
from parkade.control.recover import recover
from parkade.control.rules import RULES
from parkade.core.state import commands
from parkade.core.state.commands import CreateOrg
from parkade.core.units.refusal import Refusal
from parkade.ports import AlreadyLed, StoreError
from parkade.service.backups import put_back, take_backup
from parkade.service.journal import check_database
from parkade.service.journal_place import file_leadership, journal_path, open_store
from parkade.service.settings import ServiceSettings
from parkade.service.withdrawn import Withdrawn
from parkade.store import open_sqlite
from parkade.store.postgresql import shown
from tests import builders
from tests.control.journals import a_journal, keep_snapshot
from tests.store import postgres


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = a_journal(journal_path(tmp_path / "data"))
    keep_snapshot(path)
    return path.parent


def settings_of(data: Path, database: str = "") -> ServiceSettings:
    return ServiceSettings(data_folder=data, database=database)


def orgs(folder: Path) -> list[str]:
    with contextlib.closing(open_sqlite(journal_path(folder))) as store:
        return list(recover(store, RULES).world.records.orgs)


def test_a_backup_is_whole_while_a_writer_goes_on(data: Path, tmp_path: Path) -> None:
    is_over = threading.Event()
    written: list[str] = []

    def write() -> None:
        with contextlib.closing(open_sqlite(journal_path(data))) as store:
            cycle = Cycle(recover(store, RULES), store, RULES, check_every=0)
            cycle.open(builders.open_epoch(), cycle.world.records.now_us + 1)
            while not is_over.is_set():
                name = f"org-{len(written)}"
                cycle.take_commands(10**9, [Asked(command=CreateOrg(by=None, org=name))])
                written.append(name)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        files = [tmp_path / f"{number}.sqlite3" for number in range(5)]
        counts = [take_backup(settings_of(data), file).entries for file in files]
    finally:
        is_over.set()
        thread.join()
    assert counts == sorted(counts)
    put_back(tmp_path / "4.sqlite3", settings_of(data))
    kept = [name for name in orgs(data) if name.startswith("org-")]
    assert kept == written[: len(kept)]


def test_a_backup_is_taken_of_a_folder_that_cannot_be_written_any_more(
    data: Path, tmp_path: Path
) -> None:
    """As a disk becomes after an error: what was committed last is in the write-ahead log."""
    to = tmp_path / "rescued.sqlite3"
    command = f"{sys.executable} -m parkade.cli admin backup {to} --data-folder {data}"
    mounted = f"mount --bind {data} {data} && mount -o remount,ro,bind {data}"
    with contextlib.closing(open_sqlite(journal_path(data))) as store:
        cycle = Cycle(recover(store, RULES), store, RULES, check_every=0)
        cycle.open(builders.open_epoch(), cycle.world.records.now_us + 1)
        cycle.take_commands(10**9, [Asked(command=CreateOrg(by=None, org="last"))])
        assert journal_path(data).with_name("parkade.sqlite3-wal").stat().st_size
        done = subprocess.run(
            ["unshare", "--mount", "bash", "-c", f"{{ {mounted}; }} || exit 77; exec {command}"],
            capture_output=True,
            text=True,
        )
    if done.returncode == 77:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", to.name]
    put_back(to, settings_of(data))
    assert orgs(data)[-1] == "last"


def test_a_backup_overwrites_nothing_and_leaves_nothing_where_it_fails(
    data: Path, tmp_path: Path
) -> None:
    to = tmp_path / "b" / "monday.sqlite3"
    to.parent.mkdir()
    take_backup(settings_of(data), to)
    with pytest.raises(StoreError, match="is there already"):
        take_backup(settings_of(data), to)
    with sqlite3.connect(journal_path(data)) as connection:
        connection.execute("UPDATE journal SET at_us = at_us + 1 WHERE sequence = 3")
    connection.close()
    with pytest.raises(StoreError, match="entry 3 of the journal"):
        take_backup(settings_of(data), to.with_name("tuesday.sqlite3"))
    assert [path.name for path in to.parent.iterdir()] == ["monday.sqlite3"]
    assert to.stat().st_mode & 0o777 == 0o600


def test_what_is_replaced_is_kept_and_its_loss_is_counted(data: Path, tmp_path: Path) -> None:
    backup = tmp_path / "monday.sqlite3"
    take_backup(settings_of(data), backup)
    before = orgs(data)
    a_journal(journal_path(data), org="later")
    lost = orgs(data)
    done = put_back(backup, settings_of(data))
    assert orgs(data) == before != lost
    assert done.lost is not None and done.lost > 0 and done.aside is not None
    assert orgs(done.aside) == lost
    a_journal(journal_path(data), org="again")


def decided(data: Path, *asked: commands.AnyCommand) -> None:
    """A server decides these and stops."""
    with contextlib.closing(open_sqlite(journal_path(data))) as store:
        cycle = Cycle(recover(store, RULES), store, RULES, check_every=1)
        now_us = cycle.world.records.now_us + 1
        cycle.open(builders.open_epoch(), now_us)
        for command in asked:
            outcome = cycle.take_commands(now_us, [Asked(command=command)])
            assert not isinstance(outcome, Refusal)


def token(name: str, user: str) -> commands.AddToken:
    return commands.AddToken(by=None, token=name, user=user, digest=name.encode().hex().zfill(64))


def refused(kind: str, name: str, *, is_disabled: bool = True) -> commands.AnyCommand:
    if kind == "org":
        return commands.SetOrgDisabled(by=None, org=name, is_disabled=is_disabled)
    return commands.SetUserDisabled(by=None, user=name, is_disabled=is_disabled)


def test_what_was_refused_after_the_backup_is_told(data: Path, tmp_path: Path) -> None:
    people = [builders.create_user(name, "acme-1") for name in ("ann", "bob", "cy")]
    tokens = [token(name, "ann") for name in ("ann-1", "ann-2", "ann-3")]
    early = commands.RevokeToken(by=None, token="ann-3")
    decided(data, *people, *tokens, refused("user", "cy"), early)
    backup = tmp_path / "monday.sqlite3"
    take_backup(settings_of(data), backup)
    decided(
        data,
        token("late", "ann"),
        commands.RevokeToken(by=None, token="late"),
        commands.RevokeToken(by=None, token="ann-1"),
        refused("user", "ann"),
        refused("user", "bob"),
        refused("user", "ann", is_disabled=False),
        commands.CreateOrg(by=None, org="lab"),
        refused("org", "acme-1"),
        refused("org", "lab"),
    )
    found = put_back(backup, settings_of(data)).withdrawn
    assert found == Withdrawn(tokens=("ann-1",), users=("bob",), orgs=("acme-1",))


def test_of_a_backup_of_another_journal_nothing_is_known(data: Path, tmp_path: Path) -> None:
    other = a_journal(journal_path(tmp_path / "other"), org="other").parent
    decided(data, builders.create_user("ann", "acme-1"), refused("user", "ann"))
    backup = tmp_path / "monday.sqlite3"
    take_backup(settings_of(other), backup)
    assert put_back(backup, settings_of(data)).withdrawn is None


def test_a_broken_backup_replaces_nothing(data: Path, tmp_path: Path) -> None:
    backup = tmp_path / "monday.sqlite3"
    take_backup(settings_of(data), backup)
    backup.write_bytes(backup.read_bytes()[:20_000])
    before = orgs(data)
    with pytest.raises(StoreError):
        put_back(backup, settings_of(data))
    assert orgs(data) == before


def test_nothing_is_put_back_under_a_server_that_runs(data: Path, tmp_path: Path) -> None:
    backup = tmp_path / "monday.sqlite3"
    take_backup(settings_of(data), backup)
    running = file_leadership(data / "writer.lock")
    running.acquire()
    with pytest.raises(AlreadyLed):
        put_back(backup, settings_of(data))
    running.release()


def test_a_journal_goes_from_a_file_to_postgresql_and_back(data: Path, tmp_path: Path) -> None:
    if not postgres.IS_THERE:
        pytest.skip("PostgreSQL or psycopg is not installed")
    first, second = tmp_path / "first.sqlite3", tmp_path / "second.sqlite3"
    whole = take_backup(settings_of(data), first)
    folder = tmp_path / "elsewhere"
    with postgres.server() as address:
        settings = settings_of(folder, postgres.new_database(address, "parkade"))
        assert put_back(first, settings).aside is None
        assert check_database(settings) == whole
        with contextlib.closing(open_store(settings)) as store:
            cycle = Cycle(recover(store, RULES), store, RULES, check_every=1)
            cycle.open(builders.open_epoch(), cycle.world.records.now_us + 1)
        assert take_backup(settings, second).entries == whole.entries + 1
        with pytest.raises(StoreError, match="is not empty"):
            put_back(first, settings)
        assert check_database(settings).entries == whole.entries + 1
    put_back(second, settings_of(data))
    assert "acme-1" in orgs(data)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("postgresql://parkade:secret@db/parkade", "leave the password out"),
        ("postgresql://db/parkade?user=p&password=secret", "leave the password out"),
        ("postgresql://db/parkade?sslpassword=secret", "leave the password out"),
        ("mysql://db/parkade", "mysql is not known"),
        ("nonsense", "write postgresql://"),
    ],
)
def test_an_address_with_a_password_or_of_another_kind_is_refused(
    tmp_path: Path, address: str, says: str
) -> None:
    with pytest.raises(StoreError, match=says) as refused:
        open_store(settings_of(tmp_path, address))
    assert "secret" not in str(refused.value)
    assert "secret" not in shown(address)
