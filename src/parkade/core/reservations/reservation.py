"""A right to N nodes of a market for a window, assigned to fabrics so that the shape is kept."""

import enum

import msgspec

from parkade.core.fleet.seat import Seat
from parkade.core.units.fraction import Fraction
from parkade.core.units.time import Window


class ReservationState(enum.StrEnum):
    """Where a reservation is in its window. It takes part in clearings a notice + kill +
    turnaround early and is CLOSING as long before its end; LAPSED: a period could not be paid."""

    SOLD = "sold"
    IN_FORCE = "in_force"
    CLOSING = "closing"
    ENDED = "ended"
    LAPSED = "lapsed"

    @property
    def takes_part(self) -> bool:
        """Whether its room and its claims count in clearings."""
        return self in (ReservationState.IN_FORCE, ReservationState.CLOSING)

    @property
    def is_over(self) -> bool:
        """Whether the right has ended for ever."""
        return self in (ReservationState.ENDED, ReservationState.LAPSED)


class Lending(msgspec.Struct, frozen=True, kw_only=True):
    """An owner's standing offer of its idle nodes."""

    floor_micros: int
    """What it receives at least, per GPU-hour."""

    keep: int
    """Nodes that it never lends."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Whole nodes that an owner keeps for whatever it does with them."""

    claim: str
    """`c1`."""

    reservation: str
    org: str
    nodes: int
    claimed_us: int

    seats: tuple[Seat, ...]
    """Promised by a clearing, the owner's from `seated_us` on; empty while it waits."""

    promised_us: int | None
    """When they were promised; None while it waits."""

    seated_us: int | None
    """When all were free and handed over; None before."""

    why: str
    """Why it waits; empty once it is seated."""

    busy: int = 0
    """How many of the seats others still held when they were promised."""

    short_us: int | None = None
    """Since when it is short of nodes that it would have were all nodes well, as far as that was
    not credited yet; None: it is not."""

    short_gpus: int | None = None
    """Of how many GPUs; None: of all, in journals of before this was said."""


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """How often its owner waited for promised seats to be free, and how long."""

    times: int = 0
    total_us: int = 0
    longest_us: int = 0

    for_one: int = 0
    """Waits that one more kept node would have spared."""


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """A right to whole nodes over a window, owed whether used or not."""

    reservation: str
    org: str
    market: str
    window: Window

    shape: tuple[tuple[str, int], ...]
    """(fabric, nodes), ascending by fabric."""

    gpus_per_node: int

    rate_micros: int
    """Per GPU-hour, as it was when it was sold."""

    lending: Lending | None
    """The standing offer of what is idle; None: it stays empty."""

    state: ReservationState
    created_us: int

    paid_until_us: int
    """Up to when it was charged; the window's start before the first period."""

    waits: Waits = Waits()

    paid_micros: int | None = None
    """What it was charged, less what was credited; None in journals of before this was counted."""

    earned_micros: int = 0
    """What it was paid for lending."""

    payout_cap: Fraction | None = None
    """By what it costs, how much it earns at most; None: no cap."""

    deposit_us: int = 0
    """How much of a window that begins later is paid at its sale, if more than one period."""

    @property
    def nodes(self) -> int:
        """Nodes of all fabrics together."""
        return sum(nodes for _, nodes in self.shape)

    @property
    def earns_at_most_micros(self) -> int | None:
        """What it may have been paid for lending by now: its cap by what it cost; None: no cap."""
        if self.payout_cap is None or self.paid_micros is None:
            return None
        return self.paid_micros * self.payout_cap.numerator // self.payout_cap.denominator

    @property
    def rate_micros_per_hour(self) -> int:
        """What it costs per hour, for all."""
        return self.rate_micros * self.nodes * self.gpus_per_node
