"""What a winner pays: its critical value, the least it could have bid and still have won.

With the winner taken out, the allocation goes on below its turn. Its price is the key of the
rival at whose turn its shape no longer fits at a floor within that price, divided by its own
factor and rounded up to a micro-unit; at least the highest floor that it draws; never above its
limit. Winning a tie is not charged. A loser, which would have to bid more, is told a price that
wins whatever the ties.

`sweep` answers that for all bids of one fabric at once and explains how. A bid that
the sweep does not hold (a gang that may use any fabrics) is priced by running the rest of the
allocation again (`reruns`), and so is what is counted where it stands (`pinned`).

In the example of `allocation` (a: 2 nodes, limit 10; b: 1 node, 8; c: 1 node, 6):

| bid | without it | price |
|---|---|---|
| a | b takes a node of birch, and 2 nodes fit nowhere any more | 8, set by b |
| b | c does not reach the floor 7 of amber, so b's node stays free | 7, its floor |
| c | (lost) amber's node at 7 was left until b took it | would win with 8.000001 |

Once they run, their factors are 21 and not 20, so that a rival's key of 8 x 20 is reached by
7.619048: the price falls by the switching credit (`test_critical_values.py`).

Members of an array that wait are no rivals of those that won: an array with more members than the
market holds does not pay its own limit for it. To all others they are rivals like any bid.

The one surprising rule: a gang with closed nodes is priced by the question that it asks, which is
for the rest of its shape where it stands and for all of it elsewhere. Its closed nodes cost the
floor that its seats drew when they closed, and a limit below that loses them. So a gang whose nodes
are all closed pays just that floor, and no limit that it could name gains.
"""

from typing import NamedTuple

from parkade.core.market.allocation import Allocation
from parkade.core.market.layout import Parts
from parkade.core.market.market_state import MarketState
from parkade.core.market.prices.bounded import ask_by_node, bound_by_node, bound_price
from parkade.core.market.prices.counterfactuals import Difference, PriceQuery, shifted
from parkade.core.market.prices.pinned import price_pinned
from parkade.core.market.prices.protected import ask_protected, price_protected
from parkade.core.market.prices.reruns import CriticalValue, price_newcomer, price_winner
from parkade.core.market.prices.sweep import CounterfactualSweep
from parkade.core.market.priority import newcomer_factor
from parkade.core.market.spot import Bid
from parkade.core.placement.room import Shape


class Prices(NamedTuple):
    """All prices of one clearing, in micro-units per GPU-hour."""

    paid: dict[str, tuple[int, str | None]]
    """By spot winner: its price, and the rival that set it; of an elastic one its last node's."""

    to_win: dict[str, int]
    """By spot loser: the least limit that would have won; losers that no limit helps are absent."""

    ladder: tuple[tuple[int, int | None], ...]
    """(nodes, price) for newcomers of 1, 2, 4, 8, … whole nodes in one fabric."""

    by_node: dict[str, tuple[tuple[int, str | None], ...]]
    """By elastic winner: price and rival of each of its nodes, never falling."""

    def paid_micros(self, demand: str) -> int | None:
        """A spot winner's price; None for others."""
        found = self.paid.get(demand)
        return None if found is None else found[0]


def price_all(state: MarketState, allocation: Allocation) -> Prices:
    """Prices of all winners, what losers would need, and the ladder.

    Costs one sweep, two where bids are pinned or step aside, and a re-run of the allocation for
    each winner, and each shape of losers, that may use any fabrics.
    """
    if allocation.plain is None:
        return _price_turns(state, allocation)
    prices = _price_turns(state, allocation, asks_losers=False)
    pinned = price_pinned(allocation)
    paid = {bid.name: bound_price(pinned[bid.name], bid, it) for bid, it in allocation.pinned}
    # Whoever wins in the plain allocation wins in this, so that is what a loser would need.
    asked = _price_turns(state, allocation.plain, asks_winners=False)
    to_win = {name: it for name, it in asked.to_win.items() if name not in allocation.parts}
    return prices._replace(paid=prices.paid | paid, to_win=to_win, ladder=asked.ladder)


def _price_turns(
    state: MarketState,
    allocation: Allocation,
    *,
    asks_winners: bool = True,
    asks_losers: bool = True,
) -> Prices:
    """As `price_all`, for the bids that took their turns: what winners pay, and what losers and the
    sizes of the ladder would need, or one of both."""
    sweep = CounterfactualSweep(allocation.start)
    if asks_winners:
        ask_protected(sweep, allocation)
    newcomer = newcomer_factor(state.terms, state.gpus_per_node)
    sizes = _ladder_sizes(allocation) if asks_losers else []
    losing = _losing(allocation) if asks_losers else []
    for shape, factor in dict.fromkeys([*((shape, newcomer) for shape in sizes), *losing]):
        if not shape.any_fabric:
            sweep.add_query({}, shape, PriceQuery(factor, True, (shape, factor)))
    reruns = []
    as_one = _SharedNode(sweep)
    for at, (bid, parts) in enumerate(zip(allocation.bids, allocation.bid_parts, strict=True)):
        if bid.shared_node != as_one.node:
            as_one = as_one.ended(bid.shared_node)
        taken = sweep.take_turn(bid, parts)
        if not asks_winners:
            continue
        if bid.shared_node:
            as_one.add(bid, parts, taken)
        elif parts is not None and bid.shape.any_fabric:
            reruns.append(at)
        elif parts is not None and bid.sizes is not None:
            ask_by_node(sweep, bid, bid.sizes, parts, taken)
        elif parts is not None:
            query = PriceQuery(bid.factor, False, bid.name)
            sweep.add_query(shifted({}, {}, taken), bid.shape, query, bid.array)
    as_one.ended("")
    answers = sweep.finish()
    for shape, factor in losing:
        if shape.any_fabric:
            answers[shape, factor] = price_newcomer(allocation, shape, factor)
    paid: dict[str, tuple[int, str | None]] = {}
    to_win: dict[str, int] = {}
    for at in reruns:
        answers[allocation.bids[at].name] = price_winner(allocation, at)
    by_node: dict[str, tuple[tuple[int, str | None], ...]] = {}
    for bid, parts in zip(allocation.bids, allocation.bid_parts, strict=True):
        if parts is None:
            found = answers[bid.shape, bid.factor][0] if asks_losers else None
            if found is not None:
                to_win[bid.name] = found
        elif asks_winners and bid.sizes is not None:
            by_node[bid.name] = bound_by_node(bid, parts, answers)
            paid[bid.name] = by_node[bid.name][-1]
        elif asks_winners:
            paid[bid.name] = bound_price(CriticalValue(*answers[bid.name]), bid, parts)
    if asks_winners:
        protected = price_protected(allocation, answers)
        paid |= {name: prices[-1] for name, prices in protected.items()}
        elastic = (bid.name for bid, _ in allocation.protected.counted if bid.sizes is not None)
        by_node |= {name: protected[name] for name in elastic}
    assert all(name in allocation.parts for name in paid), "a loser pays"
    ladder = tuple((shape.nodes, answers[shape, newcomer][0]) for shape in sizes)
    return Prices(paid, to_win, ladder, by_node)


class _SharedNode:
    """The jobs of one shared node, which take their turns one after the other.

    Each is priced in the counterfactual without all of them, because all of them stand or fall with
    the key that its limit bears on.
    """

    __slots__ = ("_sweep", "_taken", "_winners", "node")

    def __init__(self, sweep: CounterfactualSweep, node: str = "") -> None:
        self.node = node
        self._sweep = sweep
        self._taken: Difference = {}
        self._winners: list[Bid] = []

    def add(self, bid: Bid, parts: Parts | None, taken: Difference) -> None:
        """One of its jobs took its turn, and `taken` from the base."""
        self._taken = shifted(self._taken, taken, {})
        if parts is not None:
            self._winners.append(bid)

    def ended(self, next_node: str) -> "_SharedNode":
        """All its jobs took their turns: ask for their prices. The next node's jobs begin."""
        without = shifted({}, {}, self._taken)
        for bid in self._winners:
            gpus = bid.shape.nodes * bid.shape.gpus
            query = PriceQuery(bid.factor, False, bid.name, gpus, bid.mates)
            self._sweep.add_query(without, bid.shape, query, bid.array)
        return _SharedNode(self._sweep, next_node)


def _ladder_sizes(allocation: Allocation) -> list[Shape]:
    """Whole-node gangs of 1, 2, 4, 8, … nodes, up to the largest fabric."""
    largest = max(allocation.layout.size, default=0)
    return [
        Shape(1 << power, allocation.layout.node_gpus, None, any_fabric=False)
        for power in range(largest.bit_length())
    ]


def _losing(allocation: Allocation) -> list[tuple[Shape, int]]:
    """The different (shape, factor) of the losers: all of one pair have one price to win."""
    return list(
        dict.fromkeys(
            (bid.shape, bid.factor)
            for bid, parts in zip(allocation.bids, allocation.bid_parts, strict=True)
            if parts is None and bid.shape.gpus <= allocation.layout.node_gpus
        )
    )
