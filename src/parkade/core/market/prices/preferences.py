"""How a bid ranks the fabrics of the base, for the counterfactuals that differ from it elsewhere.

In a fabric where a counterfactual does not differ, its offer is the base's. So the best of those
fabrics is looked for here once for all counterfactuals, and only the few fabrics that differ are
asked in each (`sweep`).
"""

from parkade.core.market.fabrics_by_offer import FabricsByOffer
from parkade.core.market.layout import Parts
from parkade.core.market.prices.counterfactuals import Counterfactual
from parkade.core.market.spot import (
    NO_FABRIC,
    Bid,
    Preference,
    best_for_whole_nodes,
    preference_in,
)
from parkade.core.placement.room import Room


class Preferences:
    """How a bid ranks the base's fabrics; all of them only if a counterfactual needs it.

    `_ordered`: all of them, the best first; None until it is needed.
    """

    __slots__ = ("_bid", "_by_offer", "_ordered", "_room", "best")

    def __init__(self, room: Room, bid: Bid, parts: Parts | None, by_offer: FabricsByOffer) -> None:
        self._room = room
        self._bid = bid
        self._by_offer = by_offer
        self._ordered: list[Preference] | None = None
        self.best = NO_FABRIC
        if parts is not None and not bid.shape.any_fabric:
            self.best = preference_in(room, bid, parts[0].fabric)

    def best_outside(self, counterfactual: Counterfactual) -> Preference:
        """The best fabric whose offer is the same in this counterfactual as in the base."""
        bid = self._bid
        if self.best is NO_FABRIC or not counterfactual.differs_at(self.best[-1], bid.shape):
            return self.best
        if bid.shape.tenant is None and bid.shape.held is None:
            return best_for_whole_nodes(self._room, bid, self._by_offer, counterfactual.drawn)
        if self._ordered is None:
            everywhere = range(len(self._room.free))
            self._ordered = sorted(preference_in(self._room, bid, it) for it in everywhere)
        for preference in self._ordered:
            if preference is NO_FABRIC:
                break
            if not counterfactual.differs_at(preference[-1], bid.shape):
                return preference
        return NO_FABRIC
