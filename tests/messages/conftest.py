"""Where a queue stands: a file of its own, or tables in a PostgreSQL that the tests start."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from parkade.messages.queue_file import queue_file
from parkade.store import postgresql_engine
from tests.store import postgres

Place = Callable[[], sa.Engine]
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_of_queues() -> Iterator[str]:
    """The address of a server."""
    if not postgres.IS_THERE:
        pytest.skip("PostgreSQL or psycopg is not installed")
    with postgres.server() as address:
        yield address


@pytest.fixture(params=["file", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Opens the same database each time."""
    if request.param == "file":
        return lambda: queue_file(tmp_path / "outbox")
    server = request.getfixturevalue("postgres_of_queues")
    address = postgres.new_database(server, f"queue_{next(_numbers)}")
    return lambda: postgresql_engine(address)
