"""The journal before the newest snapshot, read again slowly while the server runs.

A start checks what follows the newest snapshot, so that it is quick however long the journal is. A
scrub reads the rest: the chain of digests from the first entry, and each entry's statement lines.
It begins with the server and again once a day, and works a tenth of the time, so that the writer
hardly waits for it: about two minutes for a million entries. What differs ends the server, as it
would have refused the start: what is committed after the damage is lost when a backup is restored.
"""

import threading
import time
from collections.abc import Callable

import structlog

from parkade.control.recover import check_link, unreadable
from parkade.control.whole import check_lines, lines_by_entry
from parkade.core.state.chain import GENESIS
from parkade.core.state.codec import decode_event
from parkade.core.units.time import DAY_US, SECOND_US
from parkade.ports import Store, StoreError

_log = structlog.get_logger(__name__)

_PAGE = 200
_REST = 9
"""Seconds of rest for a second of work."""


class Scrub:
    """A thread that reads a store; calls `on_damage` in it, with what differs and what to do."""

    def __init__(self, store: Store, *, on_damage: Callable[[StoreError], None]) -> None:
        self._store = store
        self._on_damage = on_damage
        self.entries = 0
        """Read and found whole by the last pass; 0 before its end."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="parkade-scrub", daemon=True)

    def start(self) -> None:
        """Begins the first pass."""
        self._thread.start()

    def stop(self) -> None:
        """Ends within the present page."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self.entries = self._pass()
                _log.info("journal_scrubbed", entries=self.entries)
                self._stopped.wait(DAY_US / SECOND_US)
        except StoreError as error:
            self._on_damage(error)
        except Exception as error:  # noqa: BLE001 - drivers and decoders have errors of many kinds
            self._on_damage(unreadable(error))

    def _pass(self) -> int:
        """How many entries were read and found whole; fewer than there are where it was stopped."""
        sequence, digest, last = 0, GENESIS, self._store.last_sequence()
        while sequence < last and not self._stopped.is_set():
            began = time.monotonic()
            sequence, digest = self._page(sequence, digest, last)
            self._stopped.wait((time.monotonic() - began) * _REST)
        return sequence

    def _page(self, sequence: int, digest: str, last: int) -> tuple[int, str]:
        """The last entry of the page after `sequence`, and its digest; StoreError if it differs."""
        page = self._store.entries(after=sequence, limit=min(_PAGE, last - sequence))
        if not page:
            raise StoreError(f"the journal lacks entry {sequence + 1}: restore a backup")
        lines = lines_by_entry(self._store, after=sequence, until=page[-1].sequence)
        for entry in page:
            digest = check_link(entry, sequence, digest)
            sequence = entry.sequence
            event = decode_event(entry.body, entry.version)
            check_lines(entry, event, lines.get(sequence, []))
        return sequence, digest
