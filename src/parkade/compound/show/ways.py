"""Which ways of a route, and which steps of a cascade, a question took.

A way was taken if a call was made in it. Where none of them has calls, as with ways of functions
alone, nothing says which it was, and all are shown. `run.json` names the ways; one of an earlier
version does not.
"""

from collections.abc import Set as AbstractSet

from parkade.compound.run.described import Described

#: Nodes that only hold others together are not shown.
PLUMBING = ("chain", "ensemble")


class Ways:
    """The ways of a run's network, for one question."""

    def __init__(self, described: Described, asked: AbstractSet[int]) -> None:
        """`asked`: the nodes that made calls for it."""
        self._described = described
        self._names = described.ways or [""] * len(described.nodes)
        taken = {node for each in asked for node in self._above(each)}
        #: Parents of a way that was taken.
        self._decided = {described.parents[node] for node in taken if self._names[node]}
        self._skipped = {
            node
            for node, name in enumerate(self._names)
            if name and node not in taken and described.parents[node] in self._decided
        }

    def begun_at(self, node: int) -> str:
        """The name of the way whose first shown node this is; a chain that is a way is not shown,
        its first step is."""
        name, above = self._names[node], node
        while not name and self._is_first_below_plumbing(above):
            above = above - 1
            name = self._names[above]
        return name

    def left_out(self, node: int) -> str | None:
        """What is shown in its place where its way was not taken, "" within such a way; None where
        it was."""
        if node not in self._skipped:
            return "" if any(each in self._skipped for each in self._above(node)) else None
        parent = self._described.parents[node]
        assert parent is not None
        is_route = self._described.nodes[parent].startswith("route")
        return "not taken" if is_route else "not reached"

    def _is_first_below_plumbing(self, node: int) -> bool:
        """Nodes are numbered parents first, so the first child follows its parent."""
        is_first = node > 0 and self._described.parents[node] == node - 1
        return is_first and self._described.nodes[node - 1] in PLUMBING

    def _above(self, node: int) -> list[int]:
        """It, and all that it stands in."""
        found, at = [node], self._described.parents[node]
        while at is not None and len(found) <= len(self._described.nodes):
            found.append(at)
            at = self._described.parents[at]
        return found
