"""A second opinion on prices: the spot market played with single nodes, again for every limit.

Written apart from what it checks: it knows nodes where the allocation counts room, and it searches
the least winning limit where the sweep derives it. Only the room at the start is taken over.
"""

from dataclasses import dataclass

from parkade.core.market.allocation import Allocation
from parkade.core.market.spot import Bid


@dataclass
class Node:
    fabric: int
    level: int
    tenant: object
    left: int
    owner: str | None = None
    """The only bid that it is room for: a closed node on which that bid runs."""


def start_of(allocation: Allocation) -> list[Node]:
    """Every node spot may use, as it stands before the first bid."""
    gpus = allocation.layout.node_gpus
    nodes = [
        Node(fabric, level, None, gpus)
        for fabric, ladder in enumerate(allocation.start.levels)
        for level in ladder[len(ladder) - allocation.start.free[fabric] :]
    ]
    for (fabric, tenant), gaps in allocation.start.gaps.items():
        nodes += [Node(fabric, level, tenant, left) for level, left, _ in gaps]
    fabric_of = allocation.layout.fabric_of
    for demand in allocation.ordered:
        if demand.limit_micros is None or any(it.node not in fabric_of for it in demand.seats):
            continue
        nodes += [
            Node(fabric_of[it.node], demand.floor_micros, "closed", 0, demand.demand)
            for it in demand.seats
            if it.node in allocation.layout.closed
        ]
    return nodes


def seats_for(nodes: list[Node], bid: Bid, fabrics: set[int]) -> list[Node] | None:
    """The cheapest nodes for all ranks in these fabrics together; its closed ones come first."""
    shape = bid.shape
    mine = [it for it in nodes if it.owner == bid.name and it.fabric in fabrics]
    shared = [it for it in nodes if it.tenant is not None and it.tenant == shape.tenant]
    fits = [it for it in shared if it.fabric in fabrics and it.left >= shape.gpus]
    fits.sort(key=lambda it: (it.level, it.left))
    empty = [it for it in nodes if it.tenant is None and it.fabric in fabrics]
    empty.sort(key=lambda it: it.level)
    ranks = [it for it in fits + empty for _ in range(ranks_on(it, bid))]
    found = mine + ranks[: shape.nodes - len(mine)]
    return found if len(found) == shape.nodes else None


def ranks_on(node: Node, bid: Bid) -> int:
    """How many ranks of a bid a node takes: one, unless they share nodes."""
    found = 0
    while found < bid.shape.ranks_per_node and (found + 1) * bid.shape.gpus <= node.left:
        found += 1
    return found


def empty_among(nodes: list[Node]) -> int:
    """How many different nodes of these are empty."""
    return len({id(it) for it in nodes if it.tenant is None})


def choose(nodes: list[Node], bid: Bid) -> list[Node] | None:
    """Where a bid goes in its turn."""
    everywhere = sorted({node.fabric for node in nodes})
    if bid.shape.any_fabric:
        return _choose_any(nodes, bid, everywhere)
    options = []
    for fabric in everywhere:
        found = seats_for(nodes, bid, {fabric})
        if found and max(it.level for it in found) <= bid.limit:
            opened = empty_among(found)
            left = sum(it.tenant is None and it.fabric == fabric for it in nodes) - opened
            own = fabric in bid.own
            highest = max(it.level for it in found)
            leaves = not own and not bid.moves_if_cheaper
            if bid.leaves >= 0:
                leaves = fabric == bid.leaves
            elif bid.goes_to >= 0:
                leaves = fabric != bid.goes_to
            options.append(((leaves, highest, not own, opened, left, fabric), found))
    return min(options, key=lambda it: it[0])[1] if options else None


def _choose_any(nodes: list[Node], bid: Bid, everywhere: list[int]) -> list[Node] | None:
    if any(it.owner == bid.name for it in nodes):
        others = [it for it in nodes if it.owner is None]
        moves = _choose_any(others, bid, sorted({it.fabric for it in others}))
        ways = [it for it in (_stays(nodes, bid), moves) if it and highest(it) <= bid.limit]
        if ways and ways[0] is not moves and not bid.moves_if_cheaper:
            return ways[0]
        return min(ways, key=highest) if ways else None
    cheapest = {f: _slots(nodes, bid, f) for f in everywhere}
    levels = sorted(it.level for slots in cheapest.values() for it in slots)
    if len(levels) < bid.shape.nodes or levels[bid.shape.nodes - 1] > bid.limit:
        return None
    least = levels[bid.shape.nodes - 1]
    if sum(bid.own.values()) == bid.shape.nodes:
        mine = [cheapest.get(f, [])[:n] for f, n in bid.own.items()]
        flat = [it for part in mine for it in part]
        accepts = least if bid.moves_if_cheaper else bid.limit
        if len(flat) == bid.shape.nodes and max(it.level for it in flat) <= accepts:
            return flat
    stays = {} if bid.moves_if_cheaper else bid.own
    most = {f: bid.limit if f in stays else least for f in cheapest}
    within = {f: [it for it in slots if it.level <= most[f]] for f, slots in cheapest.items()}
    alone = [f for f in everywhere if len(within[f]) >= bid.shape.nodes]
    if alone:

        def tightness(f: int) -> tuple[bool, int, int]:
            empty = sum(it.tenant is None and it.fabric == f for it in nodes)
            return (f not in bid.own, empty, f)

        return within[min(alone, key=tightness)][: bid.shape.nodes]
    found: list[Node] = []
    for f in sorted(everywhere, key=lambda f: (f not in bid.own, -len(within[f]), f)):
        found += within[f][: bid.shape.nodes - len(found)]
    return found


def highest(nodes: list[Node]) -> int:
    """The highest level of a choice."""
    return max(it.level for it in nodes)


def _stays(nodes: list[Node], bid: Bid) -> list[Node] | None:
    """Its closed nodes, and in each fabric as many others as it has there."""
    found: list[Node] = []
    for fabric, ranks in bid.own.items():
        there = seats_for(nodes, bid._replace(shape=bid.shape._replace(nodes=ranks)), {fabric})
        if there is None:
            return None
        found += there
    return found


def _slots(nodes: list[Node], bid: Bid, fabric: int) -> list[Node]:
    for count in range(len(nodes) * bid.shape.ranks_per_node, 0, -1):
        found = seats_for(nodes, bid._replace(shape=bid.shape._replace(nodes=count)), {fabric})
        if found:
            return found
    return []


def play(nodes: list[Node], bids: list[Bid]) -> set[str]:
    """Let bids take their turns: who wins."""
    won = set()
    for bid in bids:
        found = choose(nodes, bid)
        if found is not None:
            won.add(bid.name)
            for node in found:
                if bid.shape.tenant is None or node.owner is not None:
                    nodes.remove(node)
                else:
                    node.tenant = bid.shape.tenant
                    node.left -= bid.shape.gpus
    return won


def waiting_with(allocation: Allocation, bid: Bid) -> set[str]:
    """What lost of a winner's own array: it never sets the winner's price."""
    if not bid.array or bid.name not in allocation.parts:
        return set()
    return {
        it.name
        for it in allocation.bids
        if it.array == bid.array and it.name not in allocation.parts
    }


def wins_at(allocation: Allocation, bid: Bid, limit: int, *, loses_ties: bool) -> bool:
    """Whether the bid with this limit would find room in its turn."""
    nodes = start_of(allocation)
    own = waiting_with(allocation, bid)
    key = limit * bid.factor
    own_gpus = bid.shape.nodes * bid.shape.gpus
    jobs = sorted([(limit, own_gpus), *bid.mates], reverse=True)
    for last in range(len(jobs) if bid.mates else 0):
        gpus = sum(it for _, it in jobs[: last + 1])
        key = max(key, jobs[last][0] * gpus * bid.factor // own_gpus)
    stronger = [
        it
        for it in allocation.bids
        if it.name != bid.name
        and it.name not in own
        and not (it.shared_node and it.shared_node == bid.shared_node)
        and (it.key > key or (loses_ties and it.key == key))
    ]
    play(nodes, stronger)
    return choose(nodes, bid._replace(limit=limit, key=key)) is not None


def least_winning_limit(
    allocation: Allocation, bid: Bid, *, loses_ties: bool = False
) -> int | None:
    """The smallest of all limits that could matter with which this bid would win."""
    levels = {node.level for node in start_of(allocation)}
    reached = {-(-it.key // bid.factor) for it in allocation.bids if it.name != bid.name}
    for before in range(len(bid.mates)):
        # Beside mates with higher limits, its limit counts for their GPUs as well.
        own_gpus = bid.shape.nodes * bid.shape.gpus
        gpus = sum(it for _, it in bid.mates[: before + 1]) + own_gpus
        credit = bid.factor // own_gpus
        reached |= {-(-it.key // (credit * gpus)) for it in allocation.bids}
    candidates = sorted({0} | levels | reached | {limit + 1 for limit in levels | reached | {0}})
    for limit in candidates:
        if wins_at(allocation, bid, limit, loses_ties=loses_ties):
            return limit
    return None
