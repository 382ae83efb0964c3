"""How many nodes of each fabric are free at this moment, for which org.

The last org of a node needs no turnaround there, so a node may be free for it and not for others.
"""

from collections import Counter

from parkade.core.market.layout import Layout
from parkade.core.market.market_state import Demand


class FreeNow:
    """`_free[f]`: nodes of fabric f that no demand holds and that no attempt is leaving, by the
    only org that needs no turnaround there; None: those that are clean for all."""

    __slots__ = ("_free",)

    def __init__(self, layout: Layout, demands: tuple[Demand, ...]) -> None:
        held = {seat.node for demand in demands for seat in demand.seats}
        self._free: list[Counter[str | None]] = []
        for nodes in layout.open_nodes:
            free = [it for it in nodes if it.free_from_us <= 0 and it.node not in held]
            orgs = (it.last_org if it.clean_from_us > 0 else None for it in free)
            self._free.append(Counter(orgs))

    def count(self, fabric: int, org: str) -> int:
        """How many are free for this org; below 0 where more were taken."""
        return self._free[fabric][None] + self._free[fabric][org]

    def take(self, fabric: int, org: str, nodes: int) -> None:
        """So many are taken by an org, those first that only it can have now."""
        own = min(nodes, self._free[fabric][org])
        self._free[fabric][org] -= own
        self._free[fabric][None] -= nodes - own
