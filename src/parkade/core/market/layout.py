"""The layout of a market: its fabrics and nodes by number, and what a demand asks of them.

The allocation counts nodes and does not name them, so it needs each fabric as a small whole
number, ascending by name: of two equal choices the smaller number is taken, and every run chooses
alike.
"""

from collections.abc import Iterable
from typing import NamedTuple

from parkade.core.market.market_state import Demand, MarketState, NodeInPlay, PriorityTier
from parkade.core.placement.room import Held, Part, Shape

EVERY_ORG = ""
"""In a tenant: all orgs together. No org has this name."""

Parts = tuple[Part, ...]
"""What a winner takes of open nodes, one part for each fabric."""

Division = list[tuple[int, int]]
"""(fabric, ranks) of one gang on open nodes."""


class Layout(NamedTuple):
    """An index of the nodes in play."""

    fabrics: tuple[str, ...]
    """Names, ascending; a fabric's number is its place here."""

    number: dict[str, int]
    """The number of each fabric, by name."""

    fabric_of: dict[str, int]
    """The fabric of each node in play, open or closed, by node."""

    open_nodes: tuple[tuple[NodeInPlay, ...], ...]
    """The open nodes of each fabric, ascending by name."""

    closed: frozenset[str]
    """Nodes that are no room: only gangs that stay where they are keep their seats there."""

    size: tuple[int, ...]
    """Nodes in play of each fabric, open or closed."""

    node_gpus: int

    shared_nodes: bool
    """Whether spot work below a node of several orgs may share one."""


def build_layout(state: MarketState) -> Layout:
    """Index the nodes of a state; grows with N log N of them."""
    fabrics = tuple(sorted({node.fabric for node in state.nodes}))
    number = {name: index for index, name in enumerate(fabrics)}
    open_nodes: list[list[NodeInPlay]] = [[] for _ in fabrics]
    size = [0] * len(fabrics)
    fabric_of = {}
    closed = set()
    for node in sorted(state.nodes, key=lambda node: node.node):
        assert node.gpus == state.gpus_per_node, f"{node.node} is not of this market's shape"
        fabric = number[node.fabric]
        fabric_of[node.node] = fabric
        size[fabric] += 1
        if node.is_open:
            open_nodes[fabric].append(node)
        else:
            closed.add(node.node)
    assert len(fabric_of) == len(state.nodes), "a node is in play twice"
    assert sum(size) == sum(map(len, open_nodes)) + len(closed), "a node is neither open nor closed"
    return Layout(
        fabrics,
        number,
        fabric_of,
        tuple(tuple(nodes) for nodes in open_nodes),
        frozenset(closed),
        tuple(size),
        state.gpus_per_node,
        state.terms.shared_nodes,
    )


def shape_of(demand: Demand, layout: Layout) -> Shape:
    """What a demand asks of fabrics.

    Work below a node shares nodes only with work in the same tier (and reservation), so the floor
    that a shared node draws is never in doubt; and of its org, unless it is spot in a market where
    orgs share nodes.
    """
    tenant = None
    if demand.gpus < layout.node_gpus:
        is_with_others = layout.shared_nodes and demand.tier is PriorityTier.SPOT
        org = EVERY_ORG if is_with_others else demand.org
        tenant = (org, int(demand.tier), demand.reservation or "")
    assert tenant is not None or demand.ranks_per_node == 1, "two ranks on one whole node"
    held = _held_by(demand, layout) if layout.closed else None
    is_any = demand.any_fabric and demand.nodes > 1
    return Shape(demand.nodes, demand.gpus, tenant, is_any, held, demand.ranks_per_node)


def _held_by(demand: Demand, layout: Layout) -> Held | None:
    """The closed nodes on which it runs; None if it has none, or lost a seat.

    A gang that lost a seat is started anew, and nothing is started on a closed node.
    """
    if all(seat.node not in layout.closed for seat in demand.seats):
        return None
    rest: dict[int, int] = {}
    for seat in demand.seats:
        fabric = layout.fabric_of.get(seat.node)
        if fabric is None:
            return None
        rest[fabric] = rest.get(fabric, 0) + (seat.node not in layout.closed)
    assert len(demand.seats) == demand.nodes, f"{demand.demand} runs without some of its ranks"
    assert demand.any_fabric or len(rest) == 1, f"{demand.demand} of one fabric is divided"
    return Held(tuple(sorted(rest.items())), demand.floor_micros)


def stays(shape: Shape, parts: Parts) -> bool:
    """Whether a winner keeps its closed nodes: it took room for its other ranks only."""
    taken = sum(len(part.levels) for part in parts)
    assert taken == shape.nodes or shape.held is not None, "a winner took room for some ranks only"
    return taken < shape.nodes


def floors_drawn(shape: Shape, parts: Parts) -> tuple[int, ...]:
    """The level of each rank's node, those of closed nodes last."""
    drawn = tuple(level for part in parts for level in part.levels)
    if shape.held is None:
        return drawn
    return drawn + (shape.held.level,) * (shape.nodes - len(drawn))


def is_too_large(demand: Demand, layout: Layout) -> bool:
    """Whether no set of fabrics could ever hold the shape."""
    most = sum(layout.size) if demand.any_fabric else max(layout.size, default=0)
    return demand.gpus > layout.node_gpus or demand.nodes_alone > most


def own_fabrics(demand: Demand, layout: Layout) -> dict[int, int]:
    """How many of its seats stand in each fabric; seats on nodes that left play do not count."""
    found: dict[int, int] = {}
    for seat in demand.seats:
        fabric = layout.fabric_of.get(seat.node)
        if fabric is not None:
            found[fabric] = found.get(fabric, 0) + 1
    return found


def check_seats(ordered: Iterable[Demand], layout: Layout) -> None:
    """Assert that no node is held beyond its GPUs."""
    held: dict[str, int] = {}
    for demand in ordered:
        assert demand.nodes > 0 and demand.gpus > 0, f"{demand.demand} asks for nothing"
        for seat in demand.seats:
            held[seat.node] = held.get(seat.node, 0) + seat.gpus
    for node, gpus in held.items():
        assert gpus <= layout.node_gpus, f"{node} is held beyond its GPUs"
