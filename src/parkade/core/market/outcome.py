"""What a clearing decides: a line for each demand, the use of each reservation, and the ladder."""

import enum

import msgspec

from parkade.core.fleet.seat import Seat


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


class ClearingLine(msgspec.Struct, frozen=True, kw_only=True):
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


class ReservationUse(msgspec.Struct, frozen=True, kw_only=True):
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
    `used_fallback_seating` is true where the seating had to fall back to the pass's own fabrics.
    """

    lines: tuple[ClearingLine, ...]
    reservations: tuple[ReservationUse, ...]
    ladder: tuple[tuple[int, int | None], ...]
    used_fallback_seating: bool
