"""Named nodes and what is free on them: the room of a seating, where an allocation only counts.

A node is empty, held whole, or shared by one tenant. Of the nodes that suit a rank, shared ones
come before empty ones and the fullest first, so that few nodes are opened; of empty ones the first
comes that is ready soonest for the org that asks, then the first by name. The last org of a node
needs no turnaround there.

Example: fabric 0 has x (ready now) and y (free at 5, and ready for others than lab at 9), 8 GPUs
each. A gang of 1 x 2 GPUs opens x and leaves 6; the next rank of that tenant takes x again; a whole
node is y, at 5 for lab and at 9 for another org.
"""

from collections.abc import Iterable, Iterator
from heapq import merge

import msgspec

from parkade.core.placement.room import Shape, Tenant


class OpenNode(msgspec.Struct, frozen=True, order=True, gc=False):
    """An open node; times in us, 0 where it is so now."""

    ready_us: int
    """When any org could be there."""

    node: str
    fabric: int

    free_from_us: int
    """When `last_org` could be there."""

    last_org: str | None

    def ready_for_us(self, org: str) -> int:
        """When this org could be there."""
        return self.free_from_us if org == self.last_org else self.ready_us


class OpenNodes:
    """Working state of one seating.

    `_empty[f]`: empty nodes of fabric f, the first ready first, then by name. `_sooner[f, org]`:
    the nodes that this last org of theirs may have before others, empty or not, the soonest free
    first. `_left`: free GPUs of each shared node. `_tenants`: shared nodes of each (fabric,
    tenant), in the order of opening.
    """

    __slots__ = ("_empty", "_left", "_node_gpus", "_nodes", "_sooner", "_tenants")

    def __init__(self, nodes: Iterable[OpenNode], fabrics: int, node_gpus: int) -> None:
        self._nodes = {node.node: node for node in nodes}
        self._empty: list[dict[str, OpenNode]] = [{} for _ in range(fabrics)]
        self._sooner: dict[tuple[int, str], list[OpenNode]] = {}
        for node in sorted(self._nodes.values()):
            self._empty[node.fabric][node.node] = node
            if node.last_org is not None and node.free_from_us < node.ready_us:
                self._sooner.setdefault((node.fabric, node.last_org), []).append(node)
        for sooner in self._sooner.values():
            sooner.sort(key=lambda it: (it.free_from_us, it.node))
        self._node_gpus = node_gpus
        self._left: dict[str, int] = {}
        self._tenants: dict[tuple[int, Tenant], dict[str, None]] = {}

    def copy(self) -> "OpenNodes":
        """An independent state of the same nodes."""
        twin = OpenNodes((), 0, self._node_gpus)
        twin._nodes, twin._sooner = self._nodes, self._sooner
        twin._empty = [empty.copy() for empty in self._empty]
        twin._left = self._left.copy()
        twin._tenants = {key: sharing.copy() for key, sharing in self._tenants.items()}
        return twin

    def empty(self, fabric: int) -> int:
        """How many nodes of this fabric are empty."""
        return len(self._empty[fabric])

    @property
    def fabrics(self) -> int:
        """How many fabrics there are."""
        return len(self._empty)

    def can_seat(self, node: str, shape: Shape, ranks: int = 1) -> bool:
        """Whether so many ranks of the shape fit on this very node."""
        named = self._nodes.get(node)
        if named is None:
            return False
        if node in self._empty[named.fabric]:
            return ranks == 1 or ranks * shape.gpus <= self._node_gpus
        if shape.tenant is None or node not in self._left:
            return False
        sharing = self._tenants.get((named.fabric, shape.tenant), {})
        return node in sharing and self._left[node] >= ranks * shape.gpus

    def seat(self, node: str, shape: Shape) -> None:
        """Seat one rank on this node; it must fit."""
        named = self._nodes.get(node)
        assert named is not None, f"{node} is no open node"
        fabric = named.fabric
        if node in self._empty[fabric]:
            del self._empty[fabric][node]
            if shape.tenant is None:
                return
            self._left[node] = self._node_gpus
            self._tenants.setdefault((fabric, shape.tenant), {})[node] = None
        else:
            assert self.can_seat(node, shape), f"{node} would be held beyond its GPUs"
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

    def choose(
        self, fabric: int, shape: Shape, nodes: int, without: set[str], org: str
    ) -> list[str] | None:
        """The node of each of `nodes` ranks of an org, none of `without`; None where the fabric has
        too few.

        Grows with the tenant's shared nodes there, the nodes that the org left last and the nodes
        chosen.
        """
        assert nodes > 0, "a gang of no nodes needs none"
        chosen: list[str] = []
        if shape.tenant is not None:
            sharing = self._tenants.get((fabric, shape.tenant), {})
            fits = [
                (self._left[node], self._nodes[node].ready_for_us(org), node)
                for node in sharing
                if self._left[node] >= shape.gpus and node not in without
            ]
            for left, _, node in sorted(fits):
                ranks = min(nodes - len(chosen), shape.ranks_in(left))
                chosen += [node] * ranks
        missing = nodes - len(chosen)
        if shape.nodes_for(missing) > self.empty(fabric):
            return None
        if missing:
            # Grows with the nodes taken: what is empty is ordered by time.
            for node in self._empty_for(fabric, org):
                if node not in without:
                    ranks = min(missing, shape.ranks_per_node)
                    chosen += [node] * ranks
                    missing -= ranks
                    if not missing:
                        break
        assert not missing or len(without) > 0, "an empty node was counted and not found"
        return None if missing else chosen

    def _empty_for(self, fabric: int, org: str) -> Iterator[str]:
        """The empty nodes of a fabric, those first that are ready soonest for this org."""
        empty = self._empty[fabric]
        sooner = self._sooner.get((fabric, org))
        if sooner is None:
            return iter(empty)
        own = [(it.free_from_us, it.node) for it in sooner if it.node in empty]
        mine = {node for _, node in own}
        others = ((it.ready_us, it.node) for it in empty.values() if it.node not in mine)
        return (node for _, node in merge(own, others))

    def slots(self, fabric: int, shape: Shape, without: Iterable[str] = ()) -> int:
        """How many ranks of the shape could stand in this fabric, on none of `without`, which are
        shared nodes."""
        sharing = self._tenants.get((fabric, shape.tenant), {}) if shape.tenant is not None else {}
        gaps = sum(shape.ranks_in(self._left[node]) for node in sharing if node not in without)
        return gaps + self.empty(fabric) * shape.ranks_per_node

    def left_on(self, node: str) -> int:
        """Free GPUs of a shared node."""
        return self._left[node]

    def ready_for_us(self, nodes: Iterable[str], org: str) -> int:
        """When this org could be on the last of these nodes; 0 where it could be on all now."""
        return max((self._nodes[node].ready_for_us(org) for node in nodes), default=0)
