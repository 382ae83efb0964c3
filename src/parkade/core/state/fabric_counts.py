"""Counts of each fabric's nodes, kept as they change: with spot work, and out of play."""

from collections.abc import Hashable
from typing import TypeVar

from parkade.core.fleet.node import Node

Key = tuple[str, str]
K = TypeVar("K", bound=Hashable)


class FabricCounts:
    """An index of the world, by (market, fabric). Zero is no entry, so that equal worlds have equal
    counts."""

    def __init__(self) -> None:
        self.spot: dict[Key, int] = {}
        """Nodes that spot work holds a seat on."""

        self.down: dict[Key, int] = {}
        """Nodes out of play."""

        self._spot_on: dict[str, int] = {}
        """By node, the spot workloads there."""

    def copy(self) -> "FabricCounts":
        """Counts of their own."""
        made = FabricCounts()
        made.spot, made.down = self.spot.copy(), self.down.copy()
        made._spot_on = self._spot_on.copy()
        return made

    def note_spot(self, node: Node, by: int) -> None:
        """One spot workload more or fewer holds seats on a node."""
        before = self._spot_on.get(node.node, 0)
        _add(self._spot_on, node.node, by)
        change = bool(before + by) - bool(before)
        if change:
            _add(self.spot, (node.market, node.fabric), change)

    def note_play(self, node: Node, by: int) -> None:
        """A record of a node came or went."""
        if not node.is_in_play:
            _add(self.down, (node.market, node.fabric), by)


def _add(counts: dict[K, int], key: K, by: int) -> None:
    count = counts.get(key, 0) + by
    assert count >= 0, f"{key} is counted below zero"
    if count:
        counts[key] = count
    else:
        counts.pop(key, None)
