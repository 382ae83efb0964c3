"""The matching of a batch: fills of greatest benefit, with one price for each slot.

Theory of operation
-------------------
Were every order divisible, the cheapest circulation (`network`) would be the answer: its fills are
whole nodes, because the matrix of intervals is totally unimodular, and its prices leave no order
that would trade at them unfilled.

All-or-nothing buys are taken in as if they were divisible. The theorem that makes this work: a set
of them can be filled whole at uniform prices exactly if the cheapest circulation of the divisible
relaxation fills all of them whole. So:

1. Fill everything.
2. While a block is filled in part, take one out: that with the least part, of equals the younger.
3. Try the blocks that were taken out once more, the one that is furthest inside the prices first,
   at most `reinsertions` times. A try stands if it leaves no block in part and raises the benefit;
   blocks that it leaves in part are taken out as in 2.

Step 3 ends at a local optimum: which set of blocks is best is a hard problem, and the benefit that
is missed is published (docs/book.md). Given the set, fills and prices are exact.

Example: an ask of 11 nodes at 10 in one slot, A buys 6 whole up to 16, B buys 6 divisible up to 12.
The relaxation fills A and 5 of B at 12. With A's 6 nodes as 12, A would get 11 of 12 and is taken
out; B gets its 6 at 10.
"""

from parkade.core.book.building import Built
from parkade.core.book.orders import Batch, Buy, Sell, check_batch
from parkade.core.book.outcome import Fill, Matched
from parkade.core.book.supporting import middle_prices

REINSERTIONS = 20
"""Blocks that are tried again."""


def match(batch: Batch, *, reinsertions: int = REINSERTIONS) -> Matched:
    """Matches a batch; raises BadBatch where it is none.

    Cost: about one Dijkstra over the slots for each order, and for each of its steps that a change
    of flow passes.
    """
    check_batch(batch)
    built = Built(batch)
    return outcome_of(built, solve(built, reinsertions=reinsertions))


def solve(built: Built, *, reinsertions: int) -> frozenset[int]:
    """Fills a network; gives the blocks that were taken out."""
    blocks = [
        place
        for place in built.arcs
        if isinstance(order := built.batch.orders[place], Buy) and order.is_whole
    ]
    for place in sorted(built.arcs, key=lambda it: _eagerness(built, it)):
        built.network.fill(built.arcs[place], built.nodes(place))
    out: set[int] = set()
    _take_out_parts(built, blocks, out)
    tried: set[int] = set()
    for _ in range(reinsertions):
        deepest = _deepest(built, out - tried)
        if deepest is None:
            break
        tried.add(deepest)
        kept, out_before = built.network.keep(), set(out)
        out.remove(deepest)
        built.network.fill(built.arcs[deepest], built.nodes(deepest))
        _take_out_parts(built, blocks, out)
        if built.network.cost >= kept.cost:
            built.network.restore(kept)
            out = out_before
    for place in sorted(out):
        if _gain(built, place) <= 0:
            built.network.fill(built.arcs[place], built.nodes(place))
            out.remove(place)
    return frozenset(out)


def outcome_of(built: Built, out: frozenset[int]) -> Matched:
    """Fills and prices of a solved network."""
    batch = built.batch
    pieces: list[tuple[int, int, int, int]] = []
    for place, arc in built.arcs.items():
        nodes = built.network.flow(arc)
        if nodes:
            order = batch.orders[place]
            pieces.append((place, order.start, order.end, nodes))
    for slot, ladder in enumerate(built.network.ladders):
        pieces += ((place, slot, slot + 1, nodes) for place, nodes in ladder.filled())
    prices = middle_prices(built, out)
    left_out = tuple(batch.orders[place].order for place in sorted(out))
    return Matched(fills=_joined(batch, pieces), prices_micros=prices, left_out=left_out)


def _eagerness(built: Built, place: int) -> tuple[bool, int, int]:
    """Cheap sells come first, then dear buys. Any order comes to the same fills; in this one few of
    them are displaced on the way, which takes half the time."""
    order = built.batch.orders[place]
    match order:
        case Sell():
            return False, order.limit_micros, place
        case Buy():
            return True, -order.limit_micros, place


def _joined(batch: Batch, pieces: list[tuple[int, int, int, int]]) -> tuple[Fill, ...]:
    """Slots of an order that follow each other with as many nodes are one fill."""
    joined: list[tuple[int, int, int, int]] = []
    for place, start, end, nodes in sorted(pieces):
        if joined and joined[-1][0] == place and joined[-1][2:] == (start, nodes):
            start = joined.pop()[1]
        joined.append((place, start, end, nodes))
    return tuple(
        Fill(order=batch.orders[place].order, start=start, end=end, nodes=nodes)
        for place, start, end, nodes in joined
    )


def _take_out_parts(built: Built, blocks: list[int], out: set[int]) -> None:
    """Until no block is filled in part; adds to `out` what is taken out."""
    while True:
        worst: tuple[int, int, int] | None = None
        for place in blocks:
            nodes, flow = built.nodes(place), built.network.flow(built.arcs[place])
            if 0 < flow < nodes and (
                worst is None or (flow * worst[1], -place) < (worst[0] * nodes, -worst[2])
            ):
                worst = flow, nodes, place
        if worst is None:
            return
        built.network.take_out(built.arcs[worst[2]])
        out.add(worst[2])


def _deepest(built: Built, out: set[int]) -> int | None:
    """The block that would gain most at the prices; the oldest of equals, None where none gains."""
    gains = [(_gain(built, place), -place) for place in out]
    gain, place = max(gains, default=(0, 0))
    return -place if gain > 0 else None


def _gain(built: Built, place: int) -> int:
    """What all nodes of an order that trades nothing would gain at the network's prices."""
    order, prices = built.batch.orders[place], built.network.prices
    cost = built.network.costs[built.arcs[place]]
    return order.nodes * (prices[order.start] - prices[order.end] - cost)
