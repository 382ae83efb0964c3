"""What stands in a book: orders for windows of whole nodes, and what the operator sells and buys.

A window is whole *slots* of the batch's grid. Limits are micro-units per node and hour, so an
order's limit for one node over its whole window is limit x hours, in whole micro-units.
"""

import itertools

import msgspec

from parkade.core.units.bounds import LIMIT_PRICE_MICROS, NODES

MOST_ORDERS = 10_000
"""Of one batch."""
MOST_SLOTS = 4_368
"""26 weeks of hours."""
MOST_STEPS = 64
"""Of the operator in one slot: asks and bids together."""

MOST_LIMIT_MICROS = 64 * LIMIT_PRICE_MICROS.most
"""Of a node of 64 GPUs."""


class Buy(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="buy"):
    """An org wants nodes, each from the start to the end of the window."""

    order: str
    org: str
    start: int
    """The first slot."""
    end: int
    """The slot after the last."""
    nodes: int
    limit_micros: int
    """The most that it pays, per node and hour, over the whole window on average."""
    is_whole: bool
    """All nodes or none; else any number of them."""


class Sell(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="sell"):
    """An org gives nodes up that it holds over the window, any number of them."""

    order: str
    org: str
    start: int
    end: int
    nodes: int
    limit_micros: int
    """The least that it takes, per node and hour."""
    is_by_slot: bool
    """Each slot may be sold apart, at the limit or more; else a node goes for the whole window."""


Order = Buy | Sell


class Step(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Nodes that the operator sells in a slot from a price on, or buys up to a price."""

    slot: int
    nodes: int
    price_micros: int
    """Per node and hour."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """All orders that one cut of a fabric's book matches."""

    boundaries: tuple[int, ...]
    """Hours, ascending: slot k is from boundary k to boundary k + 1."""
    orders: tuple[Order, ...]
    """Oldest first: of two that are alike the older is filled first."""
    asks: tuple[Step, ...]
    """What the operator sells; slots in any order, of one slot ascending by price."""
    bids: tuple[Step, ...]
    """What the operator buys back; of one slot descending by price."""

    @property
    def slots(self) -> int:
        """How many there are."""
        return len(self.boundaries) - 1

    def hours(self, start: int, end: int) -> int:
        """The length of a window of slots."""
        return self.boundaries[end] - self.boundaries[start]

    def limit_of(self, order: Order) -> int:
        """Micro-units for one node over the whole window."""
        return order.limit_micros * self.hours(order.start, order.end)


class BadBatch(ValueError):
    """The orders are no batch; the message says which and why."""


def check_batch(batch: Batch) -> None:
    """Raises BadBatch for what no batch may hold.

    An org with a buy and a sell of a common slot would trade with itself, so both are refused.
    Cost: orders x log orders.
    """
    grid = batch.boundaries
    if not 2 <= len(grid) <= MOST_SLOTS + 1 or any(b <= a for a, b in itertools.pairwise(grid)):
        raise BadBatch(f"a grid is 1 to {MOST_SLOTS} slots between ascending hours")
    if len(batch.orders) > MOST_ORDERS:
        raise BadBatch(f"a batch has at most {MOST_ORDERS} orders, not {len(batch.orders)}")
    seen: set[str] = set()
    for order in batch.orders:
        if order.order in seen:
            raise BadBatch(f"two orders are named {order.order}; name each once")
        seen.add(order.order)
        _check_order(batch, order)
    _check_steps(batch)
    crossed = _self_cross(batch.orders)
    if crossed is not None:
        raise BadBatch(
            f"{crossed[0].org} buys with {crossed[0].order} and sells with {crossed[1].order} in"
            " the same hours; an org has one side in an hour"
        )


def _check_order(batch: Batch, order: Order) -> None:
    if not 0 <= order.start < order.end <= batch.slots:
        raise BadBatch(f"{order.order}: the window lies outside the grid, or is empty")
    if not NODES.holds(order.nodes):
        raise BadBatch(f"{order.order}: {NODES.least} to {NODES.most} nodes, not {order.nodes}")
    if not 1 <= order.limit_micros <= MOST_LIMIT_MICROS:
        raise BadBatch(f"{order.order}: the limit is more than 0, and at most 1,000,000 per GPU")


def _check_steps(batch: Batch) -> None:
    counts = [0] * batch.slots
    for step in (*batch.asks, *batch.bids):
        if not 0 <= step.slot < batch.slots:
            raise BadBatch("a step of the operator lies outside the grid")
        if not NODES.holds(step.nodes) or not 0 <= step.price_micros <= MOST_LIMIT_MICROS:
            raise BadBatch("a step of the operator has no nodes, or no price")
        counts[step.slot] += 1
    if max(counts) > MOST_STEPS:
        raise BadBatch(f"the operator has more than {MOST_STEPS} steps in one slot")


def _self_cross(orders: tuple[Order, ...]) -> tuple[Buy, Sell] | None:
    """An org's buy and sell that share a slot, by the org's orders in order of their start."""
    latest: dict[tuple[str, bool], Order] = {}
    for order in sorted(orders, key=lambda it: it.start):
        other = latest.get((order.org, isinstance(order, Sell)))
        if other is not None and other.end > order.start:
            match order, other:
                case Buy(), Sell():
                    return order, other
                case Sell(), Buy():
                    return other, order
        mine = (order.org, isinstance(order, Buy))
        before = latest.get(mine)
        if before is None or before.end < order.end:
            latest[mine] = order
    return None
