"""A world that follows another server's journal is the one that a start would give."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from parkade.control.following import Follower
from parkade.control.recover import recover
from parkade.control.rules import RULES
from parkade.core.state.codec import encode_snapshot
from parkade.ports import StoreError
from parkade.store import open_sqlite
from tests.control.journals import a_journal, keep_snapshot


def test_it_follows_page_by_page_to_the_same_world(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "parkade.sqlite3")
    follower = Follower()
    with contextlib.closing(open_sqlite(path)) as store:
        assert follower.follow(store) and not follower.follow(store)
        stood_at = follower.sequence
        assert follower.digest == store.entries(after=stood_at - 1, limit=1)[0].digest
        a_journal(path)
        assert follower.follow(store) and follower.sequence > stood_at
        a_journal(path)
        wanted = recover(store, RULES)
        found = follower.finish(store, RULES)
    assert (found.sequence, found.digest) == (wanted.sequence, wanted.digest)
    assert encode_snapshot(found.world) == encode_snapshot(wanted.world)


def test_it_begins_at_the_newest_snapshot_and_counts_the_lines_before_it(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "parkade.sqlite3")
    sequence = keep_snapshot(path)
    follower = Follower()
    with contextlib.closing(open_sqlite(path)) as store:
        assert not follower.follow(store)
        assert follower.sequence == sequence
        a_journal(path)
        assert follower.finish(store, RULES).sequence > sequence


def test_what_the_leader_folds_meanwhile_is_followed_too(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "parkade.sqlite3")
    follower = Follower()
    with (
        contextlib.closing(open_sqlite(path)) as store,
        contextlib.closing(open_sqlite(path, segment_entries=3)) as leader,
    ):
        assert follower.follow(store)
        stood_at = follower.sequence
        a_journal(path)
        keep_snapshot(path)
        wanted = recover(store, RULES)
        while (made := leader.fold(before_us=10**18)) is not None:
            last = made.last
        assert last > stood_at, "the next entry lies in a segment"
        found = follower.finish(store, RULES)
    assert (found.sequence, found.digest) == (wanted.sequence, wanted.digest)
    assert encode_snapshot(found.world) == encode_snapshot(wanted.world)


def test_an_empty_journal_is_followed_from_its_beginning(tmp_path: Path) -> None:
    with contextlib.closing(open_sqlite(tmp_path / "parkade.sqlite3")) as store:
        found = Follower().finish(store, RULES)
    assert (found.sequence, found.world.records.epoch) == (0, 0)


def test_lines_that_do_not_add_up_are_told_when_it_takes_over(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "parkade.sqlite3")
    follower = Follower()
    with contextlib.closing(open_sqlite(path)) as store:
        follower.follow(store)
        last = follower.sequence
        a_journal(path)
        with sqlite3.connect(path) as connection:
            connection.execute(
                "UPDATE transfers SET micros = micros + 1 WHERE sequence > ?", [last]
            )
        connection.close()
        with pytest.raises(StoreError, match="statement lines"):
            follower.finish(store, RULES)


def test_a_changed_entry_stops_it_and_it_begins_anew(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "parkade.sqlite3")
    follower = Follower()
    with contextlib.closing(open_sqlite(path)) as store:
        follower.follow(store)
        last = follower.sequence
        a_journal(path)
        changed = "UPDATE journal SET at_us = at_us {} 1 WHERE sequence = ?"
        for sign, is_whole in (("+", False), ("-", True)):
            with sqlite3.connect(path) as connection:
                connection.execute(changed.format(sign), [last + 2])
            connection.close()
            if is_whole:
                assert follower.follow(store)
                continue
            with pytest.raises(StoreError, match="not what was written"):
                follower.follow(store)
            assert follower.sequence == 0
        assert follower.sequence == store.last_sequence()
