"""A world that follows the journal of another server, so that this one can go on with it at once.

The follower reads what was committed, page by page, and checks what a start checks: the digests,
and that each account's statement lines add up to its balance. The lines are added up as they come,
so that taking over costs the entries since the last page and the accounts, never the whole journal.
It changes nothing. One thread at a time uses it.
"""

from collections import Counter

import structlog

from parkade.control.recover import (
    Recovered,
    check_sums,
    check_world,
    from_snapshot,
    one_page,
)
from parkade.control.rules import Rules
from parkade.ports import Store

_log = structlog.get_logger(__name__)


class Follower:
    """`sequence` and `digest`: the entry that it stands at; 0 and nothing before the first."""

    def __init__(self) -> None:
        self._at: Recovered | None = None
        self._sums: Counter[str] = Counter()

    @property
    def sequence(self) -> int:
        """The journal's entry that the world stands at."""
        return 0 if self._at is None else self._at.sequence

    @property
    def digest(self) -> str:
        """That entry's digest."""
        return "" if self._at is None else self._at.digest

    def follow(self, store: Store) -> bool:
        """Takes one page of further entries; whether there were any. Any error leaves it empty, to
        begin anew: half a page may be in its world. StoreError where the journal is damaged."""
        at, self._at = self._at, None
        if at is None:
            at = from_snapshot(store)
            self._sums = Counter(store.account_sums(until=at.sequence))
        further = one_page(store, at)
        if further is not None:
            for line in store.stated(after=at.sequence, until=further.sequence):
                self._sums[line.transfer.debit] -= line.transfer.micros
                self._sums[line.transfer.credit] += line.transfer.micros
        self._at = further or at
        return further is not None

    def finish(self, store: Store, rules: Rules) -> Recovered:
        """The world at the journal's end, checked; for the writer alone, which takes it away. A
        stand-in for `recover`."""
        behind = self.sequence
        while self.follow(store):
            pass
        found, self._at = self._at, None
        assert found is not None, "it has followed"
        check_world(found.world, rules)
        check_sums(self._sums, found.world.records.balances)
        _log.info("world_followed", stood_at=behind, sequence=found.sequence)
        return found
