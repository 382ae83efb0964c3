"""The world after a restart: the newest snapshot that can be read, and the journal's tail.

Snapshots only save time. One that cannot be read is passed over for an older one and at last for
the whole journal; an event that cannot be read stops the start.
"""

import structlog

from parkade.control.rules import Rules
from parkade.core.state.world import World
from parkade.ports import Store

_log = structlog.get_logger(__name__)

_PAGE = 2_000


def recover(store: Store, rules: Rules) -> tuple[World, int]:
    """The world, and the sequence it stands at. Costs the snapshot and the events after it."""
    world, sequence = _newest_snapshot(store, rules)
    started_at = sequence
    while entries := store.entries(after=sequence, limit=_PAGE):
        for entry in entries:
            assert entry.sequence == sequence + 1, f"the journal lacks event {sequence + 1}"
            rules.evolve(world, rules.decode_event(entry.body, entry.version))
            sequence = entry.sequence
    rules.check(world)
    _log.info("world_recovered", snapshot=started_at, sequence=sequence)
    return world, sequence


def _newest_snapshot(store: Store, rules: Rules) -> tuple[World, int]:
    for snapshot in store.snapshots():
        try:
            return rules.decode_snapshot(snapshot.body), snapshot.sequence
        except Exception:  # noqa: BLE001 - an older one, or the journal, tells the same
            _log.exception("snapshot_unreadable", sequence=snapshot.sequence)
    return rules.empty(), 0
