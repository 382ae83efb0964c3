"""One PostgreSQL server for the tests of this folder, and a store of each kind."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.ports import Store
from parkade.sim.store import Disk, MemoryStore
from parkade.store import open_postgresql, open_sqlite
from tests.builders import no_point
from tests.store import postgres

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a server, for tests that make databases of their own there."""
    if not postgres.IS_THERE:
        pytest.skip("PostgreSQL or psycopg is not installed")
    with postgres.server() as address:
        yield address


@pytest.fixture
def database(postgres_server: str) -> str:
    """The address of a new database."""
    return postgres.new_database(postgres_server, f"test_{next(_numbers)}")


@pytest.fixture(params=["sqlite", "postgresql", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store; every kind passes the same contract."""
    opened: Store
    if request.param == "sqlite":
        opened = open_sqlite(tmp_path / "data" / "parkade.sqlite3")
    elif request.param == "memory":
        yield MemoryStore(Disk(), no_point)
        return
    else:
        address = request.getfixturevalue("database")
        opened = open_postgresql(address, head=tmp_path / "postgresql.head")
    yield opened
    opened.close()
