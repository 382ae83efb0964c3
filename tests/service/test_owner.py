"""A journal in PostgreSQL has one server at a time, and one data folder."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from parkade.ports import AlreadyLed
from parkade.service.journal_place import file_leadership, whole_leadership
from parkade.service.settings import ServiceSettings
from parkade.service.wiring import EXIT_SOFTWARE
from tests.service.served import Served, serving
from tests.store import postgres
from tests.waits import PATIENCE_S

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if not postgres.IS_THERE:
        pytest.skip("PostgreSQL or psycopg is not installed")
    with postgres.server() as address:
        yield address


def refusal(served: Served, *flags: str) -> str:
    with served.spawn(subprocess.PIPE, *flags) as refused:
        _, errors = refused.communicate(timeout=PATIENCE_S)
    assert refused.returncode == 2 and "Traceback" not in errors, errors
    return str(errors)


def elsewhere(folder: Path) -> Served:
    folder.mkdir()
    return Served(folder)


def test_a_journal_in_postgresql_has_one_server_that_stops_without_its_lock_and_one_folder(
    server: str, tmp_path: Path
) -> None:
    flags = ("--database", postgres.new_database(server, "owned"))
    with serving(tmp_path, *flags) as first:
        assert first.process is not None
        second = elsewhere(tmp_path / "second")
        told = refusal(second, *flags, "--original-is-gone")
        assert f"process {first.process.pid}" in told and "stop that one first" in told
        assert first.ask("GET", "/whoami")["user"] == "operator"
        end_holders(flags[1])
        first.process.communicate(timeout=PATIENCE_S)
        assert first.process.returncode == EXIT_SOFTWARE
        assert "another server may write" in first.errors.read_text()

        told = refusal(second, *flags)
        assert str(first.data) in told and "--original-is-gone" in told
        second.start(*flags, "--original-is-gone")
        second.stop()
        assert str(second.data) in refusal(first, *flags)


def test_the_lock_of_a_database_is_free_once_its_connection_is_lost(
    server: str, tmp_path: Path
) -> None:
    address = postgres.new_database(server, "held")

    def settings(name: str) -> ServiceSettings:
        return ServiceSettings(data_folder=tmp_path / name, database=address)

    held = whole_leadership(settings("a"), file_leadership)
    other = whole_leadership(settings("b"), file_leadership)
    held.acquire()
    for _ in range(2):
        with pytest.raises(AlreadyLed, match="already works on"):
            other.acquire()
    assert held.is_held() and not other.is_held()
    end_holders(address)
    other.acquire()
    assert other.is_held() and not held.is_held()
    other.release()
    assert not other.is_held()
    held.release()


def end_holders(address: str) -> None:
    """Ends the connection that holds the lock, as a loss of the network does."""
    url = sa.make_url(address).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        ended = connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND"
            " database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        assert ended.scalars().all() == [True]
    engine.dispose()
