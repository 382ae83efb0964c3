"""From a batch to its network, with ranks that settle every tie.

Costs are prices times a *unit*, less a rank far below the unit: each order has a power of two, the
oldest the greatest, and the operator's steps come after all orders. The powers decide only between
fills of the same benefit. No two different sets of powers have the same sum, so equal orders are
filled oldest first, and no way of solving can come to other fills.
"""

from parkade.core.book.ladder import Ladder, Rung
from parkade.core.book.network import Network
from parkade.core.book.orders import MOST_STEPS, Batch, Buy, Order, Sell


class Built:
    """A network without flow but what slots clear by themselves, and the arc of each order that has
    one; `unit` is what a micro-unit costs."""

    __slots__ = ("arcs", "batch", "network", "unit")

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        shift = (batch.slots * (MOST_STEPS + 1)).bit_length() + 1
        count = len(batch.orders)
        self.unit = 1 << (shift + count + batch.slots.bit_length() + 1)
        ranks = [1 << (shift + count - 1 - place) for place in range(count)]
        self.network = Network(_ladders(batch, self.unit, ranks))
        self.arcs: dict[int, int] = {}
        for place, order in enumerate(batch.orders):
            if not is_of_slots(order):
                self.arcs[place] = self._arc(order, ranks[place])

    def _arc(self, order: Order, rank: int) -> int:
        worth = self.batch.limit_of(order) * self.unit
        match order:
            case Buy():
                return self.network.add(order.start, order.end, -worth - rank)
            case Sell():
                return self.network.add(order.end, order.start, worth - rank)

    def nodes(self, place: int) -> int:
        """Of an order."""
        return self.batch.orders[place].nodes


def is_of_slots(order: Order) -> bool:
    """Whether ladders hold it: each of its slots is traded apart, any number of nodes."""
    match order:
        case Buy():
            return order.end - order.start == 1 and not order.is_whole
        case Sell():
            return order.is_by_slot or order.end - order.start == 1


def _ladders(batch: Batch, unit: int, ranks: list[int]) -> list[Ladder]:
    """A rung stands in the ladders of all slots of its order that are as long."""
    hours = [batch.hours(slot, slot + 1) for slot in range(batch.slots)]
    rungs: list[list[Rung]] = [[] for _ in hours]
    sold = [0] * (batch.slots + 1)
    for place, order in enumerate(batch.orders):
        is_buy = isinstance(order, Buy)
        if not is_buy:
            sold[order.start] += order.nodes
            sold[order.end] -= order.nodes
        if not is_of_slots(order):
            continue
        rank = ranks[place] if is_buy else -ranks[place]
        by_hours: dict[int, Rung] = {}
        for slot in range(order.start, order.end):
            rung = by_hours.get(hours[slot])
            if rung is None:
                price = order.limit_micros * hours[slot]
                cost = price * unit + rank
                rung = _rung(cost, price, order.nodes, place, is_buy=is_buy)
                by_hours[hours[slot]] = rung
            rungs[slot].append(rung)
    for number, step in enumerate(batch.asks):
        price = step.price_micros * hours[step.slot]
        cost = price * unit + 1 + number % MOST_STEPS
        rungs[step.slot].append(_rung(cost, price, step.nodes, None, is_buy=False))
        sold[step.slot] += step.nodes
        sold[step.slot + 1] -= step.nodes
    for number, step in enumerate(batch.bids):
        price = step.price_micros * hours[step.slot]
        cost = price * unit - 1 - number % MOST_STEPS
        rungs[step.slot].append(_rung(cost, price, step.nodes, None, is_buy=True))
    level = 1
    for slot, found in enumerate(rungs):
        level += sold[slot]
        found.append(_rung(-MOST_STEPS - 1, 0, level, None, is_buy=True))
    return [Ladder(found) for found in rungs]


def _rung(cost: int, price: int, nodes: int, order: int | None, *, is_buy: bool) -> Rung:
    return Rung(cost=cost, price_micros=price, nodes=nodes, order=order, is_buy=is_buy)
