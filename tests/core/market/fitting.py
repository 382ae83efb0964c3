"""Whether demands fit side by side: all ways are tried, and those that run stay where they are."""

from collections.abc import Iterable, Iterator
from itertools import islice

from parkade.core.market.market_state import Demand, MarketState

MOST_DIVISIONS = 100
"""Ways to divide one demand over the nodes of one fabric that are tried."""


def fit_together(state: MarketState, demands: Iterable[Demand]) -> bool:
    """Whether these demands fit side by side, those that run on their own seats; newcomers on open
    nodes. False where one has lost a seat. Floors are not looked at."""
    left = {node.node: node.gpus for node in state.nodes}
    sharer_of: dict[str, str] = {}
    newcomers = []
    for demand in demands:
        if not demand.seats:
            newcomers.append(demand)
        elif len(demand.seats) < demand.nodes:
            return False
        for seat in demand.seats:
            if seat.node not in left:
                return False
            left[seat.node] -= seat.gpus
            sharer_of[seat.node] = _sharer(demand, state)
    if min(left.values()) < 0:
        return False
    for node in state.nodes:
        if not node.is_open:
            left[node.node] = 0
    newcomers.sort(key=lambda it: -it.gpus * it.nodes)
    fabric_of = {node.node: node.fabric for node in state.nodes}
    return _place([(it, _sharer(it, state)) for it in newcomers], left, sharer_of, fabric_of)


def _sharer(demand: Demand, state: MarketState) -> str:
    """With whom it may share nodes."""
    if demand.gpus == state.gpus_per_node:
        return f"whole {demand.demand}"
    org = "any" if state.terms.shared_nodes and demand.limit_micros is not None else demand.org
    return f"{org} {demand.tier} {demand.reservation}"


def _place(
    newcomers: list[tuple[Demand, str]],
    left: dict[str, int],
    sharer_of: dict[str, str],
    fabric_of: dict[str, str],
) -> bool:
    if not newcomers:
        return True
    demand, sharer = newcomers[0]
    fabrics = {demand.only_fabric} if demand.only_fabric else set(fabric_of.values())
    for fabric in sorted(fabrics):
        open_to = [
            node
            for node in left
            if fabric_of[node] == fabric or demand.any_fabric
            if sharer_of.get(node, sharer) == sharer
        ]
        for ranks_on in islice(_divisions(demand, open_to, left, demand.nodes), MOST_DIVISIONS):
            now = left | {it: left[it] - ranks * demand.gpus for it, ranks in ranks_on.items()}
            there = sharer_of | dict.fromkeys(ranks_on, sharer)
            if _place(newcomers[1:], now, there, fabric_of):
                return True
    return False


def _divisions(
    demand: Demand, nodes: list[str], left: dict[str, int], ranks: int
) -> Iterator[dict[str, int]]:
    """Ways to have so many ranks on these nodes."""
    if not ranks:
        yield {}
    elif nodes:
        most = min(ranks, demand.ranks_per_node, left[nodes[0]] // demand.gpus)
        for here in range(most, -1, -1):
            for rest in _divisions(demand, nodes[1:], left, ranks - here):
                yield rest | ({nodes[0]: here} if here else {})
