"""One clearing's record is decided again: each that a server wrote holds, a forged one does not."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from parkade.cli.app import app
from parkade.control.recover import link_of
from parkade.core.state import events
from parkade.core.state.chain import GENESIS
from parkade.core.state.codec import decode_event, encode_event
from parkade.ports import JournalEntry, Store, StoreError
from parkade.service.journal_place import journal_path
from parkade.sim.whatif.one_clearing import CheckedRecord, NotAClearing, check_record
from parkade.store import open_sqlite
from tests.sim.whatif.journals import data_folder, disk_of

KEPT = Path(__file__).parents[1] / "kept" / "clearing-1.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_folder(tmp_path_factory.mktemp("clearing") / "data", disk_of(1))


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[Store]:
    with contextlib.closing(open_sqlite(journal_path(folder))) as found:
        yield found


class Forged:
    """A journal of which one entry was changed, and all digests from there on written anew."""

    def __init__(self, entries: Sequence[JournalEntry], sequence: int, event: Any) -> None:
        self._entries: list[JournalEntry] = []
        before = GENESIS
        for entry in entries:
            body = encode_event(event) if entry.sequence == sequence else entry.body
            made = replace(entry, body=body)
            made = replace(made, digest=link_of(made, before))
            before = made.digest
            self._entries.append(made)

    def entries(self, *, after: int, limit: int) -> list[JournalEntry]:
        return self._entries[after : after + limit]


def clearings(entries: Sequence[JournalEntry]) -> dict[int, events.Cleared]:
    found = {it.sequence: decode_event(it.body, it.version) for it in entries}
    return {at: it for at, it in found.items() if isinstance(it, events.Cleared)}


def test_each_record_that_a_server_wrote_holds(store: Store) -> None:
    entries = store.entries(after=0, limit=100_000)
    found = clearings(entries)
    assert len(found) > 12
    for sequence in list(found)[:: len(found) // 12]:
        checked = check_record(store, sequence)
        assert checked.holds, f"{sequence}: {checked.difference}"
        assert checked.digest == entries[sequence - 1].digest
        assert (checked.won, checked.left) == (len(found[sequence].won), len(found[sequence].left))


def test_a_record_that_was_changed_with_all_digests_behind_it_does_not_hold(store: Store) -> None:
    entries = store.entries(after=0, limit=100_000)
    sequence, record = next((at, it) for at, it in clearings(entries).items() if it.won)
    won = record.won[0]
    rate = won.promise.rates[-1]
    dearer = replace(won.promise, rates=(replace(rate, price_micros=rate.price_micros + 1),))
    forged = replace(record, won=(replace(won, promise=dearer), *record.won[1:]))
    checked = check_record(Forged(entries, sequence, forged), sequence)  # type: ignore[arg-type]
    assert not checked.holds and checked.difference.startswith("won: ")


def test_what_is_no_clearing_or_not_whole_is_said(store: Store) -> None:
    with pytest.raises(NotAClearing, match="is no clearing: it is"):
        check_record(store, 1)
    with pytest.raises(NotAClearing, match="no entry 999999"):
        check_record(store, 999_999)
    entries = list(store.entries(after=0, limit=100_000))
    sequence = max(clearings(entries))
    broken = Forged(entries, 0, None)
    broken._entries[3] = replace(broken._entries[3], digest=GENESIS)
    with pytest.raises(StoreError, match="entry 4 "):
        check_record(broken, sequence)  # type: ignore[arg-type]


def test_what_is_found_has_the_form_of_the_kept_answer(store: Store) -> None:
    kept = msgspec.json.decode(KEPT.read_bytes(), type=CheckedRecord)
    assert kept.version == 1 and kept.holds
    now = msgspec.to_builtins(check_record(store, kept.sequence))
    assert set(json.loads(KEPT.read_text())) <= set(now)


def test_the_command_says_what_held(folder: Path, store: Store) -> None:
    sequence = next(iter(clearings(store.entries(after=0, limit=100_000))))
    place = ["--data-folder", str(folder)]
    done = CliRunner().invoke(app, ["market", "verify", str(sequence), *place])
    assert done.exit_code == 0, done.output
    assert f"clearing {sequence} of " in done.output and "holds: decided again" in done.output
    told = CliRunner().invoke(app, ["market", "verify", str(sequence), *place, "--json"])
    assert '"holds": true' in told.output and '"version": 1' in told.output
    none = CliRunner().invoke(app, ["market", "verify", "1", *place])
    assert none.exit_code == 3
