"""The newest events by workload, so that a page tells a life without reading the journal.

Followed from the first page on, after the newest `MOST` events. What is older is not
told; the page says so where a workload was submitted earlier.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import islice

from parkade.api.views.audience import lines_of, named_in
from parkade.console.claims import EndedClaims
from parkade.control.plane import Plane
from parkade.core.state import events
from parkade.core.state.events import AnyEvent

MOST = 20_000


class Recent:
    """The last events, at most `most`, and which of them are about which workload. Used in one
    event loop."""

    def __init__(self, plane: Plane, *, most: int = MOST) -> None:
        self._plane = plane
        self._most = most
        self.claims = EndedClaims()
        self._events: deque[tuple[int, AnyEvent]] = deque()
        self._of_workload: dict[str, deque[int]] = {}
        self._task: asyncio.Task[None] | None = None
        self._read_up_to = 0
        self._waiting: dict[asyncio.Future[None], int] = {}

    async def catch_up(self) -> None:
        """Begins to follow, and waits until what is committed now was read."""
        wanted = self._plane.health().sequence
        if self._task is None or self._task.done():
            self._read_up_to = max(self._read_up_to, wanted - self._most)
            self._task = asyncio.ensure_future(self._follow(self._read_up_to))
        if self._read_up_to < wanted:
            future = asyncio.get_running_loop().create_future()
            self._waiting[future] = wanted
            await future

    def about(self, workload: str) -> list[tuple[int, AnyEvent]]:
        """What is known of a workload, in order."""
        wanted = self._of_workload.get(workload, ())
        if not self._events or not wanted:
            return []
        first = self._events[0][0]
        return [self._events[sequence - first] for sequence in wanted]

    def between(self, first: int, last: int) -> list[tuple[int, AnyEvent]]:
        """The entries from one position to another, in order; all of them are kept."""
        start = first - self.first
        assert start >= 0, f"entry {first} is not kept"
        return list(islice(self._events, start, max(start, last - self.first + 1)))

    @property
    def first(self) -> int:
        """The oldest position that is kept; one beyond the journal where nothing is."""
        return self._events[0][0] if self._events else self._read_up_to + 1

    @property
    def last(self) -> int:
        """The newest position that was read."""
        return self._read_up_to

    async def _follow(self, after: int) -> None:
        try:
            async for sequence, event in self._plane.events(after=after):
                self._take(sequence, event)
                self._wake(sequence)
        finally:
            self._wake(None)

    def _wake(self, sequence: int | None) -> None:
        """Answers those that waited for this position; None: all, as nothing more comes."""
        for future, wanted in list(self._waiting.items()):
            if sequence is None or sequence >= wanted:
                del self._waiting[future]
                if not future.done():
                    future.set_result(None)

    def _take(self, sequence: int, event: AnyEvent) -> None:
        self._events.append((sequence, event))
        self._read_up_to = sequence
        self.claims.take(event)
        for workload in dict.fromkeys(workloads_in(event)):
            self._of_workload.setdefault(workload, deque()).append(sequence)
        if len(self._events) > self._most:
            dropped, old = self._events.popleft()
            for workload in dict.fromkeys(workloads_in(old)):
                kept = self._of_workload[workload]
                assert kept[0] == dropped
                kept.popleft()
                if not kept:
                    del self._of_workload[workload]


def workloads_in(event: AnyEvent) -> Iterator[str]:
    """The workloads that an event is about."""
    match event:
        case events.Submitted(workload=workload) | events.Resubmitted(workload=workload):
            yield workload.workload
        case events.Cleared():
            if lines_of(event):
                yield from (name for kind, name in named_in(event) if kind == "workload")
        case events.Forgotten():
            return
        case _:
            yield from (name for kind, name in named_in(event) if kind == "workload")
