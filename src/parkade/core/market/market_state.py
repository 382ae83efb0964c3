"""The book of one market at one instant: everything a clearing may look at, as plain values.

Built by `world`, read by the pass, the seating, the prices and the settlement. The order of
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


class Right(enum.IntEnum):
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
    `limit_micros` is per GPU-hour, None unless SPOT. `stays_put`: one of its nodes is suspect or
    unreachable, so it is neither moved, healed nor preempted: it keeps all its seats and comes
    before everybody, at the price its turn gives (its own floor draw at least). `only_fabric`: the
    fabric whose calendar sold it an on-demand window; it is seated nowhere else.
    """

    demand: str
    org: str
    right: Right
    nodes: int
    gpus: int
    any_fabric: bool
    reservation: str | None
    priority: int
    limit_micros: int | None
    use_7_days: int
    submitted_us: int
    seats: tuple[Seat, ...]
    stays_put: bool
    only_fabric: str | None = None


class ReservedRoom(msgspec.Struct, frozen=True, kw_only=True):
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


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of a market that bear on who wins and what it pays."""

    public_floor_micros: int
    pay_as_you_go_micros: int
    fee: Fraction
    switching_credit: Fraction
    supplier_account: str
    operator_account: str


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """All of one market: nodes in play, reservations in force, and every demand in the pass."""

    at_us: int
    gpus_per_node: int
    terms: Terms
    nodes: tuple[NodeInPlay, ...]
    reservations: tuple[ReservedRoom, ...]
    demands: tuple[Demand, ...]


class Change(enum.StrEnum):
    """What a clearing does with a demand, compared with the seats it has."""

    KEEP = "keep"
    START = "start"
    MOVE = "move"
    HEAL = "heal"
    PREEMPT = "preempt"
    WAIT = "wait"


class WaitReason(enum.StrEnum):
    """Why a demand has no seats after this clearing; the API shows it as it stands."""

    NO_ROOM = "no_room"
    OUTBID = "outbid"
    BELOW_FLOOR = "below_floor"
    RESERVATION_FULL = "reservation_full"
    TOO_LARGE = "too_large"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One demand's outcome.

    Winners: `seats`, `fabric` (of the pass), `price_micros` per GPU-hour (0 for RESERVED, which
    is paid by the reservation), `floor_micros` the highest floor it draws, `price_set_by` the
    rival whose key set the price or None where the floor did, and `shares`: micro-units per hour
    that each account earns of it, ascending by account, whose sum is price x all its GPUs.
    Losers: `reason`, and `price_to_win_micros`: the smallest limit that would have won here, if
    any (the cheapest change that would win).
    """

    demand: str
    change: Change
    seats: tuple[Seat, ...]
    fabric: str | None
    price_micros: int
    floor_micros: int
    price_set_by: str | None
    shares: tuple[tuple[str, int], ...]
    reason: WaitReason | None
    price_to_win_micros: int | None


class Lent(msgspec.Struct, frozen=True, kw_only=True):
    """How a reservation's room was used in this clearing, in nodes."""

    reservation: str
    used: int
    kept: int
    offered: int
    lent: int


class Clearing(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one clearing: a line for each demand in order of right, and the ladder.

    `ladder`: (n, micro-units or None) for n = 1, 2, 4, 8, …: the price with which a newcomer of
    one whole-node gang of n would win now; None where no price would.
    `used_pass_fabrics` is true where the seating had to fall back to the pass's own fabrics.
    """

    lines: tuple[Line, ...]
    lent: tuple[Lent, ...]
    ladder: tuple[tuple[int, int | None], ...]
    used_pass_fabrics: bool
