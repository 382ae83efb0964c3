"""The newest lot, made once for all who look.

However many look, one snapshot is taken at a time, and what follows from it is made outside the
writer. A look takes what is there where it is as new as the journal.
"""

import asyncio

from parkade.api.views.lot import Lots, snapshot
from parkade.api.views.org_lots import OrgLots
from parkade.control.plane import Plane
from parkade.control.viewers import Viewer
from parkade.wire.lot import Lot

MOST_ORGS_KEPT = 256
MOST_NODES_AT_ONCE = 2_000
"""A lot of more nodes is made in a thread, so that no other answer waits for it."""


class LotBook:
    """Used in one event loop."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._lots = Lots()
        self._newest: Lot | None = None
        self._by_org: dict[str, OrgLots] = {}
        self._turn = asyncio.Lock()

    async def look(self, viewer: Viewer) -> Lot:
        """The lot as a viewer may see it, as new as the journal was when this was asked."""
        lot = await self.whole()
        return lot if viewer.is_operator else self._of_org(lot, viewer.org)

    async def whole(self) -> Lot:
        """All of it: for operators, and for the server itself."""
        wanted = self._plane.health().sequence
        lot = self._newest
        return lot if lot is not None and lot.sequence >= wanted else await self._renew(wanted)

    async def _renew(self, wanted: int) -> Lot:
        async with self._turn:
            if self._newest is None or self._newest.sequence < wanted:
                taken = await self._plane.read(snapshot)
                is_small = len(taken.nodes) <= MOST_NODES_AT_ONCE
                take = self._lots.take
                lot = take(taken) if is_small else await asyncio.to_thread(take, taken)
                self._newest = lot
            return self._newest

    def _of_org(self, lot: Lot, org: str) -> Lot:
        known = self._by_org.pop(org, None) or OrgLots(org)
        self._by_org[org] = known
        if len(self._by_org) > MOST_ORGS_KEPT:
            del self._by_org[next(iter(self._by_org))]
        return known.take(lot, self._lots.names)
