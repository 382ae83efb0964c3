"""The state of one market at one instant: everything a clearing may look at, as plain values.

The world builds it; the allocation, the prices, the seating and the revenue shares read it. The
order of `nodes`, `reservations` and `demands` is irrelevant: the priority order is derived from
fields alone.
"""

import enum

import msgspec

from parkade.core.fleet.seat import Seat
from parkade.core.units.fraction import Fraction


class NodeInPlay(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A node whose GPUs count in this clearing: healthy, or closed."""

    node: str
    fabric: str

    gpus: int
    """All GPUs of the node; the same for every node of a market."""

    is_open: bool
    """False for a suspect, cordoned or unreachable node: it is no room for any demand, and only a
    gang that wins the rest of its shape in this fabric keeps its seats there."""

    free_from_us: int
    """When what still runs there would be gone, were it told to leave now; 0: free now. Orders the
    seating's choice among nodes, never a price."""

    last_org: str | None = None
    """The org that is or was there last; None: it is clean for all orgs once it is free."""

    clean_from_us: int = 0
    """When its turnaround would be over, for any org but `last_org`; 0: it is clean now, or has no
    last org."""

    def ready_us(self, org: str) -> int:
        """From when this org could be there; 0: now."""
        is_known = self.last_org in (None, org)
        return self.free_from_us if is_known else max(self.free_from_us, self.clean_from_us)


class PriorityTier(enum.IntEnum):
    """Classes of the priority order, strongest first."""

    RESERVED = 0
    ON_DEMAND = 1
    SPOT = 2


class Protection(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Seats that no bid takes, because its market lets a workload run for a while (`min_runtime`),
    and what it pays for them at most."""

    price_micros: int
    """Per GPU-hour: that with which it was seated."""

    node_prices: tuple[int, ...] = ()
    """Of each node of an elastic one, never falling; empty for others."""


class Demand(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A workload or a claim that wants `nodes` ranks with `gpus` GPUs each, whole or nothing.

    A demand with seats counts as running, one without as a newcomer.
    """

    demand: str
    org: str
    tier: PriorityTier

    nodes: int
    """Ranks of the gang."""

    gpus: int
    """GPUs of each rank. Fewer than a node has: the rank shares nodes with work of its org, and
    spot with that of others where the terms say so."""

    any_fabric: bool
    """Whether the gang may be divided over fabrics."""

    reservation: str | None
    """The reservation it uses; None unless RESERVED."""

    priority: int
    """Orders the demands of one reservation, and the bids of one org that have the same key; the
    greatest first."""

    limit_micros: int | None
    """The most it pays, in micro-units per GPU-hour; None unless SPOT."""

    use_7_days: int
    """Spot use of its org in the last seven days, GPUs x microseconds; breaks ties."""

    submitted_us: int
    """Breaks ties, the older first."""

    seats: tuple[Seat, ...]
    """Seats that it holds and keeps, or is promised, in order of rank. They may name nodes that
    left play: then the gang is to be healed."""

    floor_micros: int = 0
    """The highest guest floor that its seats drew while all its nodes were open, micro-units per
    GPU-hour; 0 unless SPOT. What its closed nodes cost."""

    has_waited: bool = False
    """Whether it is a gang of whole nodes that has waited for seats as long as the market lets it
    wait before smaller running bids give way to it."""

    gives_way: bool = False
    """Whether it runs and counts no switching credit, for the sake of a gang that has waited; set
    by the allocation."""

    completes: bool = False
    """Whether it makes a claim whole that runs: then it counts as running, with or without a
    seat."""

    overflows_to: tuple[str, ...] | None = None
    """Where it may stand beyond its own fabrics; None: anywhere. For the parts of a claim."""

    only_fabric: str | None = None
    """The fabric whose calendar sold it an on-demand window; it is seated nowhere else."""

    ranks_per_node: int = 1
    """The most of its ranks that one node holds; 1: each stands on another node."""

    moves_if_cheaper: bool = False
    """Spot: whether it gives up its seats for a lower floor elsewhere. Else it moves only where its
    own fabric does not hold it within its limit."""

    most_nodes: int = 0
    """Spot of whole nodes in one fabric: the most it takes, `nodes` being the least; 0: it has
    `nodes`, neither more nor fewer."""

    array: str | None = None
    """The array that it is a member of. Members that wait set no price of the others."""

    grows_by: int = 0
    """By how many nodes at least it grows where it stands; 0: it does not grow there now."""

    protection: Protection | None = None
    """Spot that runs whole on open nodes: what protects its seats from other bids; None: nothing
    does."""

    is_cautious: bool = False
    """Spot that the engine may refuse: while it waits for protected room, what comes after it is
    protected all the same."""

    @property
    def nodes_alone(self) -> int:
        """Nodes that it opens where it shares none."""
        return -(-self.nodes // self.ranks_per_node)

    @property
    def nodes_used(self) -> int:
        """Nodes that it stands on or would open: the greater."""
        if self.ranks_per_node == 1:
            return self.nodes
        return max(self.nodes_alone, len({seat.node for seat in self.seats}))


class ReservationInForce(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A reservation that counts in this clearing, and what its owner lends."""

    reservation: str
    org: str

    account: str
    """Where the owner's share of what guests pay goes."""

    created_us: int
    """The older reservation comes first."""

    shape: tuple[tuple[str, int], ...]
    """Nodes by fabric."""

    floor_micros: int | None
    """What the owner receives at least, micro-units per GPU-hour; None: it lends nothing."""

    keep: int
    """Nodes that are never lent."""


class ClearingTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The terms of a market that bear on who wins and what it pays."""

    public_floor_micros: int
    """The floor of capacity that no owner lends, micro-units per GPU-hour."""

    pay_as_you_go_micros: int
    """The posted price of on-demand, micro-units per GPU-hour."""

    fee: Fraction
    """The operator's part of every price."""

    switching_credit: Fraction
    """By how much more a running bid's limit counts."""

    supplier_account: str
    """Earns the owner's part of capacity that no owner lends."""

    operator_account: str
    """Earns the fee and what rounding leaves."""

    shared_nodes: bool = False
    """Whether spot work below a node of several orgs may share one."""


class MarketState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All of one market: nodes in play, reservations in force, and every demand that takes part."""

    gpus_per_node: int
    terms: ClearingTerms
    nodes: tuple[NodeInPlay, ...]
    reservations: tuple[ReservationInForce, ...]
    demands: tuple[Demand, ...]
