"""Whether a whole journal is what was written: from its first entry to its end, changing nothing.

A start reads only what follows the newest snapshot. This reads everything: the chain, the lines
of statements entry by entry, that replay gives the world of the newest snapshot, and the answers
kept for repeated requests.
"""

from collections import defaultdict

import msgspec
import structlog

from parkade.control.answers import decode_outcome
from parkade.control.recover import check_link, check_sums, check_world, replay_entry
from parkade.control.rules import Rules
from parkade.core.billing.charges import transfers_of
from parkade.core.state.chain import GENESIS
from parkade.core.state.codec import decode_snapshot, encode_snapshot
from parkade.core.state.events import AnyEvent
from parkade.core.state.world import Records, World
from parkade.core.units.visible import visible
from parkade.ports import (
    JournalEntry,
    StatedTransfer,
    Store,
    StoredSnapshot,
    StoreError,
)

_log = structlog.get_logger(__name__)

_PAGE = 2_000


class WholeJournal(msgspec.Struct, frozen=True, kw_only=True):
    """What was read and found to agree."""

    entries: int

    transfers: int

    snapshot: int | None
    """The entry of the newest snapshot; None where there is none that this program reads."""

    last_workload: int = 0
    """The number of the last one that was submitted."""

    answers: int = 0
    """Kept for repeated requests."""

    torn: tuple[int, ...] = ()
    """The entries of snapshots that are damaged; a start passes over them, and nothing is lost."""


def check_whole(store: Store, rules: Rules) -> WholeJournal:
    """Costs a replay of all entries; StoreError names the first that differs.

    A server may write meanwhile: what is committed after the start of the check is left out.
    """
    snapshot = _newest(store)
    last = store.last_sequence()
    _check_strays(store)
    if snapshot is not None and snapshot.sequence > last:
        raise StoreError(
            f"the journal ends at entry {last}, but a snapshot was taken at entry"
            f" {snapshot.sequence}: restore a backup"
        )
    world, sequence, digest, transfers = World(Records()), 0, GENESIS, 0
    sums: dict[str, int] = defaultdict(int)
    while sequence < last:
        page = store.entries(after=sequence, limit=min(_PAGE, last - sequence))
        if not page:
            raise StoreError(f"the journal lacks entry {sequence + 1}: restore a backup")
        lines = lines_by_entry(store, after=sequence, until=page[-1].sequence)
        for entry in page:
            digest = check_link(entry, sequence, digest)
            event = replay_entry(world, entry)
            sequence = entry.sequence
            posted = lines.get(sequence, [])
            check_lines(entry, event, posted)
            _add(sums, posted)
            transfers += len(posted)
            if snapshot is not None and sequence == snapshot.sequence:
                _check_snapshot(world, snapshot)
    check_sums(sums, world.records.balances)
    check_world(world, rules)
    return WholeJournal(
        entries=sequence,
        transfers=transfers,
        snapshot=None if snapshot is None else snapshot.sequence,
        last_workload=world.records.counters.get("workload", 0),
        answers=_check_answers(store),
        torn=tuple(store.torn_snapshots()),
    )


def _check_answers(store: Store) -> int:
    """How many answers are kept; StoreError for one that is not what was written, or tells of
    entries that the journal lacks."""
    count, latest, of = 0, 0, ""
    for answer in store.answers():
        try:
            outcome = decode_outcome(answer.body)
        except msgspec.MsgspecError as error:
            raise StoreError(
                f"an answer kept for repeated requests (key {visible(answer.key)[:80]!r}) cannot be"
                f" read: {error}; restore a backup"
            ) from error
        count += 1
        if outcome.sequence > latest:
            latest, of = outcome.sequence, answer.key
    last = store.last_sequence()
    if latest > last:
        raise StoreError(
            f"an answer kept for repeated requests (key {visible(of)[:80]!r}) tells of entry"
            f" {latest}, but the journal ends at {last}: restore a backup"
        )
    return count


def _newest(store: Store) -> StoredSnapshot | None:
    """The newest that this program reads; `recover` passes over the others too."""
    for snapshot in store.snapshots():
        try:
            decode_snapshot(snapshot.body)
        except Exception:  # noqa: BLE001 - a start passes over it and reads an older one
            _log.warning("snapshot_unreadable", sequence=snapshot.sequence)
            continue
        return snapshot
    return None


def _check_strays(store: Store) -> None:
    stray = store.stray_transfer()
    if stray is not None:
        raise StoreError(
            f"the table `transfers` has a line of entry {stray}, which the journal lacks: restore a"
            " backup"
        )


def lines_by_entry(store: Store, *, after: int, until: int) -> dict[int, list[StatedTransfer]]:
    """The statement lines of the entries in (after, until], by entry."""
    lines: dict[int, list[StatedTransfer]] = defaultdict(list)
    for line in store.stated(after=after, until=until):
        lines[line.sequence].append(line)
    return lines


def check_lines(entry: JournalEntry, event: AnyEvent, lines: list[StatedTransfer]) -> None:
    """StoreError where the statement lines are not the transfers that the entry posts."""
    posted = [
        StatedTransfer(
            sequence=entry.sequence, position=position, at_us=event.at_us, transfer=transfer
        )
        for position, transfer in enumerate(transfers_of(event))
    ]
    if posted != lines:
        raise StoreError(
            f"the statement lines of entry {entry.sequence} are not the transfers that it posts:"
            " the table `transfers` was changed; restore a backup"
        )


def _add(sums: dict[str, int], lines: list[StatedTransfer]) -> None:
    for line in lines:
        sums[line.transfer.debit] -= line.transfer.micros
        sums[line.transfer.credit] += line.transfer.micros


def _check_snapshot(world: World, snapshot: StoredSnapshot) -> None:
    # Encoded again: a field that a newer program added has its default in both.
    if encode_snapshot(decode_snapshot(snapshot.body)) != encode_snapshot(world):
        raise StoreError(
            f"the snapshot at entry {snapshot.sequence} is not the world that the journal gives up"
            " to there, and the entries are whole: the snapshot was changed. Restore a backup"
        )
