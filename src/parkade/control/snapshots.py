"""When a snapshot is kept: after so many events, after a while with any, and at the end."""

import structlog

from parkade.control.settings import PlaneSettings
from parkade.core.state.codec import encode_snapshot
from parkade.core.state.world import SNAPSHOT_VERSION, World
from parkade.ports import Store, StoredSnapshot

_log = structlog.get_logger(__name__)


class Snapshots:
    """Remembers when the last one was kept. Keeping one costs as much as the world is large."""

    def __init__(self, store: Store, settings: PlaneSettings, sequence: int, now_us: int) -> None:
        self._store = store
        self._settings = settings
        self._sequence = sequence
        self._at_us = now_us

    def follow(self, world: World, sequence: int, now_us: int) -> None:
        """Keeps one where it is time; where nothing happened, drops the answers that have grown
        old: refusals are kept too, and are no events."""
        events = sequence - self._sequence
        is_old = now_us - self._at_us >= self._settings.snapshot_every_us
        if events >= self._settings.snapshot_every_events or (events > 0 and is_old):
            self.keep(world, sequence, now_us)
        elif is_old:
            self._forget_answers(now_us)
            self._at_us = now_us

    def keep(self, world: World, sequence: int, now_us: int) -> None:
        """Keeps one now, and drops the answers that have grown old."""
        body = encode_snapshot(world)
        snapshot = StoredSnapshot(sequence=sequence, version=SNAPSHOT_VERSION, body=body)
        self._store.keep_snapshot(snapshot, keep=self._settings.snapshots_kept)
        self._forget_answers(now_us)
        self._sequence, self._at_us = sequence, now_us
        _log.info("snapshot_kept", sequence=sequence, bytes=len(body))

    def _forget_answers(self, now_us: int) -> None:
        self._store.forget_answers(before_us=now_us - self._settings.answers_kept_us)
