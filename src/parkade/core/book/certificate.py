"""The check of a matched batch: one pass over its orders, from the batch and the certificate alone.

Theory of operation
-------------------
Fills are those of greatest benefit, for the blocks that trade, exactly if prices support them (the
theorem of complementary slackness), so nothing needs to be solved again:

1. each fill lies in its order's window and nodes, a block trades whole or not at all;
2. what is bought and sold of each slot is equal: what longer windows need fixes the slot's ladder,
   and with it the fills of all orders that trade in the slot alone;
3. no order trades outside its limit, and each that is strictly inside the prices trades whole;
4. the prices are the floored middle of all that support the fills;
5. of equal orders the older trade: no circle of orders at their limits could be turned to serve
   older ones better.

What is left to an auditor is whether better blocks could have been chosen: that needs `match`.
"""

from parkade.core.book.building import Built, is_of_slots
from parkade.core.book.orders import Batch, Buy, check_batch
from parkade.core.book.outcome import Fill, Matched
from parkade.core.book.supporting import middle_of


class BadCertificate(ValueError):
    """A record of a batch that is not what its orders come to; the message says where."""


def check_certificate(batch: Batch, matched: Matched) -> None:
    """Raises BadCertificate where a record is wrong.

    Cost: a few passes over orders and slots, and one over what trades at its limit for each slot
    that a chain of such orders spans.
    """
    check_batch(batch)
    if len(matched.prices_micros) != len(batch.boundaries):
        raise BadCertificate("the prices are not those of the grid")
    places = {order.order: place for place, order in enumerate(batch.orders)}
    fills = _by_order(batch, matched, places)
    built = Built(batch)
    left_out = _left_out(batch, matched, places, fills)
    _settle(built, fills)
    _compare_slots(built, fills)
    windows = [
        (place, built.network.flow(arc))
        for place, arc in built.arcs.items()
        if place not in left_out
    ]
    _check_limits(batch, matched, windows)
    slots = [ladder.bounds() for ladder in built.network.ladders]
    for slot, (low, high) in enumerate(slots):
        price = matched.price_of(slot, slot + 1)
        if price < low or (high is not None and price > high):
            raise BadCertificate(f"slot {slot}: an order of this slot trades outside its limit")
    if middle_of(batch, windows, slots) != matched.prices_micros:
        raise BadCertificate("the prices are not the middle of those that support the fills")
    _check_ties(built, matched, left_out)


def _by_order(
    batch: Batch, matched: Matched, places: dict[str, int]
) -> dict[int, tuple[Fill, ...]]:
    found: dict[int, tuple[Fill, ...]] = {}
    for fill in matched.fills:
        place = places.get(fill.order)
        if place is None:
            raise BadCertificate(f"{fill.order} is no order of the batch")
        order, before = batch.orders[place], found.get(place, ())
        window = (fill.start, fill.end) == (order.start, order.end)
        if not (window or is_of_slots(order)) or not 0 < fill.nodes <= order.nodes:
            raise BadCertificate(f"{fill.order}: it trades another window, or too many nodes")
        if not order.start <= fill.start < fill.end <= order.end:
            raise BadCertificate(f"{fill.order}: it trades outside its window")
        if before and before[-1].end > fill.start:
            raise BadCertificate(f"{fill.order}: it trades a slot twice")
        if isinstance(order, Buy) and order.is_whole and fill.nodes != order.nodes:
            raise BadCertificate(f"{fill.order} wants all its nodes or none, and trades a part")
        found[place] = (*before, fill)
    if list(found) != sorted(found):
        raise BadCertificate("the fills are not in the order of the batch")
    return found


def _left_out(
    batch: Batch, matched: Matched, places: dict[str, int], fills: dict[int, tuple[Fill, ...]]
) -> frozenset[int]:
    found = [places.get(name, -1) for name in matched.left_out]
    if found != sorted(set(found)):
        raise BadCertificate("the orders that were left out are not in the order of the batch")
    for place in found:
        order = batch.orders[place]
        if place < 0 or place in fills or not isinstance(order, Buy) or not order.is_whole:
            raise BadCertificate("only an all-or-nothing buy that trades nothing is left out")
    return frozenset(found)


def _settle(built: Built, fills: dict[int, tuple[Fill, ...]]) -> None:
    """Puts the fills of longer windows into the network, and the ladders where those need them."""
    needed = [0] * (built.batch.slots + 1)
    for place in built.arcs:
        for fill in fills.get(place, ()):
            nodes = fill.nodes if isinstance(built.batch.orders[place], Buy) else -fill.nodes
            needed[fill.start] += nodes
            needed[fill.end] -= nodes
    level = 0
    for slot, ladder in enumerate(built.network.ladders):
        level += needed[slot]
        if not 0 < ladder.start + level <= ladder.ends[-1]:
            raise BadCertificate(f"slot {slot}: more is bought than sold")
        built.network.set_on(slot, ladder.start + level)
    for place, arc in built.arcs.items():
        nodes = sum(fill.nodes for fill in fills.get(place, ()))
        built.network.set_flow(arc, nodes, built.nodes(place) - nodes)


def _compare_slots(built: Built, fills: dict[int, tuple[Fill, ...]]) -> None:
    """The fills of orders that ladders hold are those that the ladders come to."""
    claimed: list[list[tuple[int, int]]] = [[] for _ in range(built.batch.slots)]
    for place, found in fills.items():
        if place not in built.arcs:
            for fill in found:
                for slot in range(fill.start, fill.end):
                    claimed[slot].append((place, fill.nodes))
    for slot, ladder in enumerate(built.network.ladders):
        if sorted(ladder.filled()) != claimed[slot]:
            raise BadCertificate(
                f"slot {slot}: what is bought and sold of it differs, or another order comes first"
            )


def _check_limits(batch: Batch, matched: Matched, windows: list[tuple[int, int]]) -> None:
    for place, nodes in windows:
        order = batch.orders[place]
        gain = batch.limit_of(order) - matched.price_of(order.start, order.end)
        if not isinstance(order, Buy):
            gain = -gain
        if gain < 0 and nodes:
            raise BadCertificate(f"{order.order} trades outside its limit")
        if gain > 0 and nodes < order.nodes:
            raise BadCertificate(f"{order.order} is inside the prices and does not trade whole")


def _check_ties(built: Built, matched: Matched, left_out: frozenset[int]) -> None:
    """No circle of arcs whose prices are their limits costs less than nothing by rank
    (Bellman-Ford from all boundaries at once)."""
    network, prices = built.network, matched.prices_micros
    closed = {arc for place in left_out for arc in (built.arcs[place], built.arcs[place] + 1)}
    tight: list[tuple[int, int, int]] = []
    for arc, head in enumerate(network.heads):
        if network.room[arc] and arc not in closed:
            tail = network.heads[arc ^ 1]
            cost = network.costs[arc] + (prices[head] - prices[tail]) * built.unit
            if 2 * cost < built.unit:
                tight.append((tail, head, cost))
    found = [0] * len(prices)
    for _ in range(len(prices) + 1):
        changed = False
        for tail, head, cost in tight:
            if found[tail] + cost < found[head]:
                found[head] = found[tail] + cost
                changed = True
        if not changed:
            return
    raise BadCertificate("an older order waits for a younger one that is alike")
