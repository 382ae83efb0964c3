"""The world after a restart: the newest snapshot that can be read, and the journal's tail.

Snapshots only save time. One that cannot be read is passed over for an older one and at last for
the whole journal; an event that cannot be read stops the start.
"""

import msgspec
import structlog

from parkade.control.rules import Rules
from parkade.core.kernel.evolve import evolve
from parkade.core.state.chain import GENESIS, link
from parkade.core.state.codec import decode_event, decode_snapshot
from parkade.core.state.world import Records, World
from parkade.ports import JournalEntry, Store, StoreError

_log = structlog.get_logger(__name__)

_PAGE = 2_000


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """The world, the sequence it stands at, and the digest of the journal up to there."""

    world: World
    sequence: int
    digest: str


def recover(store: Store, rules: Rules) -> Recovered:
    """Costs the snapshot and the events after it, whose digests are checked. StoreError where one
    does not follow from those before."""
    world, sequence = _newest_snapshot(store)
    started_at = sequence
    digest = _digest_at(store, sequence)
    while entries := store.entries(after=sequence, limit=_PAGE):
        for entry in entries:
            digest = _checked(entry, sequence, digest)
            evolve(world, decode_event(entry.body, entry.version))
            sequence = entry.sequence
    rules.check(world)
    _log.info("world_recovered", snapshot=started_at, sequence=sequence)
    return Recovered(world=world, sequence=sequence, digest=digest)


def link_of(entry: JournalEntry, before: str) -> str:
    """The digest that an entry must have after one with the digest `before`."""
    return link(
        before,
        sequence=entry.sequence,
        epoch=entry.epoch,
        at_us=entry.at_us,
        type=entry.type,
        version=entry.version,
        body=entry.body,
    )


def _checked(entry: JournalEntry, after: int, before: str) -> str:
    if entry.sequence != after + 1:
        raise StoreError(f"the journal lacks entry {after + 1}: restore a backup")
    if link_of(entry, before) != entry.digest:
        raise StoreError(
            f"entry {entry.sequence} of the journal is not what was written: it, or one before it,"
            " was changed; restore a backup"
        )
    return entry.digest


def _digest_at(store: Store, sequence: int) -> str:
    if sequence == 0:
        return GENESIS
    entries = store.entries(after=sequence - 1, limit=1)
    if not entries:
        raise StoreError(
            f"the journal lacks entry {sequence}, at which a snapshot was taken: restore a backup"
        )
    return entries[0].digest


def _newest_snapshot(store: Store) -> tuple[World, int]:
    for snapshot in store.snapshots():
        try:
            return decode_snapshot(snapshot.body), snapshot.sequence
        except Exception:  # noqa: BLE001 - an older one, or the journal, tells the same
            _log.exception("snapshot_unreadable", sequence=snapshot.sequence)
    return World(Records()), 0
