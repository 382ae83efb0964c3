"""The ladder of a slot: all that is bought and sold in this slot alone, as one stack of steps.

Theory of operation
-------------------
A sell at 3 is ready to give a node from price 3 on. A buy at 8 that is not filled may be seen as a
node that its buyer keeps from the others, and gives up from price 8 on. So both are steps of one
stack by ascending price, and a price cuts it: steps below are *on* (sells that sold, buys that
were not filled), steps above are *off* (sells that did not sell, buys that were filled).

`on` counts the nodes that are on. With `on` = all nodes of the buys the slot clears by itself; each
node more goes to orders of longer windows, each node fewer comes from them.

The lowest step is the operator's: it takes any node for nothing (`disposal`), which keeps prices
from falling below 0.

Example: sells a (2 nodes at 3) and b (1 at 9), a buy c (1 at 8). The stack is
disposal | a a | c | b, and the slot alone has `on` = disposal + 1: one node of a is sold to c. One
more node for a longer order costs 3, a second takes c's away and costs 8, a third costs 9.
"""

import bisect

import msgspec


class Rung(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A step of the stack."""

    cost: int
    """The price, with its rank among equals below the unit of a micro-unit."""
    price_micros: int
    """Per node for the whole slot."""
    nodes: int
    order: int | None
    """Its place among the batch's orders; None: the operator."""
    is_buy: bool


class Ladder:
    """The rungs of one slot and how many nodes of them are on."""

    __slots__ = ("ends", "on", "rungs", "start")

    def __init__(self, rungs: list[Rung]) -> None:
        self.rungs = tuple(sorted(rungs, key=lambda rung: rung.cost))
        self.ends: list[int] = []
        """Nodes of each rung and all below."""
        total = 0
        for rung in self.rungs:
            total += rung.nodes
            self.ends.append(total)
        self.start = sum(rung.nodes for rung in self.rungs if rung.is_buy)
        self.on = self.start
        assert 0 < self.on <= total, "the operator takes any node for nothing"

    def dearer(self) -> tuple[int, int]:
        """(cost, nodes) of the next nodes to go on; no nodes where all are."""
        place = bisect.bisect_right(self.ends, self.on)
        if place == len(self.rungs):
            return 0, 0
        return self.rungs[place].cost, self.ends[place] - self.on

    def cheaper(self) -> tuple[int, int]:
        """(cost, nodes) of the first nodes to go off; no nodes where none is on."""
        if self.on == 0:
            return 0, 0
        place = bisect.bisect_left(self.ends, self.on)
        below = self.ends[place - 1] if place else 0
        return self.rungs[place].cost, self.on - below

    def bounds(self) -> tuple[int, int | None]:
        """The least and the greatest price, per node for the slot, at which the ladder stands so;
        no greatest: all rungs are on."""
        last = bisect.bisect_left(self.ends, self.on)
        following = bisect.bisect_right(self.ends, self.on)
        least = self.rungs[last].price_micros if self.on else 0
        if following == len(self.rungs):
            return least, None
        return least, self.rungs[following].price_micros

    def filled(self) -> list[tuple[int, int]]:
        """(order, nodes) of the orders that trade in this slot alone, those of 0 nodes left out."""
        found: list[tuple[int, int]] = []
        below = 0
        for rung in self.rungs:
            on = min(max(self.on - below, 0), rung.nodes)
            below += rung.nodes
            nodes = rung.nodes - on if rung.is_buy else on
            if rung.order is not None and nodes:
                found.append((rung.order, nodes))
        return found

    def sold_by_operator(self) -> int:
        """Nodes that the operator sells, less those that it takes."""
        found = below = 0
        for rung in self.rungs:
            on = min(max(self.on - below, 0), rung.nodes)
            below += rung.nodes
            if rung.order is None:
                found += on - rung.nodes if rung.is_buy else on
        return found
