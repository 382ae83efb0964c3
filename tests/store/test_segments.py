"""Entries that were folded are read as if they were rows; every SQL store passes it unchanged."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from parkade.control.recover import link_of
from parkade.core.ledger.accounts import EXTERNAL
from parkade.core.state.chain import GENESIS
from parkade.ports import JournalEntry, StoredSnapshot, StoreError
from parkade.store import SqlStore, open_postgresql, open_sqlite
from parkade.store.segment_body import Packed, pack, unpack
from tests.store.test_store import batch, paid

SIZE = 4
OLD_US = 1_000
KINDS = ("Thing", "Other", "Thing", "Rare%_x")

Opening = Callable[..., SqlStore]


def chained(count: int, *, at_us: int = 5) -> list[JournalEntry]:
    found: list[JournalEntry] = []
    digest = GENESIS
    for sequence in range(1, count + 1):
        one = JournalEntry(
            sequence=sequence,
            epoch=1,
            at_us=at_us + sequence,
            type=KINDS[sequence % len(KINDS)] if sequence < 12 else "Thing",
            version=2,
            body=b'{"number":%d}' % sequence,
            digest="",
        )
        digest = link_of(one, digest)
        found.append(replace(one, digest=digest))
    return found


ALL = chained(18)


@pytest.fixture(params=["sqlite", "postgresql"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    """Opens one journal, again and again."""
    if request.param == "sqlite":
        return lambda **given: open_sqlite(tmp_path / "j.sqlite3", segment_entries=SIZE, **given)
    address = request.getfixturevalue("database")
    return lambda **given: open_postgresql(
        address, head=tmp_path / "head", segment_entries=SIZE, **given
    )


@pytest.fixture
def store(opening: Opening) -> Iterator[SqlStore]:
    """Eighteen entries, a snapshot at the sixteenth."""
    with contextlib.closing(opening()) as opened:
        lines = tuple(paid(it.sequence, EXTERNAL, "org/a", at_us=it.at_us) for it in ALL)
        opened.commit(batch(*ALL, transfers=lines))
        opened.keep_snapshot(StoredSnapshot(sequence=16, version=1, body=b"w"), keep=3)
        yield opened


def fold_all(store: SqlStore, before_us: int = OLD_US) -> int:
    count = 0
    while store.fold(before_us=before_us) is not None:
        count += 1
    return count


def test_the_old_entries_before_the_newest_snapshot_are_folded(store: SqlStore) -> None:
    told = list(store.foldable(before_us=OLD_US))
    assert [(it.first, it.last, it.entries) for it in told] == [(1, 4, 4), (5, 8, 4), (9, 12, 4)]
    assert [store.fold(before_us=OLD_US) for _ in range(4)] == [*told, None]
    assert list(store.foldable(before_us=OLD_US)) == []


def test_what_is_not_old_enough_stays(store: SqlStore) -> None:
    assert fold_all(store, ALL[7].at_us) == 1
    assert fold_all(store, ALL[7].at_us + 1) == 1


def test_without_a_snapshot_nothing_is_folded(opening: Opening) -> None:
    with contextlib.closing(opening()) as store:
        store.commit(batch(*ALL))
        assert fold_all(store) == 0


@pytest.mark.parametrize("limit", [1, 3, 4, 5, 99])
def test_every_page_is_the_same_before_and_after(store: SqlStore, limit: int) -> None:
    fold_all(store)
    for after in range(19):
        assert list(store.entries(after=after, limit=limit)) == ALL[after : after + limit]
        for kind in {*KINDS, "None", "thing"}:
            wanted = [it for it in ALL[after:] if it.type == kind][:limit]
            assert list(store.entries_of(kind, after=after, limit=limit)) == wanted


def test_the_journal_goes_on_behind_its_segments(store: SqlStore, opening: Opening) -> None:
    fold_all(store)
    assert store.last_sequence() == 18
    more = chained(30)
    store.commit(batch(*more[18:]))
    store.close()
    with contextlib.closing(opening()) as again:
        assert list(again.entries(after=0, limit=99)) == more
        again.keep_snapshot(StoredSnapshot(sequence=30, version=1, body=b"w"), keep=3)
        assert fold_all(again) == 4
        assert list(again.entries(after=0, limit=99)) == more


def test_statements_do_not_depend_on_what_is_folded(store: SqlStore) -> None:
    before = store.statement("org/a", from_us=None, to_us=None, until=18)
    fold_all(store)
    assert store.statement("org/a", from_us=None, to_us=None, until=18) == before
    assert store.stray_transfer() is None
    assert len(before) == 18


def test_a_transfer_of_no_entry_is_found_behind_segments(store: SqlStore) -> None:
    fold_all(store)
    store.commit(batch(transfers=(paid(40, "a", "b"),), after=18))
    assert store.stray_transfer() == 40


@pytest.mark.parametrize("point", ["before_fold", "inside_fold", "end_of_fold", "after_fold"])
def test_a_death_at_any_point_leaves_the_rows_or_the_segment(
    store: SqlStore, opening: Opening, point: str
) -> None:
    def die(name: str) -> None:
        if name == point:
            raise KeyboardInterrupt

    store.close()
    with contextlib.closing(opening(crash_point=die)) as dying, pytest.raises(KeyboardInterrupt):
        dying.fold(before_us=OLD_US)
    with contextlib.closing(opening()) as again:
        assert list(again.entries(after=0, limit=99)) == ALL
        rest = [it.first for it in again.foldable(before_us=OLD_US)]
        assert rest == ([5, 9] if point == "after_fold" else [1, 5, 9])
        assert len(rest) == fold_all(again)
        assert list(again.entries(after=0, limit=99)) == ALL


def test_a_writer_of_an_earlier_term_folds_nothing(store: SqlStore, opening: Opening) -> None:
    store.begin_term("")
    with contextlib.closing(opening()) as newer:
        newer.begin_term("")
        with pytest.raises(StoreError, match="another server leads"):
            store.fold(before_us=OLD_US)
        assert fold_all(newer) == 3
    assert list(store.entries(after=0, limit=99)) == ALL


def test_a_copy_has_the_same_segments(store: SqlStore, tmp_path: Path) -> None:
    fold_all(store)
    with contextlib.closing(open_sqlite(tmp_path / "copy.sqlite3")) as copied:
        store.copy_to(copied)
        assert list(copied.entries(after=0, limit=99)) == ALL
        assert copied.fold(before_us=OLD_US) is None


def test_a_segment_is_whole_with_enough_bytes(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parkade.store.segments.BYTES", 2 * len(ALL[0].body))
    assert [it.entries for it in store.foldable(before_us=OLD_US)] == [2] * 7


def test_entries_that_were_changed_are_not_folded(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    with contextlib.closing(open_sqlite(path, segment_entries=SIZE)) as store:
        store.commit(batch(*ALL))
        store.keep_snapshot(StoredSnapshot(sequence=16, version=1, body=b"w"), keep=3)
        sql(path, "UPDATE journal SET at_us = at_us + 1 WHERE sequence = 6")
        assert store.fold(before_us=OLD_US) is not None
        with pytest.raises(StoreError, match=r"entries 5 to 8 .* stay as they are"):
            store.fold(before_us=OLD_US)
        assert len(store.entries(after=0, limit=99)) == 18


def sql(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE segments SET body = x'77' WHERE first = 5",
        "UPDATE segments SET body = CAST(body AS TEXT) WHERE first = 5",
        "UPDATE segments SET body = (SELECT body FROM segments WHERE first = 1) WHERE first = 5",
        "UPDATE segments SET body = CAST(body || 'w' AS BLOB) WHERE first = 5",
        "UPDATE segments SET size = size - 1 WHERE first = 5",
        "UPDATE segments SET size = 1 << 60 WHERE first = 5",
        "UPDATE segments SET size = 'x' WHERE first = 5",
        "UPDATE segments SET version = 2 WHERE first = 5",
        "UPDATE segments SET first = 6 WHERE first = 5",
        "UPDATE segments SET last = 9 WHERE first = 5",
        "UPDATE segments SET digest_before = 'x' WHERE first = 5",
        "UPDATE segments SET digest_after = 'x' WHERE first = 5",
        "UPDATE segments SET kinds = replace(kinds, 'Other', 'Thing') WHERE first = 5",
        "UPDATE segments SET last_at_us = 0 WHERE first = 5",
    ],
)
def test_a_segment_that_was_changed_is_refused_in_words(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "j.sqlite3"
    with contextlib.closing(open_sqlite(path, segment_entries=SIZE)) as store:
        store.commit(batch(*ALL))
        store.keep_snapshot(StoredSnapshot(sequence=16, version=1, body=b"w"), keep=3)
        fold_all(store)
    sql(path, damage)
    with (
        contextlib.closing(open_sqlite(path)) as store,
        pytest.raises(
            StoreError, match=r"(segment of entries|could not be read).* restore a backup"
        ),
    ):
        store.entries(after=0, limit=99)


KEPT = Path(__file__).parent / "segment_v1.msgpack"


def test_a_segment_of_version_1_is_read_for_ever() -> None:
    assert unpack(msgspec.msgpack.decode(KEPT.read_bytes(), type=Packed)) == ALL[:4]
    assert pack(ALL[:4], GENESIS).digest_after == ALL[3].digest


def test_a_reader_sees_no_gap_while_entries_are_folded(opening: Opening) -> None:
    more = chained(200)
    with contextlib.closing(opening()) as store:
        store.commit(batch(*more))
        store.keep_snapshot(StoredSnapshot(sequence=200, version=1, body=b"w"), keep=3)
        things = [it for it in more if it.type == "Thing"]
        with ThreadPoolExecutor(1) as thread:
            folding = thread.submit(fold_all, store)
            while True:
                is_last = folding.done()
                assert list(store.entries(after=0, limit=999)) == more
                assert list(store.entries_of("Thing", after=3, limit=999)) == things[1:]
                if is_last:
                    break
        assert folding.result() == 49
