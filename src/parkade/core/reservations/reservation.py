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


class Lending(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An owner's standing offer of its idle nodes."""

    floor_micros: int
    """What it receives at least, per GPU-hour."""

    keep: int
    """Nodes that it never lends."""


class Replacement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A node that is promised to a claim in place of one that it lost."""

    seat: Seat
    promised_us: int

    is_busy: bool
    """Whether others still held it when it was promised."""


class Claim(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whole nodes that an owner keeps for whatever it does with them.

    It is handed over whole. From then on it stands with the nodes that it has, and where some are
    lost it is *short*: these are asked for one by one, and handed over as each is free.
    """

    claim: str
    """`c1`."""

    reservation: str
    org: str
    nodes: int
    claimed_us: int

    seats: tuple[Seat, ...]
    """Promised by a clearing, the owner's from `seated_us` on; empty while it waits. Fewer than
    `nodes` while it is short."""

    promised_us: int | None
    """When they were promised; None while it waits."""

    seated_us: int | None
    """When all were free and handed over; None before."""

    why: str
    """Why it, or a node that it misses, waits; empty once it has all."""

    busy: int = 0
    """How many of the seats others still held when they were promised."""

    source: str | None = None
    """`POOL/JOB`: the job of its owner in an engine's queue that it stands for; it ends with that
    job. None: the owner made it itself, as all claims in journals of before."""

    short_us: int | None = None
    """Since when it is short of nodes that it would have were all nodes well, as far as that was
    not credited yet; None: it is not."""

    short_gpus: int | None = None
    """Of how many GPUs; None: of all, in journals of before this was said."""

    replacements: tuple[Replacement, ...] = ()
    """Promised in place of nodes that it lost, and not handed over yet."""

    runs_on: tuple[str, ...] = ()
    """The nodes on which the engine started its job by itself: they are its own once what else is
    there is gone, and no clearing chooses others (`leasing.started`). Empty: a clearing chooses."""

    @property
    def promised(self) -> tuple[Seat, ...]:
        """The seats that it is promised and does not hold yet."""
        waiting = tuple(it.seat for it in self.replacements)
        return waiting if self.seated_us is not None else self.seats

    @property
    def held(self) -> tuple[Seat, ...]:
        """The seats that are its owner's now."""
        return self.seats if self.seated_us is not None else ()

    @property
    def missing(self) -> int:
        """How many of its nodes it lost and has not been given back; 0 before it is handed over."""
        return self.nodes - len(self.seats) if self.seated_us is not None else 0


class Waits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How often its owner waited for promised seats to be free, and how long."""

    times: int = 0
    total_us: int = 0
    longest_us: int = 0

    for_one: int = 0
    """Waits that one more kept node would have spared."""


class Reservation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
    def is_given_up(self) -> bool:
        """Whether it ended before its window began."""
        is_empty = self.window.end_us is not None and self.window.end_us <= self.window.start_us
        return self.state is ReservationState.ENDED and is_empty

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
