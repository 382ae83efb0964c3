"""Which user submitted a workload, and under which labels: also of one the world has forgotten.

The journal has it in the entry of its submission. Ids are counted up, `w1`, `w2`, …, so entries of
submissions are in the order of their numbers, and one is found by halving the journal: about as
many looks as its length has binary digits, each at a page of submissions. Ids that are asked for
together are looked for in order; neighbours are mostly on one page.
"""

import re
from collections.abc import Iterable
from threading import Lock

import msgspec

from parkade.core.state.codec import decode_event
from parkade.core.state.events import Submitted
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Workload
from parkade.ports import JournalEntry, Store

MOST_KEPT = 50_000
_PAGE = 32
_ID = re.compile("w([0-9]{1,18})(?:_[0-9]+)?")


class Origin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What never changes of a workload. That of a member is its array's."""

    user: str
    name: str
    capacity: CapacityKind
    labels: tuple[tuple[str, str], ...]


class Origins:
    """Looks them up, and keeps those found last; used by threads beside each other."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[int, Origin] = {}
        self._lock = Lock()

    def of(self, workloads: Iterable[str]) -> dict[str, Origin]:
        """Those of workloads and members; what is not in the journal is left out."""
        numbers = {name: int(found[1]) for name in workloads if (found := _ID.fullmatch(name))}
        with self._lock:
            known = {n: self._kept[n] for n in set(numbers.values()) if n in self._kept}
        looked_up = self._look_up(sorted(set(numbers.values()) - set(known)))
        with self._lock:
            if len(self._kept) + len(looked_up) > MOST_KEPT:
                self._kept.clear()
            self._kept.update(looked_up)
        known |= looked_up
        return {name: known[number] for name, number in numbers.items() if number in known}

    def _look_up(self, numbers: list[int]) -> dict[int, Origin]:
        """Of ascending numbers."""
        found: dict[int, Origin] = {}
        begin, end = 0, self._store.last_sequence()
        for number in numbers:
            if number not in found:
                begin = self._search(number, begin, end, found)
        return found

    def _search(self, number: int, after: int, until: int, found: dict[int, Origin]) -> int:
        """Halves (after, until] until the page that may hold the number is read; notes what is on
        it. Returns a sequence behind which all greater numbers are."""
        first = True
        while after < until:
            middle = after if first else (after + until) // 2
            page = self._page(middle)
            numbers = [each for each, _, _ in page]
            if page and number > numbers[-1]:
                after = page[-1][1]
            elif page and numbers[0] <= number:
                found.update((each, origin) for each, _, origin in page)
                return after
            elif first:
                return after  # It would be on the first page, so it is nowhere.
            else:
                until = middle
            first = False
        return after

    def _page(self, after: int) -> list[tuple[int, int, Origin]]:
        """(number, sequence, origin) of the submissions that follow."""
        entries = self._store.entries_of(Submitted.__name__, after=after, limit=_PAGE)
        return [_numbered(entry) for entry in entries]


def _numbered(entry: JournalEntry) -> tuple[int, int, Origin]:
    event = decode_event(entry.body, entry.version)
    assert isinstance(event, Submitted)
    found = _ID.fullmatch(event.workload.workload)
    assert found is not None, f"{event.workload.workload} is no workload's id"
    return int(found[1]), entry.sequence, origin_of(event.workload)


def origin_of(workload: Workload) -> Origin:
    """That of a record. Of a list the capacity that its use is charged for: what a reservation
    pays is no charge of the work."""
    spec = workload.spec
    paid = [it.kind for it in spec.entries if it.kind is not CapacityKind.RESERVATION]
    kind = paid[0] if paid else spec.capacity.kind
    return Origin(user=workload.user, name=spec.name, capacity=kind, labels=spec.labels)
