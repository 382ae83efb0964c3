"""What protected seats cost (`market.protected`): the critical value, at most what it was when they
were given.

With the bid taken out of the room that spot starts with, all others take their turns, the strongest
first, until its shape fits no more: the key of that rival is its critical value. That is what it
would pay if nothing protected it, and may be more than its limit, for it would have lost. It pays
no more than the price with which it was seated (`Protection`), but for a floor that rose since, and
never more than its limit. So an hour that begins while the market is high does not cost that for
as long as it is protected, and a rival that bids for one clearing only raises it for that one.

The one surprising rule: a job on a shared node is taken out alone, its node mates as they are, and
counts for itself.
"""

from collections.abc import Mapping

from parkade.core.market.allocation import Allocation
from parkade.core.market.layout import Parts, floors_drawn
from parkade.core.market.market_state import Protection
from parkade.core.market.prices.bounded import ask_by_node, bound_by_node, bound_price
from parkade.core.market.prices.counterfactuals import (
    Difference,
    Name,
    PriceQuery,
    count_in,
    shifted,
)
from parkade.core.market.prices.reruns import CriticalValue, price_by_rerun, rivals_of
from parkade.core.market.prices.sweep import Answer, CounterfactualSweep
from parkade.core.market.spot import Bid, least_floor
from parkade.core.placement.room import Room, Shape
from parkade.core.units.money import ceil_div

NodePrices = tuple[tuple[int, str | None], ...]


def ask_protected(sweep: CounterfactualSweep, allocation: Allocation) -> None:
    """Asks before the first turn what each protected bid would need; grows with their seats."""
    for bid, parts in allocation.protected.counted:
        if bid.shape.any_fabric:
            continue
        taken = _taken(allocation.start, bid.shape, parts)
        if bid.sizes is not None:
            ask_by_node(sweep, bid, bid.sizes, parts, taken)
        else:
            query = PriceQuery(bid.factor, False, bid.name)
            sweep.add_query(shifted({}, {}, taken), bid.shape, query, bid.array)


def price_protected(
    allocation: Allocation, answers: Mapping[Name, Answer]
) -> dict[str, NodePrices]:
    """(price, rival) of each node of an elastic one; of another, one for all."""
    protections = {it.demand: it.protection for it in allocation.ordered}
    found = {}
    for bid, parts in allocation.protected.counted:
        protection = protections[bid.name]
        assert protection is not None, "a protected bid without a bound"
        if bid.sizes is not None:
            prices = bound_by_node(bid, parts, dict(answers))
        elif bid.shape.any_fabric:
            prices = (bound_price(critical_value(allocation, bid, parts), bid, parts),)
        else:
            prices = (bound_price(CriticalValue(*answers[bid.name]), bid, parts),)
        found[bid.name] = _at_most(prices, protection, bid, parts)
    return found


def _at_most(prices: NodePrices, protection: Protection, bid: Bid, parts: Parts) -> NodePrices:
    """The same prices, at most what was agreed and the floors drawn need."""
    drawn = sorted(floors_drawn(bid.shape, parts))
    floors = drawn if len(prices) > 1 else drawn[-1:]
    most = protection.node_prices
    if len(most) != len(prices):
        most = (protection.price_micros,) * len(prices)
    return tuple(
        (min(micros, max(bound, floor)), set_by)
        for (micros, set_by), bound, floor in zip(prices, most, floors, strict=True)
    )


def _taken(start: Room, shape: Shape, parts: Parts) -> Difference:
    """What these ranks take of the room that is left beside all that are protected: a node that
    would be empty without them, or a gap on it."""
    found: Difference = {}
    if shape.tenant is None:
        return {part.fabric: len(part.levels) for part in parts}
    for part in parts:
        gap_of = {token: gap for _, gap, token in start.gaps.get((part.fabric, shape.tenant), ())}
        for token in dict.fromkeys(part.tokens):
            level = part.levels[part.tokens.index(token)]
            now = gap_of.get(token, 0)
            alone = now + part.tokens.count(token) * shape.gpus
            if now:
                count_in(found, (part.fabric, shape.tenant, level, now), 1)
            if alone == start.node_gpus:
                count_in(found, part.fabric, 1)
            else:
                count_in(found, (part.fabric, shape.tenant, level, alone), -1)
    return found


def critical_value(allocation: Allocation, bid: Bid, parts: Parts) -> CriticalValue:
    """The critical value of a protected bid, by running all turns again without it; grows with the
    bids x fabrics."""
    room = allocation.start.copy()
    for part in parts:
        if part.tokens:
            room.give_back(part, bid.shape)
        else:
            room.free[part.fabric] += len(part.levels)
    return price_by_rerun(
        room,
        rivals_of(bid, allocation.bids, allocation.bid_parts),
        floor=lambda room: least_floor(room, bid.shape),
        limit_to_reach=lambda key: ceil_div(key, bid.factor),
    )
