"""The room of a market's fabrics, counted and not named: what fits where, and at which level.

Nodes of one fabric are alike, so a pass needs only two things of a fabric: how many whole nodes
are free, and how much is free on nodes opened by work smaller than a node. Such a node belongs to
one tenant until the pass ends; tenants never share one. Nodes of a fabric are drawn in a fixed
order of levels (the floors of the market, ascending; all zero where floors do not count), so the
next node to be opened always costs the most of those drawn so far.

The one surprising rule: of its tenant's open nodes a rank takes the lowest level first and only
then the smallest gap that suffices; opening a node comes last. A cheaper way to stand in a fabric
therefore never exists, which is what keeps prices truthful.
"""

from bisect import insort
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import msgspec

Tenant: TypeAlias = tuple[str, int, str]


class Held(NamedTuple):
    """Closed nodes under ranks of a running gang: room that it alone has, while it stays."""

    rest: tuple[tuple[int, int], ...]
    """(fabric, ranks) of the gang's other ranks, which need open nodes, in each fabric where it
    stands; ascending. One fabric, unless the gang may use any."""

    level: int
    """What the closed nodes cost: the highest level that its seats drew when they closed."""


class Shape(NamedTuple):
    """`nodes` ranks with `gpus` each; `tenant` is None for whole nodes."""

    nodes: int
    gpus: int
    tenant: Tenant | None
    any_fabric: bool

    held: Held | None = None
    """None: all ranks need open nodes, wherever the gang stands."""

    ranks_per_node: int = 1
    """The most of its ranks that one node holds; 1: each stands on another node."""

    within: int = -1
    """The only fabric that counts; -1: all do. For questions of price."""

    def ranks_in(self, gpus: int) -> int:
        """How many of its ranks fit in so many free GPUs of one node."""
        most = gpus // self.gpus
        return most if most < self.ranks_per_node else self.ranks_per_node

    def nodes_for(self, ranks: int) -> int:
        """How many empty nodes so many of its ranks need."""
        return -(-ranks // self.ranks_per_node)

    def open_ranks(self, fabric: int) -> int:
        """Ranks that need open nodes if a gang of one fabric takes this one; all ranks of a gang
        that may use any."""
        if self.held is None or self.any_fabric or self.held.rest[0][0] != fabric:
            return self.nodes
        return self.held.rest[0][1]


class Part(msgspec.Struct, frozen=True, gc=False):
    """What a demand takes of one fabric: the level of each rank's open node, and the token of each
    rank's shared one."""

    fabric: int
    levels: tuple[int, ...]
    tokens: tuple[int, ...]


class Offer(msgspec.Struct, frozen=True, gc=False):
    """How a fabric could serve a shape: its highest level drawn, and the nodes it would open."""

    level: int
    opened: int


class Room:
    """Working state of one pass; `levels[f]` holds the level of each node of fabric f, ascending.

    `free[f]` counts the nodes not yet drawn. `gaps[f, tenant]` lists (level, free GPUs, token) of
    the tenant's open nodes, ascending; a token names an open node for the rest of the pass.
    """

    __slots__ = ("_tenants", "free", "gaps", "levels", "node_gpus", "tokens")

    def __init__(self, levels: Sequence[Sequence[int]], node_gpus: int) -> None:
        self.levels = levels
        self.free = [len(ladder) for ladder in levels]
        self.gaps: dict[tuple[int, Tenant], list[tuple[int, int, int]]] = {}
        self._tenants: dict[Tenant, dict[int, None]] = {}
        self.node_gpus = node_gpus
        self.tokens = 0

    def copy(self) -> "Room":
        """An independent state with the same ladders."""
        twin = Room(self.levels, self.node_gpus)
        twin.free = self.free.copy()
        twin.gaps = {key: gaps.copy() for key, gaps in self.gaps.items()}
        twin._tenants = {tenant: known.copy() for tenant, known in self._tenants.items()}
        twin.tokens = self.tokens
        return twin

    def fabrics_of(self, tenant: Tenant) -> dict[int, None]:
        """Fabrics in which this tenant has or had open nodes."""
        return self._tenants.get(tenant, {})

    def _gaps_of(self, fabric: int, tenant: Tenant) -> list[tuple[int, int, int]]:
        self._tenants.setdefault(tenant, {})[fabric] = None
        return self.gaps.setdefault((fabric, tenant), [])

    def offer(self, fabric: int, shape: Shape) -> Offer | None:
        """The cheapest way to hold the whole shape in this fabric, None where it does not fit."""
        if shape.held is not None:
            return self._offer_to_holder(fabric, shape)
        shared = 0
        if shape.tenant is not None:
            # Grows with the open nodes of one tenant in one fabric.
            for level, gap, _ in self.gaps.get((fabric, shape.tenant), ()):
                if gap >= shape.gpus:
                    shared += shape.ranks_in(gap)
                    if shared >= shape.nodes:
                        return Offer(level, 0)
        opened = shape.nodes_for(shape.nodes - shared)
        free = self.free[fabric]
        if opened > free:
            return None
        ladder = self.levels[fabric]
        return Offer(ladder[len(ladder) - free + opened - 1], opened)

    def _offer_to_holder(self, fabric: int, shape: Shape) -> Offer | None:
        """As `offer`: where it holds closed nodes, only the rest of the gang needs room."""
        assert shape.held is not None, "a gang without closed nodes"
        ranks = shape.open_ranks(fabric)
        if not ranks:
            return Offer(shape.held.level, 0)
        rest = self.offer(fabric, shape._replace(nodes=ranks, held=None))
        if rest is None or ranks == shape.nodes:
            return rest
        return Offer(max(rest.level, shape.held.level), rest.opened)

    def slots(self, fabric: int, shape: Shape) -> list[int]:
        """The level of each rank of the shape that this fabric could hold, ascending."""
        found: list[int] = []
        if shape.tenant is not None:
            for level, gap, _ in self.gaps.get((fabric, shape.tenant), ()):
                found.extend([level] * shape.ranks_in(gap))
        ladder = self.levels[fabric]
        free = ladder[len(ladder) - self.free[fabric] :]
        if shape.ranks_per_node == 1:
            return found + list(free)
        return found + [level for level in free for _ in range(shape.ranks_per_node)]

    def take(self, fabric: int, shape: Shape, nodes: int) -> Part:
        """Seat `nodes` ranks of the shape on open nodes of this fabric; they must fit."""
        if shape.tenant is None:
            return Part(fabric, self.open(fabric, nodes), ())
        gaps = self._gaps_of(fabric, shape.tenant)
        levels: list[int] = []
        tokens: list[int] = []
        left: list[tuple[int, int, int]] = []
        missing = nodes
        for level, gap, token in [it for it in gaps if it[1] >= shape.gpus]:
            ranks = min(missing, shape.ranks_in(gap))
            if not ranks:
                break
            gaps.remove((level, gap, token))
            left.append((level, gap - ranks * shape.gpus, token))
            levels += [level] * ranks
            tokens += [token] * ranks
            missing -= ranks
        for level in self.open(fabric, shape.nodes_for(missing)):
            ranks = min(missing, shape.ranks_per_node)
            left.append((level, self.node_gpus - ranks * shape.gpus, self.tokens))
            levels += [level] * ranks
            tokens += [self.tokens] * ranks
            missing -= ranks
            self.tokens += 1
        for entry in left:
            if entry[1]:
                insort(gaps, entry)
        return Part(fabric, tuple(levels), tuple(tokens))

    def take_on(self, fabric: int, shape: Shape, token: int | None) -> tuple[int, int]:
        """Seat one rank on this open node of its tenant, or open one; its level and token."""
        assert shape.tenant is not None, "whole nodes are not shared"
        gaps = self._gaps_of(fabric, shape.tenant)
        if token is None:
            level, gap, token = self.open(fabric, 1)[0], self.node_gpus, self.tokens
            self.tokens += 1
        else:
            level, gap, _ = entry = next(it for it in gaps if it[2] == token)
            gaps.remove(entry)
        assert gap >= shape.gpus, "a shared node is held beyond its GPUs"
        if gap > shape.gpus:
            insort(gaps, (level, gap - shape.gpus, token))
        return level, token

    def give_back(self, part: Part, shape: Shape) -> None:
        """Undo the taking of these ranks below a node; a node that is empty then counts as the
        dearest of those drawn."""
        assert shape.tenant is not None, "whole nodes have no tokens"
        gaps = self._gaps_of(part.fabric, shape.tenant)
        for level, token in zip(part.levels, part.tokens, strict=True):
            entry = next((it for it in gaps if it[2] == token), (level, 0, token))
            if entry in gaps:
                gaps.remove(entry)
            gap = entry[1] + shape.gpus
            assert gap <= self.node_gpus, "a node has more GPUs free than it has"
            if gap == self.node_gpus:
                self.free[part.fabric] += 1
            else:
                insort(gaps, (level, gap, token))

    def open(self, fabric: int, nodes: int) -> tuple[int, ...]:
        """Draw whole nodes: their levels."""
        free = self.free[fabric]
        assert 0 <= nodes <= free, "a fabric was asked for more nodes than it has"
        self.free[fabric] = free - nodes
        ladder = self.levels[fabric]
        position = len(ladder) - free
        return tuple(ladder[position : position + nodes])


def divide(capacities: Sequence[tuple[bool, int, int]], nodes: int) -> list[tuple[int, int]] | None:
    """Divide a gang over fabrics, each (is its own, ranks it can take, fabric): (fabric, ranks).

    Its own fabrics first, then those that take most, so that few fabrics are used; None where all
    together are too small.
    """
    parts = []
    for _, capacity, fabric in sorted(capacities, key=lambda it: (not it[0], -it[1], it[2])):
        if nodes and capacity:
            taken = min(nodes, capacity)
            parts.append((fabric, taken))
            nodes -= taken
    return None if nodes else parts
