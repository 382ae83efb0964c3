"""PostgreSQL dies while the server commits: nothing that was answered is lost or done twice."""

import os
import random
import signal
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from tests.service.served import Served, serving
from tests.store import postgres
from tests.waits import PATIENCE_S, until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not postgres.IS_THERE, reason="no PostgreSQL is installed"),
]
CLIENTS = 6
KILLS = 3


@pytest.fixture
def database() -> Iterator[str]:
    with postgres.server() as address:
        yield postgres.new_database(address, "journal")


class Depositor(threading.Thread):
    """Deposits 1 again and again, each under a key of its own, and notes which were answered."""

    def __init__(self, served: Served, number: int, round_number: int) -> None:
        super().__init__()
        self.served = served
        self.name = f"{round_number}-{number}"
        self.asked: list[str] = []
        self.answered: list[str] = []

    def run(self) -> None:
        while True:
            key = f"{self.name}-{len(self.asked)}"
            self.asked.append(key)
            try:
                if not deposit(self.served, key).is_success:
                    return
            except httpx.TransportError:
                return
            self.answered.append(key)


def deposit(served: Served, key: str) -> httpx.Response:
    return httpx.post(
        f"http://127.0.0.1:{served.port}/v1/orgs/acme/deposits",
        json={"amount": "1"},
        headers={"Authorization": f"Bearer {served.token}", "Idempotency-Key": key},
        timeout=PATIENCE_S,
    )


def sessions(database: str) -> list[int]:
    """The processes of PostgreSQL that serve the journal's connections; none while it recovers."""
    engine = sa.create_engine(sa.make_url(database).set(drivername="postgresql+psycopg"))
    try:
        with engine.connect() as connection:
            found = connection.exec_driver_sql(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid()"
                " AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
            )
            return list(found.scalars())
    except sa.exc.OperationalError:
        return []
    finally:
        engine.dispose()


def test_what_was_answered_outlives_a_database_that_is_killed_while_it_commits(
    database: str, tmp_path: Path
) -> None:
    asked: list[str] = []
    answered: list[str] = []
    chance = random.Random(6)
    with serving(tmp_path, "--database", database) as served:
        served.ask("POST", "/orgs", {"org": "acme"})
        for round_number in range(KILLS):
            clients = [Depositor(served, number, round_number) for number in range(CLIENTS)]
            for client in clients:
                client.start()
            wait_for_answers(clients, chance.randrange(3, 40))
            # PostgreSQL ends all its other sessions then, and recovers by itself.
            os.kill(chance.choice(until(lambda: sessions(database))), signal.SIGKILL)
            for client in clients:
                client.join()
                asked += client.asked
                answered += client.answered
            assert served.process is not None
            assert served.process.wait(PATIENCE_S) == 70, served.errors.read_text()
            served.process.communicate()
            until(lambda: sessions(database) == [] and is_back(database))
            served.start("--database", database)
        assert len(answered) <= balance(served) <= len(asked)
        for key in asked:
            assert deposit(served, key).is_success
        assert balance(served) == len(asked)
        served.stop()


def wait_for_answers(clients: list[Depositor], enough: int) -> None:
    until(lambda: sum(len(it.answered) for it in clients) >= enough)


def balance(served: Served) -> Decimal:
    orgs = served.ask("GET", "/orgs")["orgs"]
    return next(Decimal(it["balance"]) for it in orgs if it["org"] == "acme")


def is_back(database: str) -> bool:
    engine = sa.create_engine(sa.make_url(database).set(drivername="postgresql+psycopg"))
    try:
        with engine.connect():
            return True
    except sa.exc.OperationalError:
        return False
    finally:
        engine.dispose()
