"""What a market's last clearings came to, so that none is computed again where only time passed.

Theory of operation
-------------------
A clearing depends on its `MarketState` alone, and of that on time in two ways only:

- The allocation asks of a node whether it is free now, and for whom (`free_now`), but only where
  an owner or on-demand does not stay where it is. Prices ask no instant.
- The seating asks in addition which of two nodes is ready sooner, and for the org that left it last
  (`placement.nodes`). It compares instants and never adds them, so their order decides.

So two states are *counted alike* where they are equal but for instants and last orgs, and each node
is free now in both or in neither, for the same orgs, unless that was not asked. Then allocation and
prices are equal. Where in addition the last orgs are the same and all instants of their nodes have
the same order (0, now, among them), the whole outcome is equal.
The first costs a comparison of two tuples of demands, which ends at the first that differs.

Example. w1 runs on a1 and a2, and the market is cleared each 30 s. What runs could be gone by now
plus notice, so `free_from_us` is another number in each clearing, and the greatest in each: the
outcome is known. When w2 on b1 is told to leave by 12:02:00, b1 is ready before a1 and a2 in all
clearings until then: the seating is decided once, and w1 and all prices are known still. At
12:02:00 b1 is free now, and all is decided anew.

Nothing is forgotten but by room: an answer stays right however old it is. Tests compare each answer
with the whole computation. Decision record 162.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from parkade.core.market.allocation import Allocation
from parkade.core.market.layout import build_layout
from parkade.core.market.market_state import Demand, MarketState, NodeInPlay
from parkade.core.market.outcome import Clearing
from parkade.core.market.prices.critical_values import Prices

MOST_REMEMBERED = 2
"""Clearings of a market: a workload that comes and goes leads back to the one before the last."""


class Remembered(NamedTuple):
    """A clearing, and the first allocation and prices on the way to it."""

    state: MarketState
    allocation: Allocation
    prices: Prices
    outcome: Clearing


class Asked(NamedTuple):
    """The demands of bids without seats, as a clearing was given them."""

    terms: object
    """Those of the market that bear on demands."""

    by_name: dict[str, tuple[object, Demand]]
    """The very record that each follows from, and it."""


class Allocated(NamedTuple):
    """An allocation that came to no clearing, or to none yet."""

    state: MarketState
    allocation: Allocation


class Memory:
    """The last clearings of one market; it changes no answer. `asked`: what waited in the last."""

    __slots__ = ("_allocated", "_last", "asked")

    def __init__(self) -> None:
        self.asked = Asked(None, {})
        self._allocated: tuple[Allocated, ...] = ()
        self._last: tuple[Remembered, ...] = ()

    def counted_alike(self, state: MarketState) -> Remembered | None:
        """The last clearing with the same allocation and prices; None where none is known."""
        for known in reversed(self._last):
            asks_instants = known.allocation.reserved.asks_instants
            if are_counted_alike(known.state, state, asks_instants=asks_instants):
                return known
        return None

    def allocated(self, state: MarketState) -> Allocation | None:
        """The allocation of a state, where one was counted alike; None where none is known."""
        kept: tuple[Remembered | Allocated, ...] = (*self._last, *self._allocated)
        for known in reversed(kept):
            if known.state is state:
                return known.allocation
            asks_instants = known.allocation.reserved.asks_instants
            if are_counted_alike(known.state, state, asks_instants=asks_instants):
                return with_instants_of(state, known.allocation)
        return None

    def keep_allocation(self, state: MarketState, allocation: Allocation) -> None:
        """The oldest that came to no clearing is forgotten."""
        self._allocated = (*self._allocated, Allocated(state, allocation))[-MOST_REMEMBERED:]

    def keep(self, known: Remembered, *, instead_of: Remembered | None) -> None:
        """The one that was counted alike is forgotten, or the oldest."""
        others = tuple(it for it in self._last if it is not instead_of)
        self._last = (*others, known)[-MOST_REMEMBERED:]


def are_counted_alike(one: MarketState, other: MarketState, *, asks_instants: bool) -> bool:
    """Whether the allocation and the prices of both are equal, as far as a look tells.
    `asks_instants`: whether those of the one asked which nodes are free now."""
    return (
        one.demands == other.demands
        and one.reservations == other.reservations
        and one.terms == other.terms
        and one.gpus_per_node == other.gpus_per_node
        and len(one.nodes) == len(other.nodes)
        and all(map(_is_room_alike, one.nodes, other.nodes))
        and (not asks_instants or all(map(_is_free_alike, one.nodes, other.nodes)))
    )


def _is_room_alike(one: NodeInPlay, other: NodeInPlay) -> bool:
    return one is other or (
        one.node == other.node
        and one.fabric == other.fabric
        and one.gpus == other.gpus
        and one.is_open == other.is_open
    )


def _is_free_alike(one: NodeInPlay, other: NodeInPlay) -> bool:
    return one is other or (
        (one.free_from_us <= 0) == (other.free_from_us <= 0)
        and (one.clean_from_us <= 0) == (other.clean_from_us <= 0)
        and (one.last_org == other.last_org or one.clean_from_us <= 0)
    )


def are_of_one_order(one: Iterable[NodeInPlay], other: Iterable[NodeInPlay]) -> bool:
    """Whether these nodes were left by the same orgs, node by node, and all their instants and 0
    have the same order in both."""
    both = {(0, 0)}
    for a, b in zip(one, other, strict=True):
        if a.last_org != b.last_org:
            return False
        both.add((a.free_from_us, b.free_from_us))
        both.add((a.clean_from_us, b.clean_from_us))
    return all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(sorted(both)))


def with_instants_of(state: MarketState, allocation: Allocation) -> Allocation:
    """The allocation of a state that was counted alike, with the nodes of this one."""
    layout = build_layout(state)
    plain = allocation.plain
    if plain is not None:
        plain = plain._replace(layout=layout)
    return allocation._replace(layout=layout, plain=plain)
