"""What folds the old part of a journal: the entries stay, in less room."""

from collections.abc import Iterator
from typing import Protocol

import msgspec


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A run of entries that is kept as one. `row_bytes`: what the entries hold as rows, without
    what a database adds to each; `bytes`: what the segment holds."""

    first: int
    last: int
    first_at_us: int
    last_at_us: int
    row_bytes: int
    bytes: int

    @property
    def entries(self) -> int:
        """How many there are."""
        return self.last - self.first + 1


class Archiving(Protocol):
    """A store that folds entries into segments. Only the journal's writer does so, one after
    another, in any thread; readers of the journal see no difference.

    Folded are entries older than `before_us` that lie before the newest snapshot, in whole segments
    alone: a rest that would not fill one waits.
    """

    def foldable(self, *, before_us: int) -> Iterator[Segment]:
        """What `fold` would make, one call after another; nothing is changed."""
        ...

    def fold(self, *, before_us: int) -> Segment | None:
        """Makes the next segment and removes its rows, in one transaction; None where no more are
        to be made. Fenced where another server leads; StoreError where the entries are not what
        was written, and nothing is removed then."""
        ...
