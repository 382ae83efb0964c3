"""The state of one market at one instant: everything a clearing may look at, as plain values.

Built by `world`, read by the pass, the seating, the prices and the revenue. The order of
`demands` is irrelevant: the order of right is derived from their fields alone.
"""

import enum

import msgspec

from parkade.core.fleet.seat import Seat
from parkade.core.units.fraction import Fraction


class NodeInPlay(msgspec.Struct, frozen=True, kw_only=True):
    """A node whose GPUs count in this clearing.

    `is_open` is false for suspect and unreachable nodes: who sits there stays, nobody is added.
    `free_from_us` is when what still runs there and is leaving will be gone (0: free now); it
    only orders the seating's choice among nodes, never a price.
    """

    node: str
    fabric: str
    gpus: int
    is_open: bool
    free_from_us: int


class PriorityTier(enum.IntEnum):
    """Classes of the order of right, strongest first."""

    RESERVED = 0
    ON_DEMAND = 1
    SPOT = 2


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """A workload or a claim that wants `nodes` nodes with `gpus` GPUs on each, whole or nothing.

    `seats` are those it holds and keeps or is promised, of its present or promised attempt; they
    may name nodes that left play (then the gang is to be healed). Empty: a newcomer. A demand
    with seats counts as running. Ranks of one gang stand on different nodes. `gpus` below the
    node's count opens a node for its org only.
    `limit_micros` is per GPU-hour, None unless SPOT. `is_pinned`: one of its nodes is suspect or
    unreachable, so it is neither moved, healed nor preempted: it keeps all its seats and comes
    before everybody, at the price its turn gives (its own floor draw at least). `only_fabric`: the
    fabric whose calendar sold it an on-demand window; it is seated nowhere else.
    """

    demand: str
    org: str
    tier: PriorityTier
    nodes: int
    gpus: int
    any_fabric: bool
    reservation: str | None
    priority: int
    limit_micros: int | None
    use_7_days: int
    submitted_us: int
    seats: tuple[Seat, ...]
    is_pinned: bool
    only_fabric: str | None = None


class ReservationInForce(msgspec.Struct, frozen=True, kw_only=True):
    """A reservation in force: its shape by fabric, and what its owner lends.

    `floor_micros` is what the owner receives per GPU-hour, None where it lends nothing; `keep`
    nodes are never lent.
    """

    reservation: str
    org: str
    account: str
    created_us: int
    shape: tuple[tuple[str, int], ...]
    floor_micros: int | None
    keep: int


class ClearingTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of a market that bear on who wins and what it pays."""

    public_floor_micros: int
    pay_as_you_go_micros: int
    fee: Fraction
    switching_credit: Fraction
    supplier_account: str
    operator_account: str


class MarketState(msgspec.Struct, frozen=True, kw_only=True):
    """All of one market: nodes in play, reservations in force, and every demand in the pass."""

    at_us: int
    gpus_per_node: int
    terms: ClearingTerms
    nodes: tuple[NodeInPlay, ...]
    reservations: tuple[ReservationInForce, ...]
    demands: tuple[Demand, ...]
