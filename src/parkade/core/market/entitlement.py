"""The entitlement of a reservation: what of its shape is used, kept idle, and lent.

A reservation never uses, keeps and lends more nodes than its shape, and never keeps outside its own
fabrics; it lends there only what `supply` gives it for its own nodes that another owner stands on.
`reserved` decides in which order entitlements are used.
"""

from typing import NamedTuple

from parkade.core.market.layout import Layout
from parkade.core.market.market_state import Demand, ReservationInForce
from parkade.core.placement.room import Room


class Entitlement:
    """What of one reservation's shape is not used yet, in whole nodes.

    `left_in[f]`: of its shape in fabric f. `left`: of its whole shape. `used`: by its demands.
    `kept[f]`: idle and not lent. `offered[f]`: lent. `closed_nodes`: those that its demands hold,
    each counted as used once. `held_elsewhere`: nodes of its running demands that found no room in
    its own fabrics and did not take their turn elsewhere yet. `lost_elsewhere`: how many nodes
    these have lost. `abroad[f]`: nodes that its demands use in fabric f beyond its shape there.
    """

    __slots__ = (
        "abroad",
        "closed_nodes",
        "held_elsewhere",
        "kept",
        "left",
        "left_in",
        "lost_elsewhere",
        "offered",
        "terms",
        "used",
    )

    def __init__(self, terms: ReservationInForce, layout: Layout) -> None:
        self.terms = terms
        self.left = 0
        self.used = 0
        self.left_in: dict[int, int] = {}
        number = layout.number
        for name, nodes in terms.shape:
            assert nodes >= 0, f"{terms.reservation} has no shape"
            self.left += nodes
            if name in number:
                self.left_in[number[name]] = nodes
        self.abroad: dict[int, int] = {}
        self.kept: dict[int, int] = {}
        self.offered: dict[int, int] = {}
        self.closed_nodes: set[str] = set()
        self.held_elsewhere: set[str] = set()
        self.lost_elsewhere = 0

    def left_in_fabric(self, fabric: int) -> int:
        """What its demands may use of its shape in one fabric, beside what is kept there."""
        return max(0, self.left_in.get(fabric, 0) - self.kept.get(fabric, 0))

    def left_for_next(self) -> int:
        """What a demand may use beside those that run elsewhere; not negative."""
        left = self.left - self.lost_elsewhere
        if self.held_elsewhere:
            left -= len(self.held_elsewhere - self.closed_nodes)
        return max(0, left)

    def hold_elsewhere(self, demand: Demand) -> None:
        """A demand, running or idle, found no room in the own fabrics."""
        if demand.seats:
            self.held_elsewhere.update(seat.node for seat in demand.seats)
            self.lost_elsewhere += -(-(demand.nodes - len(demand.seats)) // demand.ranks_per_node)

    def release_elsewhere(self) -> None:
        """Those that run elsewhere take their turn now."""
        self.held_elsewhere = set()
        self.lost_elsewhere = 0

    def use(self, fabric: int, nodes: int) -> None:
        """Use `nodes` of the whole, and of what is left in this fabric if anything is."""
        assert nodes >= 0, "a demand cannot give nodes back"
        beyond = nodes - self.left_in.get(fabric, 0)
        if beyond > 0:
            self.abroad[fabric] = self.abroad.get(fabric, 0) + beyond
        self.left_in[fabric] = max(0, -beyond)
        self.left = max(0, self.left - nodes)
        self.used += nodes

    def set_aside(self, nodes: int) -> None:
        """Have `nodes` less of the whole for others, until as many are given back (less than 0)."""
        self.left -= nodes
        assert self.left >= 0, "more is set aside than is left"

    def left_at_home(self, fabric: int) -> int:
        """Nodes of its shape in a fabric that it neither uses, keeps nor lends, because its demands
        use as many elsewhere."""
        used = self.kept.get(fabric, 0) + self.offered.get(fabric, 0)
        return max(0, self.left_in.get(fabric, 0) - used)

    def kept_and_lent(self) -> int:
        """Nodes that are not used by its own demands."""
        return sum(self.kept.values()) + sum(self.offered.values())

    def keep(self, room: Room, elsewhere: int) -> None:
        """Take idle nodes that are not lent out of the room of others, as many as it is to keep.

        `elsewhere`: nodes that demands may yet use outside the own fabrics.
        """
        assert elsewhere >= 0, "demands cannot use less than nothing"
        terms = self.terms
        kept = sum(self.kept.values())
        wanted = self.left - elsewhere - kept
        if terms.floor_micros is not None:
            wanted = min(wanted, terms.keep - kept)
        if wanted <= 0:
            return
        idle = {
            fabric: min(nodes - self.kept.get(fabric, 0), room.free[fabric])
            for fabric, nodes in self.left_in.items()
        }
        idle = {fabric: nodes for fabric, nodes in idle.items() if nodes > 0}
        # By the shape and not by the room, which differs once on-demand that comes later runs.
        for fabric, nodes in sorted(idle.items(), key=lambda it: (self.left_in[it[0]], it[0])):
            taken = min(nodes, wanted)
            if taken > 0:
                room.open(fabric, taken)
                self.kept[fabric] = self.kept.get(fabric, 0) + taken
                wanted -= taken

    def lend_rest(self) -> None:
        """Lend what is neither used nor kept; never more than is left of the entitlement.

        The fabrics with the most such nodes lend first.
        """
        if self.terms.floor_micros is None:
            return
        left = self.left - sum(self.kept.values())
        if not left:
            return
        rest = {fabric: nodes - self.kept.get(fabric, 0) for fabric, nodes in self.left_in.items()}
        for fabric, nodes in sorted(rest.items(), key=lambda it: (-it[1], it[0])):
            offered = min(nodes, left)
            if offered > 0:
                self.offered[fabric] = offered
                left -= offered
        assert left >= 0, "a reservation lends more than its entitlement"


class KeptBlock(NamedTuple):
    """Nodes of a reservation that stay empty, side by side; the allocation counts them here."""

    reservation: str
    org: str
    fabric: int
    nodes: int


class KeptRoom(NamedTuple):
    """Idle nodes that are not lent."""

    blocks: tuple[KeptBlock, ...]
    """Of the oldest reservation first."""

    without_wait: dict[str, int]
    """By reservation, how many nodes its owner may ask for without a wait: `keep`, or the whole
    shape of a reservation that lends nothing."""

    def totals(self) -> dict[str, int]:
        """Idle nodes of each reservation."""
        found: dict[str, int] = {}
        for block in self.blocks:
            found[block.reservation] = found.get(block.reservation, 0) + block.nodes
        return found
