"""What a clearing decides: a line for each demand, the use of each reservation, and the ladder."""

import enum

import msgspec

from parkade.core.fleet.seat import Seat


class Change(enum.StrEnum):
    """What a clearing does with a demand, compared with the seats it has."""

    KEEP = "keep"
    RESIZE = "resize"
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
    PROTECTED = "protected"


class MovedFor(msgspec.Struct, frozen=True, kw_only=True, tag="demand", tag_field="kind", gc=False):
    """It gave way so that another winner fits."""

    demand: str


class MovedForKept(
    msgspec.Struct, frozen=True, kw_only=True, tag="kept", tag_field="kind", gc=False
):
    """It gave way so that the nodes that an owner keeps fit."""

    reservation: str


class MovedForFloor(
    msgspec.Struct, frozen=True, kw_only=True, tag="floor", tag_field="kind", gc=False
):
    """A price would not have covered a floor, its own or that of another winner of its fabric, or a
    second clearing would have moved it."""


class MovedBroken(
    msgspec.Struct, frozen=True, kw_only=True, tag="broken", tag_field="kind", gc=False
):
    """A node of it left play."""


class MovedAsCounted(
    msgspec.Struct, frozen=True, kw_only=True, tag="fallback", tag_field="kind", gc=False
):
    """The fall-back seating put it where the allocation counted it."""


MoveReason = MovedFor | MovedForKept | MovedForFloor | MovedBroken | MovedAsCounted
"""Why a winner with seats has others after a clearing."""


class ClearingLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The outcome of one demand. A winner has seats; a loser has a reason. RESIZE: it keeps its
    nodes, or some of them, and has more or fewer."""

    demand: str
    change: Change

    seats: tuple[Seat, ...]
    """In order of rank; empty for a loser."""

    price_micros: int
    """Micro-units per GPU-hour; 0 for RESERVED, which the reservation pays, and for a loser."""

    floor_micros: int
    """The highest floor that a spot winner draws, else 0."""

    price_set_by: str | None
    """The rival whose key set the price; None where the floor or the posted price did."""

    shares: tuple[tuple[str, int], ...]
    """Micro-units per hour that each account earns, ascending by account; they add up to the
    price x all GPUs, or to that of all nodes."""

    reason: WaitReason | None
    """Why a loser has no seats; BELOW_FLOOR where an elastic winner has fewer for that."""

    price_to_win_micros: int | None
    """The smallest limit with which a spot loser would have won here; None where none would."""

    moved: MoveReason | None = None
    """Why a winner that had seats has others; None where it has not."""

    node_prices: tuple[int, ...] = ()
    """Of an elastic winner what each node costs, micro-units per GPU-hour, never falling; then
    `price_micros` is their mean, rounded up. Empty: all cost `price_micros`."""

    follows_protected: bool = False
    """Of a spot winner, whether a bid that comes before it, and is not cautious, waits for room
    that is PROTECTED."""


class ReservationUse(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a reservation's nodes were used in this clearing."""

    reservation: str

    used: int
    """By its owner's demands, in its own fabrics or elsewhere."""

    kept: int
    """Idle and not lent."""

    offered: int
    """Lent: they stand in the supply of spot at the owner's floor."""

    lent: int
    """Of those offered, drawn by spot."""


class Clearing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The outcome of one clearing."""

    lines: tuple[ClearingLine, ...]
    """One for each demand, in priority order."""

    reservations: tuple[ReservationUse, ...]
    """Ascending by reservation."""

    ladder: tuple[tuple[int, int | None], ...]
    """(n, micro-units per GPU-hour) for n = 1, 2, 4, 8, …: the price with which a newcomer of one
    whole-node gang of n would win now; None where no price would."""

    used_fallback_seating: bool
    """True where no repair of the seating held or moved fewer, so that the allocation's own fabrics
    are used."""
