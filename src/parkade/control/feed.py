"""Committed events, in order, for each follower: from the journal, then as they come.

The newest events are held in memory once, for all readers; a reader that fell behind them reads
the journal until it has caught up. So no slow reader holds memory or the writer.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence
from functools import partial

from parkade.control.bell import Bell
from parkade.control.cycle import Committed
from parkade.core.state.codec import decode_event
from parkade.core.state.events import AnyEvent
from parkade.ports import Store

_PAGE = 500


class Feed:
    """`length` events are held; `sequence` is the last one committed."""

    def __init__(self, store: Store, *, sequence: int, length: int) -> None:
        self.sequence = sequence
        self._store = store
        self._newest: deque[tuple[int, AnyEvent]] = deque(maxlen=length)
        self._lock = threading.Lock()
        self._bell = Bell()
        self._is_closed = False

    def publish(self, committed: Committed) -> None:
        """Called by the writer after each commit."""
        if not committed:
            return
        with self._lock:
            self._newest.extend(committed)
            self.sequence = committed[-1][0]
        self._bell.ring()

    def close(self) -> None:
        """Ends every follower."""
        self._is_closed = True
        self._bell.ring()

    async def follow(self, *, after: int) -> AsyncIterator[tuple[int, AnyEvent]]:
        """Everything after a sequence, without end until the feed is closed."""
        while True:
            await self._bell.wait_until(partial(self._has_after, after), timeout_s=None)
            if self.sequence <= after:
                return
            page = self._held(after)
            if page is None:
                page = await asyncio.to_thread(self._stored, after)
            for sequence, event in page:
                assert sequence == after + 1, f"event {after + 1} is missing"
                after = sequence
                yield sequence, event

    def _has_after(self, after: int) -> bool:
        return self.sequence > after or self._is_closed

    def _held(self, after: int) -> Sequence[tuple[int, AnyEvent]] | None:
        with self._lock:
            if not self._newest or self._newest[0][0] > after + 1:
                return None
            skipped = after + 1 - self._newest[0][0]
            end = min(skipped + _PAGE, len(self._newest))
            return [self._newest[index] for index in range(skipped, end)]

    def _stored(self, after: int) -> Sequence[tuple[int, AnyEvent]]:
        limit = min(_PAGE, self.sequence - after)
        return [
            (entry.sequence, decode_event(entry.body, entry.version))
            for entry in self._store.entries(after=after, limit=limit)
        ]
