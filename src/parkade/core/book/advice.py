"""What would have filled an all-or-nothing buy that trades nothing: fewer nodes, parts, or a limit.

Each answer was tried: the same batch with this one order changed was matched, and the order traded.
So an answer is true of the batch, and says nothing of the next one.
"""

import msgspec
from msgspec import structs

from parkade.core.book.building import Built
from parkade.core.book.matching import REINSERTIONS, match, solve
from parkade.core.book.orders import MOST_LIMIT_MICROS, Batch, Buy
from parkade.core.book.outcome import Matched
from parkade.core.units.money import ceil_div

MOST_TRIES = 6
"""For each of the three answers."""


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """Changes that fill the order, each by itself; None: none was found."""

    order: str
    nodes: int | None
    """So many, all or nothing, at its limit."""
    in_parts: int | None
    """Without all or nothing it gets so many."""
    limit_micros: int | None
    """Per node and hour, for all its nodes."""


def advise(batch: Batch, place: int, *, reinsertions: int = REINSERTIONS) -> Advice:
    """Advice for the all-or-nothing buy at a place of the batch.

    Cost: at most 3 x `MOST_TRIES` matchings.
    """
    order = batch.orders[place]
    assert isinstance(order, Buy) and order.is_whole
    tried = _Tried(batch, place, reinsertions)
    in_parts = tried.nodes(structs.replace(order, is_whole=False))
    return Advice(
        order=order.order,
        nodes=_fewer(tried, order, in_parts),
        in_parts=in_parts or None,
        limit_micros=_limit(tried, order),
    )


class _Tried:
    """The batch with one order changed."""

    def __init__(self, batch: Batch, place: int, reinsertions: int) -> None:
        self.batch, self.place, self.reinsertions = batch, place, reinsertions

    def with_order(self, order: Buy) -> Batch:
        """The changed batch."""
        orders = list(self.batch.orders)
        orders[self.place] = order
        return structs.replace(self.batch, orders=tuple(orders))

    def nodes(self, order: Buy) -> int:
        """What it trades then."""
        found: Matched = match(self.with_order(order), reinsertions=self.reinsertions)
        return sum(fill.nodes for fill in found.fills if fill.order == order.order)

    def last_node(self, order: Buy) -> int | None:
        """The least limit of one node over the window that keeps the order's last node, but for
        ties, where it trades; None where it does not."""
        built = Built(self.with_order(order))
        solve(built, reinsertions=self.reinsertions)
        arc = built.arcs[self.place]
        if built.network.flow(arc) < order.nodes:
            return None
        return built.network.way_without(arc) // built.unit


def _fewer(tried: _Tried, order: Buy, most: int) -> int | None:
    """The most nodes found that trade as all or nothing, halving from what parts would get."""
    nodes = min(most, order.nodes - 1)
    for _ in range(MOST_TRIES):
        if nodes < 1:
            return None
        if tried.nodes(structs.replace(order, nodes=nodes)) == nodes:
            return nodes
        nodes = nodes // 2 if nodes < 8 else nodes - max(1, nodes // 8)
    return None


def _limit(tried: _Tried, order: Buy) -> int | None:
    """A limit that fills it: the value of its last node in a batch in which it trades at any price,
    else higher ones."""
    at_any_price = structs.replace(order, limit_micros=MOST_LIMIT_MICROS)
    last_node = tried.last_node(at_any_price)
    if last_node is None:
        return None
    hours = tried.batch.hours(order.start, order.end)
    limit = max(ceil_div(last_node, hours), order.limit_micros + 1)
    for step in range(MOST_TRIES):
        if tried.nodes(structs.replace(order, limit_micros=limit)) == order.nodes:
            return limit
        # At the limit itself an older order may come first; beyond it, another block.
        limit += max(1, limit >> (MOST_TRIES + 2 - step)) if step else 1
        if limit > MOST_LIMIT_MICROS:
            break
    return None
