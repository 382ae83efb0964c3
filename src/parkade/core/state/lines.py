"""The lines of a clearing's event: what it changed for one demand each.

They are stored inside `events.Cleared`, so a field is added with a default and never renamed.
"""

import msgspec

from parkade.core.fleet.seat import Seat
from parkade.core.reservations.reservation import Replacement
from parkade.core.workloads.choice import Answer
from parkade.core.workloads.life import Phase
from parkade.core.workloads.moves import MoveCause
from parkade.core.workloads.workload import Promise, Rank, Rate, Stop


class WorkloadDemand(
    msgspec.Struct, frozen=True, kw_only=True, tag="workload", tag_field="kind", gc=False
):
    """A workload in a clearing."""

    workload: str


class ClaimDemand(
    msgspec.Struct, frozen=True, kw_only=True, tag="claim", tag_field="kind", gc=False
):
    """A claim in a clearing."""

    claim: str


Demand = WorkloadDemand | ClaimDemand
"""What takes part in a clearing."""


def name_of(demand: Demand) -> str:
    """The id of the workload or claim."""
    match demand:
        case WorkloadDemand(workload=name) | ClaimDemand(claim=name):
            return name


class Won(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A demand got seats in a clearing, at the rate that begins with it."""

    demand: Demand
    promise: Promise
    price_set_by: str | None

    moved: MoveCause | None = None
    """Why it got these in place of the seats it had; None where it had none, and in journals that
    did not say."""

    answers: tuple[Answer, ...] = ()
    """Of a bid with several markets: of those that were asked before the one where it won."""


class Leaving(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An attempt was given notice (or a promise withdrawn: `stop` None).

    `is_due`: it lost its seats to another bid or a right of its own org, so that what it owes for
    having made others leave is due whatever the cause, and seats without a first process were given
    up by its org."""

    demand: Demand
    stop: Stop | None
    phase: Phase
    why: str
    price_to_win_micros: int | None
    is_due: bool = False

    moved: MoveCause | None = None
    """Why it is moved; None where it is not, and in journals that did not say."""

    is_own_choice: bool = False
    """Whether it leaves because its own org outbids or moves it, for a lower floor, or to grow,
    where `is_due` does not say so; False in journals that did not say."""


class ClaimKept(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a claim that was handed over has after a clearing that changed it: the seats that it
    keeps, and what it is promised in place of the others."""

    claim: str
    seats: tuple[Seat, ...]
    replacements: tuple[Replacement, ...]

    why: str
    """Why it misses nodes; empty where it misses none."""

    moved: MoveCause | None = None
    """Why it lost nodes that are in play; None where it did not."""


class Repriced(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A holder of seats pays another rate from now on."""

    workload: str
    rate: Rate
    price_set_by: str | None


class Resized(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Ranks of a live attempt were told to leave, or seats that it was promised beside its own
    fall away; the others go on. `ranks` are all that it has, `rate` what those that stay cost from
    now on."""

    workload: str
    ranks: tuple[Rank, ...]
    rate: Rate
    price_set_by: str | None

    resizes: int
    """How often its ranks changed, this change included."""

    why: str = ""
    """The reason for which a promise fell away; empty: none did."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why a demand without seats waits; only where it changed. `is_short` stands only in older
    journals: whether nodes were missing for a reservation's own demand. None: `ReservationSettled`
    says it."""

    demand: Demand
    why: str
    price_to_win_micros: int | None
    is_short: bool | None = None

    answers: tuple[Answer, ...] = ()
    """Of a bid with several markets, of each that was asked."""


class LinkedMarket(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Another market that one clearing decided together with the event's."""

    market: str
    ladder: tuple[tuple[int, int | None], ...]
