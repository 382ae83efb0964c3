"""The world after a restart: the newest snapshot that can be read, and the journal's tail.

Snapshots only save time. One that cannot be read is passed over for an older one and at last for
the whole journal; an event that cannot be read stops the start.
"""

from collections.abc import Callable, Mapping

import msgspec
import structlog

from parkade.control.rules import Rules
from parkade.core.kernel.evolve import evolve
from parkade.core.state.chain import GENESIS, link
from parkade.core.state.codec import decode_event, decode_snapshot
from parkade.core.state.events import AnyEvent
from parkade.core.state.world import Records, World
from parkade.ports import JournalEntry, Store, StoreError

_log = structlog.get_logger(__name__)

_PAGE = 2_000


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """The world, the sequence it stands at, and the digest of the journal up to there."""

    world: World
    sequence: int
    digest: str


Recovering = Callable[[Store, Rules], Recovered]
"""Gives the world at the journal's end, as `recover` does."""


def recover(store: Store, rules: Rules) -> Recovered:
    """Costs the snapshot, the events after it and a pass over the transfers. StoreError where a
    digest does not follow from those before, or the transfers are not the world's balances."""
    start = found = from_snapshot(store)
    while (further := one_page(store, found)) is not None:
        found = further
    check_world(found.world, rules)
    # Two GROUP BYs over all transfers that ever were: about 3 s for a million of them.
    check_sums(store.account_sums(), found.world.records.balances)
    _log.info("world_recovered", snapshot=start.sequence, sequence=found.sequence)
    return found


def from_snapshot(store: Store) -> Recovered:
    """The world of the newest snapshot that can be read, or the empty one."""
    world, sequence = _newest_snapshot(store)
    return Recovered(world=world, sequence=sequence, digest=_digest_at(store, sequence))


def one_page(store: Store, before: Recovered) -> Recovered | None:
    """The same world, which is changed, after at most so many further entries as one page has; None
    where there is none. StoreError where a digest does not follow from those before."""
    entries = store.entries(after=before.sequence, limit=_PAGE)
    digest, sequence = before.digest, before.sequence
    for entry in entries:
        digest = check_link(entry, sequence, digest)
        replay_entry(before.world, entry)
        sequence = entry.sequence
    return Recovered(world=before.world, sequence=sequence, digest=digest) if entries else None


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


def replay_entry(world: World, entry: JournalEntry) -> AnyEvent:
    """Takes the entry's event into the world; StoreError where this program cannot read it."""
    try:
        event = decode_event(entry.body, entry.version)
    except (ValueError, msgspec.MsgspecError) as error:
        raise StoreError(
            f"entry {entry.sequence} of the journal cannot be read: {error}"
        ) from error
    try:
        evolve(world, event)
    except Exception as error:
        raise StoreError(
            f"entry {entry.sequence} of the journal ({entry.type}) does not follow from those"
            f" before it ({type(error).__name__}: {error}): it was not written by this program, or"
            " there is a bug in it. Start the version that wrote it, or restore a backup"
        ) from error
    return event


def check_world(world: World, rules: Rules) -> None:
    """StoreError where the world that a journal gives is impossible."""
    try:
        rules.check(world)
    except Exception as error:
        raise StoreError(
            f"the journal gives a world that cannot be ({type(error).__name__}: {error}): it was"
            " changed, or there is a bug in this program. Start the version that wrote it, or"
            " restore a backup"
        ) from error


def check_sums(sums: Mapping[str, int], balances: Mapping[str, int]) -> None:
    """StoreError where an account's transfers do not add up to what the world says it holds."""
    for account in sorted(sums.keys() | balances.keys()):
        stated, held = sums.get(account, 0), balances.get(account, 0)
        if stated != held:
            raise StoreError(
                f"the statement lines of {account} add up to {stated} micro-units, its balance by"
                f" the journal is {held}: the table `transfers` was changed. Restore a backup;"
                " `parkade admin verify` names the first entry whose lines differ"
            )


def check_link(entry: JournalEntry, after: int, before: str) -> str:
    """The entry's digest; StoreError where it does not follow entry `after` with `before`."""
    if entry.sequence != after + 1:
        raise StoreError(f"the journal lacks entry {after + 1}: restore a backup")
    if "\n" in entry.type or link_of(entry, before) != entry.digest:
        raise StoreError(
            f"entry {entry.sequence} of the journal is not what was written: it, or one before it,"
            " was changed; restore a backup"
        )
    return entry.digest


def unreadable(error: Exception) -> StoreError:
    """What is said of bytes that were never written so, whatever the driver or a decoder makes of
    them."""
    return StoreError(
        f"the journal cannot be read, its file is damaged ({type(error).__name__}:"
        f" {str(error)[:200]}): `parkade admin verify` says where, as far as it can be told;"
        " restore a backup with `parkade admin restore`"
    )


def _digest_at(store: Store, sequence: int) -> str:
    if sequence == 0:
        return GENESIS
    entries = store.entries(after=sequence - 1, limit=1)
    if not entries:
        raise StoreError(
            f"the journal lacks entry {sequence}, at which a snapshot was taken: restore a backup"
        )
    digest = entries[0].digest
    if len(digest) != len(GENESIS):
        raise StoreError(f"the digest of entry {sequence} was changed: restore a backup")
    return digest


def _newest_snapshot(store: Store) -> tuple[World, int]:
    for snapshot in store.snapshots():
        try:
            return decode_snapshot(snapshot.body), snapshot.sequence
        except Exception:  # noqa: BLE001 - an older one, or the journal, tells the same
            _log.exception("snapshot_unreadable", sequence=snapshot.sequence)
    return World(Records()), 0
