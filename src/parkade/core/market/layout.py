"""A book seen by number: fabrics and nodes indexed, and what each demand asks of them."""

from typing import NamedTuple

from parkade.core.market.market_state import Book, Demand, NodeInPlay
from parkade.core.placement.room import Part, Room, Shape

Parts = tuple[Part, ...]


class Ground(NamedTuple):
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


def survey(book: Book) -> Ground:
    """Index a book; grows with N log N of its nodes."""
    fabrics = tuple(sorted({node.fabric for node in book.nodes}))
    number = {name: index for index, name in enumerate(fabrics)}
    open_nodes: list[list[NodeInPlay]] = [[] for _ in fabrics]
    size = [0] * len(fabrics)
    fabric_of = {}
    closed = set()
    for node in sorted(book.nodes, key=lambda node: node.node):
        assert node.gpus == book.gpus_per_node, f"{node.node} is not of this market's shape"
        fabric = number[node.fabric]
        fabric_of[node.node] = fabric
        size[fabric] += 1
        if node.is_open:
            open_nodes[fabric].append(node)
        else:
            closed.add(node.node)
    assert len(fabric_of) == len(book.nodes), "a node is in play twice"
    return Ground(
        fabrics,
        number,
        fabric_of,
        tuple(tuple(nodes) for nodes in open_nodes),
        frozenset(closed),
        tuple(size),
        book.gpus_per_node,
    )


def shape_of(demand: Demand, ground: Ground) -> Shape:
    """What a demand asks of fabrics.

    Work below a node shares nodes with its org's work of the same right (and reservation) only,
    so whose floor an open node draws is never in doubt.
    """
    tenant = None
    if demand.gpus < ground.node_gpus:
        tenant = (demand.org, int(demand.right), demand.reservation or "")
    return Shape(demand.nodes, demand.gpus, tenant, demand.any_fabric and demand.nodes > 1)


def is_too_large(demand: Demand, ground: Ground) -> bool:
    """Whether no set of fabrics could ever hold the shape."""
    most = sum(ground.size) if demand.any_fabric else max(ground.size, default=0)
    return demand.gpus > ground.node_gpus or demand.nodes > most


def own_fabrics(demand: Demand, ground: Ground) -> dict[int, int]:
    """How many of its seats stand in each fabric, of those on nodes still in play."""
    found: dict[int, int] = {}
    for seat in demand.seats:
        fabric = ground.fabric_of.get(seat.node)
        if fabric is not None:
            found[fabric] = found.get(fabric, 0) + 1
    return found


def seat_who_stays(
    room: Room, ground: Ground, demand: Demand, tokens: dict[str, int], *, count_closed: bool
) -> Parts:
    """Count the seats of a demand that stays put; `tokens` names shared nodes opened so far.

    Closed nodes take room only where `count_closed`, and never offer a gap to others.
    """
    shape = shape_of(demand, ground)
    levels: dict[int, list[int]] = {}
    held: dict[int, list[int]] = {}
    for seat in demand.seats:
        fabric = ground.fabric_of.get(seat.node)
        if fabric is None:
            continue
        tier = levels.setdefault(fabric, [])
        if seat.node in ground.closed and not count_closed:
            tier.append(0)
        elif shape.tenant is None:
            tier.extend(room.open(fabric, 1))
        else:
            level, token = room.pin(fabric, shape, tokens.get(seat.node))
            tokens[seat.node] = token
            tier.append(level)
            held.setdefault(fabric, []).append(token)
    return tuple(
        Part(fabric, tuple(tier), tuple(held.get(fabric, ())))
        for fabric, tier in sorted(levels.items())
    )
