"""A right to N nodes of a market for a window, assigned to fabrics so that the shape is kept."""

import enum

import msgspec

from parkade.core.fleet.seat import Seat
from parkade.core.units.time import Window


class ReservationState(enum.StrEnum):
    """Where a reservation is in its window. It enters the pass a notice + kill + turnaround early
    and is CLOSING as long before its end; LAPSED: a period could not be paid."""

    SOLD = "sold"
    IN_FORCE = "in_force"
    CLOSING = "closing"
    ENDED = "ended"
    LAPSED = "lapsed"

    @property
    def is_over(self) -> bool:
        """Whether the right has ended for ever."""
        return self in (ReservationState.ENDED, ReservationState.LAPSED)


class Lending(msgspec.Struct, frozen=True, kw_only=True):
    """An owner's standing offer: it receives at least `floor_micros` per GPU-hour, lends all but
    `keep` of its idle nodes."""

    floor_micros: int
    keep: int


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Whole nodes that an owner keeps for whatever it does with them.

    `seats` are promised by a clearing and the owner's from `seated_us` on; `busy` of them were
    still somebody else's then. `short_us`: since when there is no room for it at all.
    """

    claim: str
    reservation: str
    org: str
    nodes: int
    claimed_us: int
    seats: tuple[Seat, ...]
    promised_us: int | None
    seated_us: int | None
    why: str
    busy: int = 0
    short_us: int | None = None


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """How often its owner waited for promised seats to be free, and how long; `for_one`: times
    that one more kept node would have spared the wait."""

    times: int = 0
    total_us: int = 0
    longest_us: int = 0
    for_one: int = 0


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """`shape` is (fabric, nodes) ascending; `rate_micros` is per GPU-hour, owed for the whole
    window in advance by billing period; `paid_until_us` is what has been charged."""

    reservation: str
    org: str
    market: str
    window: Window
    shape: tuple[tuple[str, int], ...]
    gpus_per_node: int
    rate_micros: int
    lending: Lending | None
    state: ReservationState
    created_us: int
    paid_until_us: int
    waits: Waits = Waits()

    @property
    def nodes(self) -> int:
        """Nodes of all fabrics together."""
        return sum(nodes for _, nodes in self.shape)

    @property
    def rate_micros_per_hour(self) -> int:
        """What it costs per hour, for all."""
        return self.rate_micros * self.nodes * self.gpus_per_node
