"""The terms of writers: whoever began an earlier one commits nothing more."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from parkade.core.ledger.accounts import EXTERNAL
from parkade.ports import Fenced, StoreError
from parkade.store import SqlStore, open_postgresql, open_sqlite
from parkade.store.tables import LEADER, meta
from tests.builders import no_point
from tests.store.test_store import batch, entry, paid
from tests.waits import PATIENCE_S

Open = Callable[..., SqlStore]


@pytest.fixture(params=["sqlite", "postgresql"])
def open_it(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens a store of one journal, as each of several servers does."""
    opened: list[SqlStore] = []
    address = "" if request.param == "sqlite" else request.getfixturevalue("database")

    def open_one(crash_point: Callable[[str], None] = no_point) -> SqlStore:
        if address:
            head = tmp_path / f"head-{len(opened)}"
            opened.append(open_postgresql(address, head=head, crash_point=crash_point))
        else:
            opened.append(open_sqlite(tmp_path / "parkade.sqlite3", crash_point=crash_point))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def test_the_writer_of_an_earlier_term_is_fenced_though_it_knows_the_journals_end(
    open_it: Open,
) -> None:
    first, second = open_it(), open_it()
    first.begin_term("http://first")
    first.commit(batch(entry(1)))
    assert second.leader_address() == "http://first"
    second.begin_term("http://second")
    with pytest.raises(Fenced, match="another server leads"):
        first.commit(batch(entry(2)))
    assert first.last_sequence() == 1
    second.commit(batch(entry(2)))
    assert first.leader_address() == "http://second"


def test_a_commit_without_events_is_fenced_too(open_it: Open) -> None:
    first, second = open_it(), open_it()
    first.begin_term("")
    second.begin_term("")
    assert second.leader_address() is None
    with pytest.raises(Fenced):
        first.commit(batch(after=0))


def test_a_new_term_waits_for_a_commit_under_way_and_reads_what_that_wrote(
    database: str, tmp_path: Path
) -> None:
    asked, found = threading.Event(), []

    def take_over() -> None:
        with closing(open_postgresql(database, head=tmp_path / "second.head")) as second:
            asked.set()
            second.begin_term("http://second")
            found.append(second.last_sequence())

    thread = threading.Thread(target=take_over)

    def point(name: str) -> None:
        if name == "inside_commit":
            thread.start()
            assert asked.wait(PATIENCE_S)
            assert not is_waited_for(database, thread)

    with closing(
        open_postgresql(database, head=tmp_path / "first.head", crash_point=point)
    ) as first:
        first.begin_term("")
        first.commit(batch(entry(1)))
        thread.join(PATIENCE_S)
        assert found == [1]
        with pytest.raises(Fenced):
            first.commit(batch(entry(2)))


def is_waited_for(address: str, thread: threading.Thread) -> bool:
    """Until the other session waits for a lock; whether its thread ended instead."""
    engine = sa.create_engine(sa.make_url(address).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        while thread.is_alive():
            query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            if connection.exec_driver_sql(query).scalar():
                break
    engine.dispose()
    return not thread.is_alive()


def test_a_changed_term_is_told(tmp_path: Path) -> None:
    with closing(open_sqlite(tmp_path / "parkade.sqlite3")) as store:
        store.begin_term("")
        with store._writing() as connection:
            connection.execute(meta.update().where(meta.c.name == LEADER).values(value="7"))
        with pytest.raises(StoreError, match="was changed"):
            store.commit(batch(entry(1)))


def test_a_copy_has_no_term_and_begins_its_own(open_it: Open, tmp_path: Path) -> None:
    first = open_it()
    first.begin_term("http://first")
    first.commit(batch(entry(1)))
    with closing(open_sqlite(tmp_path / "copy.sqlite3")) as copy:
        first.copy_to(copy)
        assert copy.leader_address() is None
        copy.begin_term("")
        copy.commit(batch(entry(2)))


def test_sums_of_accounts_are_those_up_to_an_entry(open_it: Open) -> None:
    store = open_it()
    lines = (paid(1, EXTERNAL, "org/a"), paid(2, "org/a", "org/b"))
    store.commit(batch(entry(1), entry(2), transfers=lines))
    micros = lines[0].transfer.micros
    assert dict(store.account_sums(until=1)) == {EXTERNAL: -micros, "org/a": micros}
    assert dict(store.account_sums(until=0)) == {}
    assert store.account_sums(until=2) == store.account_sums()
