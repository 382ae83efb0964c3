"""A state seen by number: fabrics and nodes indexed, and what each demand asks of them."""

from typing import NamedTuple

from parkade.core.market.market_state import Demand, MarketState, NodeInPlay
from parkade.core.placement.room import Part, Room, Shape

Parts = tuple[Part, ...]


class Layout(NamedTuple):
    """Fabrics by number, ascending by name; `open_nodes[f]` ascending by name.

    `size[f]` counts all nodes in play of a fabric, open or closed.
    """

    fabrics: tuple[str, ...]
    number: dict[str, int]
    fabric_of: dict[str, int]
    open_nodes: tuple[tuple[NodeInPlay, ...], ...]
    closed: frozenset[str]
    size: tuple[int, ...]
    node_gpus: int


def build_layout(state: MarketState) -> Layout:
    """Index a state; grows with N log N of its nodes."""
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
    return Layout(
        fabrics,
        number,
        fabric_of,
        tuple(tuple(nodes) for nodes in open_nodes),
        frozenset(closed),
        tuple(size),
        state.gpus_per_node,
    )


def shape_of(demand: Demand, layout: Layout) -> Shape:
    """What a demand asks of fabrics.

    Work below a node shares nodes with its org's work of the same right (and reservation) only,
    so whose floor an open node draws is never in doubt.
    """
    tenant = None
    if demand.gpus < layout.node_gpus:
        tenant = (demand.org, int(demand.tier), demand.reservation or "")
    return Shape(demand.nodes, demand.gpus, tenant, demand.any_fabric and demand.nodes > 1)


def is_too_large(demand: Demand, layout: Layout) -> bool:
    """Whether no set of fabrics could ever hold the shape."""
    most = sum(layout.size) if demand.any_fabric else max(layout.size, default=0)
    return demand.gpus > layout.node_gpus or demand.nodes > most


def own_fabrics(demand: Demand, layout: Layout) -> dict[int, int]:
    """How many of its seats stand in each fabric, of those on nodes still in play."""
    found: dict[int, int] = {}
    for seat in demand.seats:
        fabric = layout.fabric_of.get(seat.node)
        if fabric is not None:
            found[fabric] = found.get(fabric, 0) + 1
    return found


def take_pinned_seats(
    room: Room, layout: Layout, demand: Demand, tokens: dict[str, int], *, count_closed: bool
) -> Parts:
    """Count the seats of a demand that stays put; `tokens` names shared nodes opened so far.

    Closed nodes take room only where `count_closed`, and never offer a gap to others.
    """
    shape = shape_of(demand, layout)
    levels: dict[int, list[int]] = {}
    held: dict[int, list[int]] = {}
    for seat in demand.seats:
        fabric = layout.fabric_of.get(seat.node)
        if fabric is None:
            continue
        drawn = levels.setdefault(fabric, [])
        if seat.node in layout.closed and not count_closed:
            drawn.append(0)
        elif shape.tenant is None:
            drawn.extend(room.open(fabric, 1))
        else:
            level, token = room.pin(fabric, shape, tokens.get(seat.node))
            tokens[seat.node] = token
            drawn.append(level)
            held.setdefault(fabric, []).append(token)
    return tuple(
        Part(fabric, tuple(drawn), tuple(held.get(fabric, ())))
        for fabric, drawn in sorted(levels.items())
    )
