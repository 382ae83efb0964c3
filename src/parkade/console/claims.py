"""Claims that ended, for the calendar: the world keeps those that live, and no other.

Read from the events that `Recent` follows: the newest ones before the server's first page, and all
since. A claim whose begin is older than that is not told. What ended longer ago than the calendar's
earnings reach back is dropped, and of more than `MOST` the oldest.
"""

from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from parkade.api.translate.scalars import instant
from parkade.core.state import events
from parkade.core.state.events import AnyEvent

KEPT = timedelta(days=62)
MOST = 5_000


class EndedClaim(NamedTuple):
    """So many nodes of a reservation were their owner's from `claimed` to `ended`."""

    claim: str
    reservation: str
    nodes: int
    claimed: datetime
    ended: datetime


class EndedClaims:
    """Those that ended, the oldest first. Cost of an event: constant."""

    def __init__(self, *, most: int = MOST) -> None:
        self._open: dict[str, tuple[str, int, datetime]] = {}
        self._ended: deque[EndedClaim] = deque(maxlen=most)

    def take(self, event: AnyEvent) -> None:
        """One more event of the journal, in order."""
        match event:
            case events.Claimed(claim=claim):
                begun = (claim.reservation, claim.nodes, instant(event.at_us))
                self._open[claim.claim] = begun
            case events.Unclaimed(claim=name) if name in self._open:
                self._ended.append(EndedClaim(name, *self._open.pop(name), instant(event.at_us)))
            case _:
                return

    def of(self, reservations: Iterable[str], now: datetime) -> list[EndedClaim]:
        """Those of these reservations."""
        while self._ended and self._ended[0].ended < now - KEPT:
            self._ended.popleft()
        named = frozenset(reservations)
        return [each for each in self._ended if each.reservation in named]
