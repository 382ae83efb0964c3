"""Named nodes and what is free on them: the room of a seating, where the pass only counts.

A node is empty, held whole, or shared by one tenant.
"""

from collections.abc import Iterable
from typing import NamedTuple

from parkade.core.placement.room import Shape, Tenant


class OpenNode(NamedTuple):
    """An open node; `free_from_us` is when who is leaving will be gone, 0 where it is free."""

    free_from_us: int
    node: str
    fabric: int


class OpenNodes:
    """Working state of one seating: `empty[f]` ascending by time and name."""

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
        """Nodes of this fabric a newcomer may open."""
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

    def unseat(self, node: str, shape: Shape) -> None:
        """Undo one `seat`."""
        named = self._nodes[node]
        if shape.tenant is not None:
            self._left[node] += shape.gpus
            if self._left[node] < self._node_gpus:
                return
            del self._left[node]
            del self._tenants[named.fabric, shape.tenant][node]
        empty = self._empty[named.fabric]
        empty[node] = named
        self._empty[named.fabric] = {it.node: it for it in sorted(empty.values())}

    def choose(self, fabric: int, shape: Shape, nodes: int, without: set[str]) -> list[str] | None:
        """Nodes for `nodes` ranks besides `without`: fullest shared first, then soonest empty."""
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
        return None if missing else chosen

    def free_from(self, nodes: Iterable[str]) -> int:
        """When the last of these nodes is free."""
        return max((self._nodes[node].free_from_us for node in nodes), default=0)
