"""What pinned bids pay: running work that is counted where it stands (`market.beside`).

All winners fit beside it, so it displaces only those that lost. Its price is the greatest limit at
which a loser would take its room: with it taken out of the room that all turns left, the losers
take their turns until its shape fits no more. The jobs of a shared node stand as one bid, so they
are taken out together, as in `critical_values`.

The one surprising rule: the others stand as they are, also those that it shares nodes with, so the
price does not depend on how they would be packed anew.
"""

from functools import partial

from parkade.core.market.allocation import Allocation
from parkade.core.market.prices.counterfactuals import PriceQuery
from parkade.core.market.prices.reruns import CriticalValue, price_by_rerun, rivals_of
from parkade.core.market.spot import Bid, least_floor
from parkade.core.placement.room import Room


def price_pinned(allocation: Allocation) -> dict[str, CriticalValue]:
    """The critical value of each pinned bid; grows with pinned bids x losers."""
    answered = zip(allocation.bids, allocation.bid_parts, strict=True)
    losers = [bid for bid, parts in answered if parts is None]
    found = {}
    for bid, _ in allocation.pinned:
        query = PriceQuery(bid.factor, False, bid.name, bid.shape.nodes * bid.shape.gpus, bid.mates)
        found[bid.name] = price_by_rerun(
            _room_without(allocation, bid),
            rivals_of(bid, losers, [None] * len(losers)),
            floor=partial(least_floor, shape=bid.shape),
            limit_to_reach=query.limit_to_reach,
        )
    return found


def _room_without(allocation: Allocation, bid: Bid) -> Room:
    """What all turns left, and the GPUs of this bid and of the jobs that it is one bid with."""
    room = allocation.room.copy()
    for other, taken in allocation.pinned:
        if other.name == bid.name or (bid.shared_node and other.shared_node == bid.shared_node):
            for part in taken:
                room.give_back(part, other.shape)
    return room
