"""Folds the old part of the journal into segments while the server runs, slowly.

It looks at its start and once an hour, and works a tenth of the time, so that the writer hardly
waits for it. What hinders it is logged and tried again an hour later: the journal is whole as it
stands, and a scrub tells of damage.
"""

import threading
import time

import structlog

from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.ports import Archiving, Clock, Fenced, StoreError

_log = structlog.get_logger(__name__)

_REST = 9
"""Seconds of rest for a second of work."""


class Folding:
    """A thread that folds entries older than `after_us`. Only the writer's process has one. It does
    nothing where the store cannot fold, or `after_us` is None."""

    def __init__(self, store: Archiving | None, clock: Clock, *, after_us: int | None) -> None:
        self._store = store
        self._clock = clock
        self._after_us = after_us
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="parkade-folding", daemon=True)

    def start(self) -> None:
        """Begins the first pass."""
        if self._store is not None and self._after_us is not None:
            self._thread.start()

    def stop(self) -> None:
        """Ends within the present segment."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        store, after_us = self._store, self._after_us
        assert store is not None and after_us is not None
        while not self._stopped.is_set():
            try:
                self._pass(store, after_us)
            except Fenced as error:
                _log.error("journal_not_archived", reason=str(error))
                return
            except StoreError as error:
                _log.error("journal_not_archived", reason=str(error), done="tried again in an hour")
            except Exception:  # noqa: BLE001 - drivers have errors of many kinds
                _log.exception("journal_not_archived", done="tried again in an hour")
            self._stopped.wait(HOUR_US / SECOND_US)

    def _pass(self, store: Archiving, after_us: int) -> None:
        segments = entries = saved = 0
        while not self._stopped.is_set():
            began = time.monotonic()
            made = store.fold(before_us=self._clock.now_us() - after_us)
            if made is None:
                break
            segments, entries = segments + 1, entries + made.entries
            saved += made.row_bytes - made.bytes
            self._stopped.wait((time.monotonic() - began) * _REST)
        if segments:
            _log.info("journal_archived", segments=segments, entries=entries, saved_bytes=saved)
