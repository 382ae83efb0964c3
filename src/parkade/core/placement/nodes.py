"""Named nodes and what is free on them: the room of a seating, where an allocation only counts.

A node is empty, held whole, or shared by one tenant. Of the nodes that suit a rank, shared ones
come before empty ones and the fullest first, so that few nodes are opened; of empty ones the
soonest free comes first, then the first by name.

Example: fabric 0 has x (free now) and y (free at 5), 8 GPUs each. A gang of 1 x 2 GPUs opens x and
leaves 6; the next rank of that tenant takes x again; a whole node is y.
"""

from collections.abc import Iterable
from typing import NamedTuple

from parkade.core.placement.room import Shape, Tenant


class OpenNode(NamedTuple):
    """An open node; `free_from_us`: when what runs there would be gone, 0 where it is free now."""

    free_from_us: int
    node: str
    fabric: int


class OpenNodes:
    """Working state of one seating.

    `_empty[f]`: empty nodes of fabric f, the soonest free first, then by name. `_left`: free GPUs
    of each shared node. `_tenants`: shared nodes of each (fabric, tenant), in the order of opening.
    """

    __slots__ = ("_empty", "_left", "_node_gpus", "_nodes", "_tenants")

    def __init__(self, nodes: Iterable[OpenNode], fabrics: int, node_gpus: int) -> None:
        self._nodes = {node.node: node for node in nodes}
        self._empty: list[dict[str, OpenNode]] = [{} for _ in range(fabrics)]
        for node in sorted(self._nodes.values()):
            self._empty[node.fabric][node.node] = node
        self._node_gpus = node_gpus
        self._left: dict[str, int] = {}
        self._tenants: dict[tuple[int, Tenant], dict[str, None]] = {}

    def empty(self, fabric: int) -> int:
        """How many nodes of this fabric are empty."""
        return len(self._empty[fabric])

    def can_seat(self, node: str, shape: Shape) -> bool:
        """Whether one rank of the shape fits on this very node."""
        named = self._nodes.get(node)
        if named is None:
            return False
        if node in self._empty[named.fabric]:
            return True
        if shape.tenant is None or node not in self._left:
            return False
        sharing = self._tenants.get((named.fabric, shape.tenant), {})
        return node in sharing and self._left[node] >= shape.gpus

    def seat(self, node: str, shape: Shape) -> None:
        """Seat one rank on this node; it must fit."""
        assert self.can_seat(node, shape), f"{node} would be held beyond its GPUs"
        fabric = self._nodes[node].fabric
        if node in self._empty[fabric]:
            del self._empty[fabric][node]
            if shape.tenant is None:
                return
            self._left[node] = self._node_gpus
            self._tenants.setdefault((fabric, shape.tenant), {})[node] = None
        self._left[node] -= shape.gpus
        assert self._left[node] >= 0, f"{node} is held beyond its GPUs"

    def unseat(self, node: str, shape: Shape) -> None:
        """Undo one `seat`; grows with the fabric's empty nodes."""
        named = self._nodes[node]
        assert node not in self._empty[named.fabric], f"{node} is not held"
        if shape.tenant is not None:
            self._left[node] += shape.gpus
            assert self._left[node] <= self._node_gpus, f"{node} would have more GPUs than it has"
            if self._left[node] < self._node_gpus:
                return
            del self._left[node]
            del self._tenants[named.fabric, shape.tenant][node]
        empty = self._empty[named.fabric]
        empty[node] = named
        self._empty[named.fabric] = {it.node: it for it in sorted(empty.values())}

    def choose(self, fabric: int, shape: Shape, nodes: int, without: set[str]) -> list[str] | None:
        """Nodes for `nodes` ranks, none of `without`; None where the fabric has too few.

        Grows with the tenant's shared nodes there and the nodes chosen.
        """
        assert nodes > 0, "a gang of no nodes needs none"
        chosen: list[str] = []
        if shape.tenant is not None:
            sharing = self._tenants.get((fabric, shape.tenant), {})
            fits = [
                (self._left[node], self._nodes[node].free_from_us, node)
                for node in sharing
                if self._left[node] >= shape.gpus and node not in without
            ]
            chosen = [node for _, _, node in sorted(fits)[:nodes]]
        missing = nodes - len(chosen)
        if missing > self.empty(fabric):
            return None
        if missing:
            # Grows with the nodes taken: `empty` is ordered by time.
            for node in self._empty[fabric]:
                if node not in without:
                    chosen.append(node)
                    missing -= 1
                    if not missing:
                        break
        assert not missing or len(without) > 0, "an empty node was counted and not found"
        return None if missing else chosen

    def slots(self, fabric: int, shape: Shape, without: Iterable[str] = ()) -> int:
        """How many ranks of the shape could stand in this fabric, each on another node, and on none
        of `without`, which are shared nodes."""
        sharing = self._tenants.get((fabric, shape.tenant), {}) if shape.tenant is not None else {}
        gaps = sum(self._left[node] >= shape.gpus for node in sharing if node not in without)
        return gaps + self.empty(fabric)

    def left_on(self, node: str) -> int:
        """Free GPUs of a shared node."""
        return self._left[node]

    def free_from(self, nodes: Iterable[str]) -> int:
        """When the last of these nodes is free (us); 0 where all are free now."""
        return max((self._nodes[node].free_from_us for node in nodes), default=0)
