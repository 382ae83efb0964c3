"""What running owners and on-demand keep in the allocation: the fabrics and nodes they stand on.

An allocation counts room and packs work below a node anew, in its mind. For a demand whose seats
are never chosen anew that is not enough: counted elsewhere than it stands, it would be sent there
where no other seating holds. So such a demand, while all its nodes are open, is counted node by
node. A *token* names a shared node for one allocation; here it is the same for all that share it.
"""

from collections import Counter
from typing import NamedTuple

from parkade.core.market.layout import Layout, Parts
from parkade.core.market.market_state import Demand, PriorityTier
from parkade.core.placement.room import Part, Room, Shape


class Standing(NamedTuple):
    """The open node of each rank of a demand in one fabric, and how many of these nodes no demand
    has opened yet."""

    fabric: int
    nodes: tuple[str, ...]
    opened: int


def standing_fabrics(demand: Demand, layout: Layout) -> dict[int, int] | None:
    """How many open nodes of each fabric it stands on; None unless all its nodes are in play."""
    if len(demand.seats) < demand.nodes:
        return None
    fabric_of, closed = layout.fabric_of, layout.closed
    found: dict[int, int] = {}
    in_play = 0
    for seat in demand.seats:
        fabric = fabric_of.get(seat.node)
        if fabric is not None:
            in_play += 1
            if seat.node not in closed:
                found[fabric] = found.get(fabric, 0) + 1
    return found if in_play >= demand.nodes else None


def is_on_open_nodes(demand: Demand, layout: Layout) -> bool:
    """Whether it stands on open nodes with all its ranks."""
    standing = standing_fabrics(demand, layout)
    return standing is not None and sum(standing.values()) == demand.nodes


def is_counted_by_name(demand: Demand, layout: Layout) -> bool:
    """Whether it is counted on the very nodes on which it stands, if it wins there."""
    return demand.tier is not PriorityTier.SPOT and is_on_open_nodes(demand, layout)


def is_counted_elsewhere(demand: Demand, layout: Layout, parts: Parts | None) -> bool:
    """Whether an owner's demand won room in other fabrics, though all its nodes are in play."""
    if demand.tier is not PriorityTier.RESERVED or parts is None:
        return False
    standing = standing_fabrics(demand, layout)
    counted = {part.fabric: len(part.levels) for part in parts if part.levels}
    return standing is not None and standing != counted


class NamedNodes:
    """Which token each shared node has that a running demand stands on."""

    __slots__ = ("_tokens",)

    def __init__(self) -> None:
        self._tokens: dict[str, int] = {}

    def standing(
        self, demand: Demand, shape: Shape, layout: Layout, room: Room, limits: list[int]
    ) -> list[Standing] | None:
        """Where work below a node stands, by fabric, if it opens at most `limits[f]` nodes there;
        None where it cannot be counted so. -1 shuts a fabric."""
        if shape.tenant is None or not is_on_open_nodes(demand, layout):
            return None
        nodes: dict[int, list[str]] = {}
        for seat in demand.seats:
            nodes.setdefault(layout.fabric_of[seat.node], []).append(seat.node)
        found = []
        for fabric, here in sorted(nodes.items()):
            ranks = Counter(here)
            opened = sum(node not in self._tokens for node in ranks)
            left = {token: gap for _, gap, token in room.gaps.get((fabric, shape.tenant), ())}
            fits = all(
                left.get(self._tokens[node], 0) >= count * shape.gpus
                for node, count in ranks.items()
                if node in self._tokens
            )
            if not fits or opened > min(limits[fabric], room.free[fabric]) or limits[fabric] < 0:
                return None
            found.append(Standing(fabric, tuple(here), opened))
        return found

    def copy(self) -> "NamedNodes":
        """Independent, with the same nodes named."""
        twin = NamedNodes()
        twin._tokens = self._tokens.copy()
        return twin

    def highest_floor(self, standing: list[Standing], shape: Shape, room: Room) -> int:
        """The highest floor that it would draw on these nodes."""
        found = 0
        for fabric, nodes, opened in standing:
            assert shape.tenant is not None, "only work below a node is counted by name"
            level_of = {it[2]: it[0] for it in room.gaps.get((fabric, shape.tenant), ())}
            known = {self._tokens[node] for node in nodes if node in self._tokens}
            found = max([found, *(level_of[token] for token in known)])
            if opened:
                levels = room.levels[fabric]
                found = max(found, levels[len(levels) - room.free[fabric] + opened - 1])
        return found

    def take(self, standing: list[Standing], shape: Shape, room: Room) -> Parts:
        """Counts it on these very nodes; in each part the tokens are in order of rank."""
        parts = []
        for fabric, nodes, _ in standing:
            levels: list[int] = []
            tokens: list[int] = []
            for node in nodes:
                level, token = room.take_on(fabric, shape, self._tokens.get(node))
                self._tokens[node] = token
                levels.append(level)
                tokens.append(token)
            parts.append(Part(fabric, tuple(levels), tuple(tokens)))
        return tuple(parts)
