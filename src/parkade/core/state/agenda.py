"""When something is next due: a heap of deadlines that follow from the records.

An entry is only a hint that a record may have a deadline of a kind; when it is due is computed
from the record (`deadlines.due_us`), so nothing here can disagree with the world.
"""

import enum
import heapq
from collections.abc import Callable


class Entry(enum.IntEnum):
    """Kinds of deadline, in the order they are taken at the same instant."""

    EXPIRY = 0
    RESERVATION = 1
    OVERDUE = 2
    LAUNCH = 3
    FORGET = 4
    GRANT = 5
    TERMS = 6
    LAPSE = 7
    REPAIR = 8
    START_LIMIT = 9
    SANITISE = 10
    BUFFER = 11
    DEPENDENCY = 12
    MEMBERS = 13
    DISABLED = 14
    USER_CAP = 15
    ORG_CAP = 16
    MAINTENANCE = 17
    FALLBACK = 18


class Agenda:
    """Adding costs O(1), the next deadline O(changed x log n) amortised."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, Entry, str]] = []
        self._changed: dict[tuple[Entry, str], None] = {}
        self._known_at = -1

    def copy(self) -> "Agenda":
        """One of its own with the same entries. Cost grows with them."""
        made = Agenda()
        made._heap = self._heap.copy()
        made._changed = self._changed.copy()
        return made

    def add(self, kind: Entry, key: str) -> None:
        """A record's deadline of this kind may have changed."""
        self._changed[(kind, key)] = None

    def first(
        self, due_us: Callable[[Entry, str], int | None], sequence: int
    ) -> tuple[int, Entry, str] | None:
        """The earliest deadline that still holds; stale entries are dropped on the way. `sequence`:
        where the world stands; asked again there, nothing is looked at."""
        if sequence == self._known_at and not self._changed:
            return self._heap[0] if self._heap else None
        self._known_at = sequence
        for kind, key in self._changed:
            at_us = due_us(kind, key)
            if at_us is not None:
                heapq.heappush(self._heap, (at_us, kind, key))
        self._changed.clear()
        while self._heap:
            at_us, kind, key = self._heap[0]
            if due_us(kind, key) == at_us:
                return self._heap[0]
            heapq.heappop(self._heap)
        return None
