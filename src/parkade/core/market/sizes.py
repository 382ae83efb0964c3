"""How many nodes an elastic bid takes in its turn, and which question prices each of them.

Theory of operation
-------------------
An elastic bid wants between `least` and `most` whole nodes of one fabric. What a fabric *offers* it
is the number of free nodes at floors within its limit.

1. A bid that starts, or starts anew because a node of it left play, takes the fabric that offers
   most, up to `most`; of equal ones its own, then the cheapest highest floor, then the tightest.
2. A bid that stands on s nodes keeps them where its own fabric offers s. It grows there where the
   fabric offers at least `grows_to` nodes: a program that grows is started again, which idles its
   s nodes, so a small growth is worth less than it costs (decision record 89).
3. Where its own fabric offers fewer than s it takes the fabric that offers most, up to s, its own
   first. So it shrinks only where no fabric holds all of it.

The number of nodes never falls as its limit rises, whichever rule applies. So each node has a
*critical value*: the k-th costs the least limit with which the whole bid would have got at least k.
A size that no rule allows is priced as the next that one does (`asked_for`).

Example: amber has 6 nodes at floor 1. e asks for 2 to 5 nodes with limit 10, the gang g for 3 with
limit 7. e takes 5, and g finds 1. Without e, g takes 3, so 3 nodes stay at floor 1: the first three
nodes of e pay 1 and the fourth and fifth pay 7, by g. At limit 6 e would have taken 3.

The one surprising rule: a bid's own other nodes never set its price. Its k-th node is priced in the
market without the whole of it.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from parkade.core.market.layout import Layout, own_fabrics
from parkade.core.market.market_state import Demand
from parkade.core.placement.room import Shape


class Sizes(NamedTuple):
    """The sizes that an elastic bid may have."""

    least: int
    most: int

    stands: int
    """Nodes that it holds and keeps together, at most `most`; 0: it starts, or starts anew."""

    grows_to: int
    """The least size above `stands`; more than `most` where it does not grow."""

    def standing(self, offered: int) -> int:
        """How many of the nodes that its own fabric offers it takes there; at least `stands`."""
        assert offered >= self.stands > 0, "it does not stand there"
        most = min(offered, self.most)
        return most if most >= self.grows_to else self.stands


def sizes_of(demand: Demand, layout: Layout) -> Sizes | None:
    """The sizes of a demand; None where it has one only."""
    if demand.most_nodes == 0:
        return None
    assert demand.most_nodes >= demand.nodes > 0, f"{demand.demand} has no size"
    assert demand.gpus == layout.node_gpus, f"{demand.demand} is elastic below a node"
    own = own_fabrics(demand, layout)
    held = len(demand.seats)
    is_whole = len(own) == 1 and sum(own.values()) == held >= demand.nodes
    if not is_whole:
        return Sizes(demand.nodes, demand.most_nodes, 0, 0)
    stands = min(held, demand.most_nodes)
    grows_to = stands + demand.grows_by if demand.grows_by else demand.most_nodes + 1
    return Sizes(demand.nodes, demand.most_nodes, stands, grows_to)


def offered(levels: Sequence[int], free: int, limit: int) -> int:
    """Free nodes at floors within a limit; `levels`: of all nodes of the fabric, ascending."""
    return max(0, bisect_right(levels, limit) - (len(levels) - free))


def choose_size(
    sizes: Sizes,
    own: dict[int, int],
    limit: int,
    levels: Sequence[Sequence[int]],
    free: Sequence[int],
) -> tuple[int, int] | None:
    """(fabric, nodes) that an elastic bid takes in its turn; None where it loses.

    `levels`, `free`: of each fabric, as in `Room`. Grows with fabrics, but for one that stays.
    """
    most = sizes.most
    if sizes.stands:
        (fabric,) = own
        here = offered(levels[fabric], free[fabric], limit)
        if here >= sizes.stands:
            return fabric, sizes.standing(here)
        most = sizes.stands
    best: tuple[int, bool, int, int, int] | None = None
    for fabric, left in enumerate(free):
        nodes = min(most, offered(levels[fabric], left, limit))
        if nodes < sizes.least or (best is not None and -nodes > best[0]):
            continue
        highest = levels[fabric][len(levels[fabric]) - left + nodes - 1]
        rank = (-nodes, fabric not in own, highest, left - nodes, fabric)
        if best is None or rank < best:
            best = rank
    return None if best is None else (best[-1], -best[0])


def asked_for(sizes: Sizes, shape: Shape, fabric: int, nodes: int) -> list[Shape]:
    """For each of the nodes taken in a fabric the gang that must fit for the bid to have it."""
    found = []
    for number in range(1, nodes + 1):
        if not sizes.stands or number <= sizes.stands:
            found.append(shape._replace(nodes=max(number, sizes.least)))
        else:
            size = max(number, sizes.grows_to)
            found.append(shape._replace(nodes=size, within=fabric))
    return found
