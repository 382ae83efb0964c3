"""How many nodes of each fabric are free at this moment, for which org.

The last org of a node needs no turnaround there, so a node may be free for it and not for others.
"""

from collections import Counter

from parkade.core.market.layout import Layout
from parkade.core.market.market_state import Demand


class FreeNow:
    """`_free[f]`: nodes of fabric f that no demand holds and that no attempt is leaving, by the
    only org that needs no turnaround there; None: those that are clean for all. Counted when the
    fabric is asked about: demands that stay where they are need not know."""

    __slots__ = ("_demands", "_free", "_held", "_layout")

    def __init__(self, layout: Layout, demands: tuple[Demand, ...]) -> None:
        self._layout = layout
        self._demands = demands
        self._held: set[str] | None = None
        self._free: dict[int, Counter[str | None]] = {}

    @property
    def was_asked(self) -> bool:
        """Whether an answer was given, so that instants may have decided something."""
        return bool(self._free)

    def _of(self, fabric: int) -> Counter[str | None]:
        """Grows with the fabric's nodes the first time, and once with all seats."""
        found = self._free.get(fabric)
        if found is None:
            if self._held is None:
                self._held = {seat.node for it in self._demands for seat in it.seats}
            held = self._held
            nodes = self._layout.open_nodes[fabric]
            free = [it for it in nodes if it.free_from_us <= 0 and it.node not in held]
            orgs = (it.last_org if it.clean_from_us > 0 else None for it in free)
            found = self._free[fabric] = Counter(orgs)
        return found

    def count(self, fabric: int, org: str) -> int:
        """How many are free for this org; below 0 where more were taken."""
        free = self._of(fabric)
        return free[None] + free[org]

    def take(self, fabric: int, org: str, nodes: int) -> None:
        """So many are taken by an org, those first that only it can have now."""
        free = self._of(fabric)
        own = min(nodes, free[org])
        free[org] -= own
        free[None] -= nodes - own
